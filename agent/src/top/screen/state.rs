//! What is shown and what the keys do to it, without a terminal.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use attach::target::Pid;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::top::column::Column;
use crate::top::detail::Detail;
use crate::top::history::History;
use crate::top::needs::Needs;
use crate::top::options::TopOptions;
use crate::top::order::Order;
use crate::top::reading::Reading;
use crate::top::row::{Row, RowKey, Span};

/// Messages that are kept to be looked at.
const MESSAGES_MAX: usize = 200;

/// The longest filter that can be typed.
const FILTER_CHARS_MAX: usize = 64;

/// What fills the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    Table,
    /// The chosen loop.
    Detail,
    Help,
    Messages,
}

/// What comes of something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    Quit,
    Suspend,
}

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct State {
    pub(super) only: BTreeSet<Pid>,
    /// Which of these have ended.
    pub(super) ended: BTreeSet<Pid>,
    pub(super) interval: Duration,
    pub(super) order: Order,
    pub(super) history: History,
    pub(super) messages: VecDeque<String>,
    pub(super) is_paused: bool,
    /// Lines that the current view is scrolled down; the view limits it to what there is.
    pub(super) scroll: usize,
    /// How far a page goes, as the last drawing found it.
    pub(super) page: usize,
    /// What the columns need.
    pub(super) needs: Needs,
    /// The columns that the last drawing had room for.
    pub(super) columns: Vec<Column>,
    rows: Vec<Row>,
    earlier: Option<Reading>,
    later: Option<Reading>,
    /// The latest reading of a pause, from which the next interval begins.
    unseen: Option<Reading>,
    chosen: Option<RowKey>,
    /// Where the chosen row was, for when it disappears.
    chosen_at: usize,
    /// The filter that was there before the one that is being typed.
    filter_before: Option<String>,
    /// The views that Escape leads back to.
    views: Vec<View>,
    intervals_left: Option<u64>,
}

impl State {
    pub(super) fn new(options: &TopOptions) -> Self {
        Self {
            only: options.only(),
            ended: BTreeSet::new(),
            interval: options.interval,
            order: options.order(),
            history: History::default(),
            messages: VecDeque::new(),
            is_paused: false,
            scroll: 0,
            page: 1,
            needs: Needs::default(),
            columns: Column::ALL.to_vec(),
            rows: Vec::new(),
            earlier: None,
            later: None,
            unseen: None,
            chosen: None,
            chosen_at: 0,
            filter_before: None,
            views: Vec::new(),
            intervals_left: options.intervals(),
        }
    }

    /// A reading was taken.
    pub(super) fn take(&mut self, reading: Reading) -> Flow {
        if self.is_paused {
            self.unseen = Some(reading);
            return Flow::Continue;
        }
        self.ended.clone_from(&reading.ended);
        self.earlier = self.unseen.take().or_else(|| self.later.take());
        self.rows = Row::all(self.earlier.as_ref(), &reading);
        self.later = Some(reading);
        if self.earlier.is_none() {
            return Flow::Continue;
        }
        self.history.push(&self.rows);
        match &mut self.intervals_left {
            Some(0 | 1) => Flow::Quit,
            Some(left) => {
                *left -= 1;
                Flow::Continue
            }
            None => Flow::Continue,
        }
    }

    /// Something was told.
    pub(super) fn tell(&mut self, messages: Vec<String>) {
        self.messages.extend(messages);
        let excess = self.messages.len().saturating_sub(MESSAGES_MAX);
        self.messages.drain(..excess);
    }

    /// What fills the terminal.
    pub(super) fn view(&self) -> View {
        self.views.last().copied().unwrap_or(View::Table)
    }

    /// Whether anything was read yet.
    pub(super) fn has_read(&self) -> bool {
        self.later.is_some()
    }

    /// Whether the filter is being typed.
    pub(super) fn is_typing(&self) -> bool {
        self.filter_before.is_some()
    }

    /// All rows, whether they are shown or not.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The rows that are shown, in order, and which of them is chosen.
    pub(super) fn shown(&self) -> (Vec<&Row>, usize) {
        let shown = self.order.apply(&self.rows);
        let chosen = self.chosen.as_ref().and_then(|key| shown.iter().position(|row| row.key == *key));
        let at = chosen.unwrap_or(self.chosen_at).min(shown.len().saturating_sub(1));
        (shown, at)
    }

