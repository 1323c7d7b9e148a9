//! The views as they look at several sizes, and what keys do.

use attach::target::Pid;
use clap::Parser;
use model::catalogue::{EVENTLOOP_AWAY, EVENTLOOP_STALL_OBSERVED, LOOPSCOPE_TIER_ACTIVE, THREADPOOL_THREADS};
use model::label::{LabelValue, ThreadState};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::{Color, Modifier};

use super::state::{Flow, State, View};
use crate::cli::{Cli, Command};
use crate::top::column::Column;
use crate::top::notes::Notes;
use crate::top::testing::{Host, expect_golden, host};
use crate::top::theme::Theme;

/// What is shown after two intervals, with these arguments.
fn state(arguments: &[&str]) -> State {
    let mut state = begun(arguments);
    for intervals in 0..3 {
        assert_eq!(state.take(host(intervals)), Flow::Continue);
    }
    state
}

fn begun(arguments: &[&str]) -> State {
    let words = ["loopscope", "top", "--interval", "2s"].iter().chain(arguments);
    let Command::Top(options) = Cli::try_parse_from(words).unwrap().command else {
        panic!("another command")
    };
    State::new(&options)
}

fn drawn(state: &mut State, width: u16, height: u16, theme: Theme) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| super::draw(state, theme, frame.buffer_mut())).unwrap();
    terminal.backend().buffer().clone()
}

