//! How things look.
//!
//! Only the terminal's own colours, by name, and only those that read well on light and on dark: no yellow but the dark
//! one, no grey. What is of less weight is dim, which every background knows how to be.

use ratatui::style::{Color, Modifier, Style};

use super::column::Level;

/// The styles of everything that is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Theme {
    has_colors: bool,
}

impl Theme {
    /// Without colours where the environment asks for none: <https://no-color.org>.
    pub(super) fn of_environment() -> Self {
        Self { has_colors: std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) }
    }

    #[cfg(test)]
    pub(super) fn new(has_colors: bool) -> Self {
        Self { has_colors }
    }

    /// A figure.
    pub(super) fn level(self, level: Level) -> Style {
        match level {
            Level::Dim => self.dim(),
            Level::Normal => Style::new(),
            Level::Warm => self.color(Color::Yellow),
            Level::Hot => self.color(Color::Red).add_modifier(Modifier::BOLD),
        }
    }

    /// What is drawn to be compared by its length.
    pub(super) fn bar(self, level: Level) -> Style {
        match level {
            Level::Normal => self.color(Color::Cyan),
            level => self.level(level),
        }
    }

    /// A title, or a key to press.
    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is only looked at when it is looked for.
    pub(super) fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Where the user is: the chosen row, the column that sorts.
    pub(super) fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Something that the user should know of.
    pub(super) fn notice(self) -> Style {
        self.color(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    fn color(self, color: Color) -> Style {
        if self.has_colors { Style::new().fg(color) } else { Style::new() }
    }
}