    /// The chosen loop in detail.
    pub(super) fn detail(&self) -> Option<Detail> {
        let (shown, at) = self.shown();
        let row = *shown.get(at)?;
        let span = Span::of(self.earlier.as_ref(), self.later.as_ref()?, &row.key)?;
        Some(Detail::of(row.clone(), span))
    }

    /// A key was pressed.
    pub(super) fn press(&mut self, key: KeyEvent) -> Flow {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            match key.code {
                KeyCode::Char('c') => return Flow::Quit,
                KeyCode::Char('z') => return Flow::Suspend,
                _ => {}
            }
        }
        if self.is_typing() {
            self.type_filter(key.code);
            return Flow::Continue;
        }
        match (self.view(), key.code) {
            (_, KeyCode::Char('q')) => return Flow::Quit,
            (view, KeyCode::Esc) => return self.go_back(view),
            (View::Help, KeyCode::Char('?' | 'h')) | (View::Messages, KeyCode::Char('m')) => {
                self.leave_view()
            }
            (_, KeyCode::Char('?' | 'h')) => self.enter_view(View::Help),
            (_, KeyCode::Char('m')) => self.enter_view(View::Messages),
            (_, KeyCode::Char('p' | ' ')) => self.is_paused = !self.is_paused,
            (View::Table, code) => self.press_in_table(code),
            (View::Detail, KeyCode::Enter | KeyCode::Backspace) => self.leave_view(),
            (View::Detail, KeyCode::Left) => self.choose(|at, _| at.saturating_sub(1)),
            (View::Detail, KeyCode::Right) => self.choose(|at, _| at + 1),
            (_, code) => self.scroll_by(code),
        }
        Flow::Continue
    }

    fn press_in_table(&mut self, code: KeyCode) {
        match code {
            KeyCode::Up | KeyCode::Char('k') => self.choose(|at, _| at.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.choose(|at, _| at + 1),
            KeyCode::PageUp => self.choose(|at, page| at.saturating_sub(page)),
            KeyCode::PageDown => self.choose(|at, page| at + page),
            KeyCode::Home | KeyCode::Char('g') => self.choose(|_, _| 0),
            KeyCode::End | KeyCode::Char('G') => self.choose(|_, _| usize::MAX),
            KeyCode::Enter if !self.shown().0.is_empty() => {
                // It stays the chosen one wherever it sorts to.
                self.choose(|at, _| at);
                self.enter_view(View::Detail);
            }
            KeyCode::Char('s' | '>') | KeyCode::Right => self.sort_by_next(true),
            KeyCode::Char('S' | '<') | KeyCode::Left => self.sort_by_next(false),
            KeyCode::Char('r') => self.order.is_reversed = !self.order.is_reversed,
            KeyCode::Char('/') => self.filter_before = Some(self.order.filter.clone()),
            _ => {}
        }
    }

    fn scroll_by(&mut self, code: KeyCode) {
        self.scroll = match code {
            KeyCode::Up | KeyCode::Char('k') => self.scroll.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.scroll + 1,
            KeyCode::PageUp => self.scroll.saturating_sub(self.page),
            KeyCode::PageDown => self.scroll + self.page,
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => usize::MAX / 2,
            _ => self.scroll,
        };
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(character) if self.order.filter.chars().count() < FILTER_CHARS_MAX => {
                self.order.filter.push(character);
            }
            KeyCode::Backspace => drop(self.order.filter.pop()),
            KeyCode::Enter => self.filter_before = None,
            KeyCode::Esc => {
                self.order.filter = self.filter_before.take().unwrap_or_default();
            }
            _ => {}
        }
    }

    /// Escape: one step back, and out at the first.
    fn go_back(&mut self, view: View) -> Flow {
        match view {
            View::Table if self.order.filter.is_empty() => return Flow::Quit,
            View::Table => self.order.filter.clear(),
            _ => self.leave_view(),
        }
        Flow::Continue
    }

    fn enter_view(&mut self, view: View) {
        self.views.push(view);
        self.scroll = 0;
    }

    fn leave_view(&mut self) {
        self.views.pop();
        self.scroll = 0;
    }

    fn choose(&mut self, to: impl FnOnce(usize, usize) -> usize) {
        let (shown, at) = self.shown();
        let at = to(at, self.page).min(shown.len().saturating_sub(1));
        self.chosen = shown.get(at).map(|row| row.key.clone());
        self.chosen_at = at;
    }

    fn sort_by_next(&mut self, forward: bool) {
        self.order.sort = self.order.sort.next_among(&self.columns, forward);
        self.order.is_reversed = false;
    }
}