fn screen(state: &mut State, width: u16, height: u16) -> String {
    let buffer = drawn(state, width, height, Theme::new(false));
    let mut text = String::new();
    for y in 0..height {
        let mut line = String::new();
        let mut x = 0;
        while x < width {
            let symbol = buffer[(x, y)].symbol();
            line += symbol;
            // A wide character takes the next cell, too.
            x += (ratatui::text::Span::raw(symbol).width() as u16).max(1);
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn press(state: &mut State, keys: &str) -> Flow {
    let mut flow = Flow::Continue;
    for key in keys.split(' ') {
        let code = match key {
            "Enter" => KeyCode::Enter,
            "Esc" => KeyCode::Esc,
            "Down" => KeyCode::Down,
            "Up" => KeyCode::Up,
            "End" => KeyCode::End,
            "Right" => KeyCode::Right,
            "Backspace" => KeyCode::Backspace,
            key => KeyCode::Char(key.chars().next().unwrap()),
        };
        flow = state.press(KeyEvent::new(code, KeyModifiers::NONE));
    }
    flow
}

fn chosen(state: &State) -> String {
    let (shown, at) = state.shown();
    let row = shown[at];
    format!("{}/{}", row.service, row.key.loop_name.as_deref().unwrap_or("-"))
}

#[test]
fn the_table_looks_well_at_every_size() {
    for (width, height) in [(40, 12), (60, 20), (80, 24), (120, 30), (160, 50)] {
        expect_golden(&format!("table-{width}x{height}.txt"), &screen(&mut state(&[]), width, height));
    }
}

#[test]
fn a_loop_in_detail_looks_well_at_every_size() {
    for (service, name) in [("shop", "published"), ("checkout", "probed"), ("node", "observed")] {
        for (width, height) in [(80, 24), (160, 50)] {
            let mut state = state(&["--filter", service, "--sort", "iter"]);
            press(&mut state, "Enter");
            expect_golden(&format!("detail-{name}-{width}x{height}.txt"), &screen(&mut state, width, height));
        }
    }
    let mut state = state(&["--filter", "checkout"]);
    press(&mut state, "Enter End");
    expect_golden("detail-probed-80x24-end.txt", &screen(&mut state, 80, 24));
}

#[test]
fn help_and_messages_look_well() {
    for (width, height) in [(60, 50), (80, 40), (160, 30)] {
        let mut state = state(&[]);
        press(&mut state, "?");
        expect_golden(&format!("help-{width}x{height}.txt"), &screen(&mut state, width, height));
    }
    let mut state = state(&[]);
    state.tell(vec!["process 812 (node): measured from outside: observe".to_owned()]);
    press(&mut state, "m");
    expect_golden("messages-80x10.txt", &screen(&mut state, 80, 10));
}

#[test]
fn an_empty_table_tells_what_may_be_the_reason() {
    let mut empty = begun(&[]);
    expect_golden("empty-before-80x10.txt", &screen(&mut empty, 80, 10));
    empty.take(Host::default().reading(0));
    empty
        .tell(vec!["some processes (7) may not be looked at: run as root or with CAP_SYS_PTRACE".to_owned()]);
    expect_golden("empty-80x10.txt", &screen(&mut empty, 80, 10));
    expect_golden("empty-filter-80x10.txt", &screen(&mut state(&["--filter", "nothing"]), 80, 10));
    let mut other = begun(&["--pid", "77"]);
    other.take(Host::default().reading(0));
    other.tell(vec!["process 5: publishes telemetry".to_owned(), "process 77: not sealed".to_owned()]);
    let screen = screen(&mut other, 80, 10);
    assert!(
        screen.contains("process 77: not sealed") && screen.contains("loopscope inspect --pid 77"),
        "{screen}"
    );
    assert!(!screen.contains("process 5"), "{screen}");
}

#[test]
fn processes_that_have_ended_are_told_of_and_nothing_is_advised_on_them() {
    let mut state = begun(&["--pid", "77"]);
    let ended = || Host::default().reading(1).with(Notes::default(), [Pid::new(77)].into());
    state.take(ended());
    state.tell(vec!["process 77: no longer measured from outside: it has ended".to_owned()]);
    let shown = screen(&mut state, 80, 10);
    assert!(shown.contains("process 77 has ended"), "{shown}");
    assert!(!shown.contains("inspect") && !shown.contains("no longer"), "{shown}");
}

#[test]
fn the_keys_that_lead_on_and_out_are_there_at_every_width() {
    for width in 17..100 {
        for keys in ["r", "Enter"] {
            let mut state = state(&[]);
            press(&mut state, keys);
            let shown = screen(&mut state, width, 12);
            assert!(shown.trim_end().ends_with("? help  q quit"), "{width}: {shown}");
        }
    }
    let title = screen(&mut state(&[]), 60, 12);
    assert!(title.lines().next().unwrap().ends_with("1/6"), "{title}");
}

#[test]
fn figures_of_tasks_are_whole_or_left_out() {
    for (width, is_there) in [(60, true), (50, false)] {
        let mut state = state(&["--filter", "shop", "--sort", "iter"]);
        press(&mut state, "Enter");
        let shown = screen(&mut state, width, 60);
        let titles = shown.lines().find(|line| line.starts_with("TASKS")).unwrap();
        let figures = shown.lines().find(|line| line.starts_with("fs ")).unwrap();
        assert_eq!(titles.ends_with("LATE99"), is_there, "{shown}");
        assert!(figures.ends_with('s') && figures.chars().count() <= width.into(), "{shown}");
        assert_eq!(titles.split_whitespace().count(), figures.split_whitespace().count(), "{shown}");
    }
}

#[test]
fn the_title_of_a_loop_in_detail_keeps_what_tells_it_from_another() {
    let mut host = Host::default();
    let mut process = host.process("payments-gateway-production-eu", 4_194_303);
    process.of_loop("worker-12").gauge(&EVENTLOOP_AWAY, &[], 0);
    let mut state = begun(&[]);
    state.take(host.reading(0));
    press(&mut state, "Enter");
    let shown = screen(&mut state, 60, 12);
    let title = shown.lines().next().unwrap();
    assert!(
        title.starts_with("payments-") && title.ends_with("tion-eu  process 4194303  loop worker-12"),
        "{title}"
    );
}

#[test]
fn a_pool_that_was_not_used_yet_and_lag_that_nothing_caught_are_told_as_what_they_are() {
    let reading = |intervals: u64| {
        let mut host = Host::default();
        let notes = host.notes(9);
        notes.unseen_ns.insert("main".to_owned(), 62_000_000);
        let mut process = host.process("quiet", 9);
        process.gauge(&LOOPSCOPE_TIER_ACTIVE, &["observe"], 1);
        for state in ThreadState::ALL {
            process.gauge(&THREADPOOL_THREADS, &[state.as_str()], 0);
        }
        let mut main = process.of_loop("main");
        main.gauge(&EVENTLOOP_AWAY, &[], 0).histogram(&EVENTLOOP_STALL_OBSERVED, &[], &[(1, 5)]);
        host.reading(intervals)
    };
    let mut state = begun(&[]);
    for intervals in 0..2 {
        state.take(reading(intervals));
    }
    let table = screen(&mut state, 80, 10);
    assert!(table.contains("<62ms") && table.contains("0/0"), "{table}");
    press(&mut state, "Enter");
    let detail = screen(&mut state, 80, 24);
    assert!(detail.contains("POOL  not used yet") && !detail.contains("POOL  not measured"), "{detail}");
    assert!(detail.contains("STALLS  none was caught; those missed took less than 62ms"), "{detail}");
}

#[test]
fn every_view_fits_every_terminal() {
    for keys in ["r", "Enter", "?", "m", "/ 4 7"] {
        for (width, height) in [(1, 1), (2, 3), (9, 4), (27, 7), (300, 5), (1000, 200)] {
            let mut state = state(&[]);
            press(&mut state, keys);
            drawn(&mut state, width, height, Theme::new(true));
        }
    }
}

#[test]
fn what_is_worrying_is_coloured_unless_no_colour_is_wanted() {
    let colours = |theme| {
        let buffer = drawn(&mut state(&[]), 160, 20, theme);
        let colours = buffer.content.iter().map(|cell| cell.fg).filter(|&colour| colour != Color::Reset);
        colours.collect::<std::collections::HashSet<_>>()
    };
    assert!(colours(Theme::new(true)).is_superset(&[Color::Red, Color::Yellow].into()));
    assert!(colours(Theme::new(false)).is_empty());
    let buffer = drawn(&mut state(&[]), 160, 20, Theme::new(false));
    assert!(buffer[(0, 2)].modifier.contains(Modifier::REVERSED), "the chosen row is seen without colours");
}

#[test]
fn the_chosen_loop_stays_chosen_wherever_it_sorts_to() {
    let mut state = state(&[]);
    press(&mut state, "Down Down");
    let before = chosen(&state);
    press(&mut state, "r");
    assert_eq!(chosen(&state), before);
    press(&mut state, "Enter s");
    assert_eq!((state.view(), chosen(&state)), (View::Detail, before.clone()));
    press(&mut state, "Right");
    assert!(state.view() == View::Detail && chosen(&state) != before);
}

#[test]
fn the_choice_stops_at_both_ends() {
    let mut state = state(&[]);
    press(&mut state, "Up");
    assert_eq!(state.shown().1, 0);
    press(&mut state, "End Down");
    assert_eq!(state.shown().1, state.shown().0.len() - 1);
}

#[test]
fn sorting_goes_from_column_to_column_among_those_that_are_shown() {
    let mut state = state(&[]);
    screen(&mut state, 80, 24);
    let mut sorted = vec![state.order.sort];
    loop {
        press(&mut state, "s");
        if state.order.sort == sorted[0] {
            break;
        }
        sorted.push(state.order.sort);
    }
    assert_eq!(sorted.len(), state.columns.len());
    assert!(!sorted.contains(&Column::Share), "there is no room for it");
    press(&mut state, "S s");
    assert_eq!(state.order.sort, sorted[0]);
}

#[test]
fn a_filter_is_applied_while_it_is_typed_and_undone_by_escape() {
    let mut state = state(&[]);
    let all = state.shown().0.len();
    press(&mut state, "/ S H O q");
    assert_eq!((state.shown().0.len(), state.is_typing()), (0, true));
    press(&mut state, "Backspace");
    assert_eq!(state.shown().0.len(), 2);
    press(&mut state, "Enter / w o");
    press(&mut state, "Esc");
    assert_eq!((state.order.filter.as_str(), state.is_typing()), ("SHO", false));
    assert_eq!(press(&mut state, "Esc"), Flow::Continue);
    assert_eq!(state.shown().0.len(), all);
    assert_eq!(press(&mut state, "Esc"), Flow::Quit);
}

#[test]
fn escape_leads_back_step_by_step() {
    let mut state = state(&[]);
    press(&mut state, "Enter ?");
    assert_eq!(state.view(), View::Help);
    press(&mut state, "Esc");
    assert_eq!(state.view(), View::Detail);
    press(&mut state, "Esc");
    assert_eq!(state.view(), View::Table);
    assert_eq!(press(&mut state, "q"), Flow::Quit);
}

#[test]
fn while_paused_nothing_changes_and_afterwards_only_the_last_interval_counts() {
    let mut state = state(&[]);
    let before = state.rows().to_vec();
    press(&mut state, "p");
    for intervals in 3..9 {
        state.take(host(intervals));
        assert_eq!(state.rows(), before);
    }
    assert!(screen(&mut state, 80, 24).contains("PAUSED"));
    press(&mut state, "p");
    state.take(host(9));
    assert_eq!(state.rows(), before, "the host does the same each interval");
}

#[test]
fn it_ends_after_as_many_intervals_as_were_asked_for() {
    let mut state = begun(&["-n", "2"]);
    let flows: Vec<_> = (0..3).map(|intervals| state.take(host(intervals))).collect();
    assert_eq!(flows, [Flow::Continue, Flow::Continue, Flow::Quit]);
}

#[test]
fn a_loop_that_ends_while_it_is_looked_at_gives_way_to_another() {
    let mut state = state(&["--sort", "service", "--filter", "shop"]);
    press(&mut state, "Down Enter");
    assert_eq!(chosen(&state), "shop/worker-1");
    let mut rest = Host::default();
    rest.process("shop", 4711).of_loop("main").counter(&model::catalogue::EVENTLOOP_ITERATIONS, &[], 1);
    state.take(rest.reading(3));
    assert_eq!(chosen(&state), "shop/main");
    state.take(Host::default().reading(4));
    assert!(screen(&mut state, 80, 24).contains("no event loop found"));
}

#[test]
fn control_keys_end_and_suspend_even_while_a_filter_is_typed() {
    for (character, flow) in [('c', Flow::Quit), ('z', Flow::Suspend)] {
        let mut state = state(&[]);
        press(&mut state, "/");
        assert_eq!(state.press(KeyEvent::new(KeyCode::Char(character), KeyModifiers::CONTROL)), flow);
    }
}
