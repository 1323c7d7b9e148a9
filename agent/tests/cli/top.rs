//! `loopscope top`: the table on a terminal, in a pipe and as JSON.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::program::{loopscope, run, stderr, stdout, wait_until};
use super::publisher::{Command, Publisher};
use super::terminal::terminal;

/// The table on a terminal, as a person sees it.
struct Screen {
    child: Child,
    keyboard: File,
    /// What the program wrote since the last look.
    written: Receiver<Vec<u8>>,
    parser: vt100::Parser,
}

impl Screen {
    fn start(arguments: &[&str], columns: u16, rows: u16) -> Self {
        let (keyboard, program_side) = terminal();
        set_size(&keyboard, columns, rows);
        let mut command = loopscope(&["top", "--interval", "200ms"]);
        command.args(arguments).env("TERM", "xterm-256color");
        command.stdin(program_side.try_clone().unwrap()).stdout(program_side.try_clone().unwrap());
        let child = command.stderr(program_side).spawn().unwrap();
        let mut output = keyboard.try_clone().unwrap();
        let (wrote, written) = channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The other side is closed when the program has ended.
            while let Ok(count) = output.read(&mut bytes) {
                if wrote.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keyboard, written, parser: vt100::Parser::new(cells(rows), cells(columns), 0) }
    }

    /// Waits until the screen is as it should be.
    fn expect(&mut self, what: &str, holds: impl Fn(&vt100::Screen) -> bool) {
        wait_until(&format!("{what}; there was\n{}", self.parser.screen().contents()), || {
            match self.written.recv_timeout(Duration::from_millis(50)) {
                Ok(bytes) => self.parser.process(&bytes),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(5)),
            }
            holds(self.parser.screen())
        });
    }

    fn expect_text(&mut self, text: &str) {
        self.expect(&format!("{text:?} is on the screen"), |screen| screen.contents().contains(text));
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until the program has ended, and checks that the terminal is as it was before.
    fn expect_end(mut self) {
        let mut status = None;
        wait_until("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert_eq!(status.unwrap().code(), Some(0), "{}", self.parser.screen().contents());
        self.expect("the terminal is given back", |screen| {
            !screen.alternate_screen() && !screen.hide_cursor()
        });
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).unwrap()
}

fn set_size(terminal: &File, columns: u16, rows: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).unwrap();
}

/// The words of the line that tells of a publisher.
fn row_of(table: &str, publisher: &Publisher) -> Option<Vec<String>> {
    let pid = publisher.pid().to_string();
    let rows = table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    rows.into_iter().find(|words| words.get(1) == Some(&pid))
}

#[test]
fn a_table_on_a_terminal_shows_loops_and_leads_to_their_detail_and_back() {
    let publisher = Publisher::that_does(Command::Publish, "seen-by-top");
    let pid = publisher.pid().to_string();
    let mut screen = Screen::start(&["--pid", &pid], 100, 24);
    screen.expect_text("1 loop in 1 process");
    screen.expect_text("seen-by-top");
    screen.press(b"\r");
    screen.expect_text(&format!("process {pid}  loop main"));
    screen.press(b"?");
    screen.expect_text("sort by the next or previous column");
    screen.press(b"\x1b");
    screen.expect_text("MEASURED");
    screen.press(b"\x1b");
    screen.expect_text("WAIT99");
    screen.press(b"/nothing-like-that");
    screen.expect_text("no event loop matches");
    screen.press(b"\x1b");
    screen.expect_text("seen-by-top");
    screen.press(b"q");
    screen.expect_end();
}

#[test]
fn the_terminal_is_given_back_however_the_table_ends() {
    type End = (&'static str, fn(&mut Screen));
    let ends: [End; 5] = [
        ("q", |screen| screen.press(b"q")),
        ("Ctrl-C", |screen| screen.press(b"\x03")),
        ("SIGTERM", |screen| screen.signal(Signal::TERM)),
        ("SIGINT", |screen| screen.signal(Signal::INT)),
        ("SIGHUP", |screen| screen.signal(Signal::HUP)),
    ];
    for (name, end) in ends {
        let mut screen = Screen::start(&[], 80, 24);
        let line_modes = |screen: &Screen| tcgetattr(&screen.keyboard).unwrap().local_modes;
        screen.expect("the terminal is taken over", |screen| screen.alternate_screen());
        screen.expect_text("UTIL%");
        assert!(!line_modes(&screen).contains(LocalModes::ECHO), "{name}");
        end(&mut screen);
        let keyboard = screen.keyboard.try_clone().unwrap();
        screen.expect_end();
        let modes = tcgetattr(&keyboard).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ECHO | LocalModes::ICANON), "{name}");
    }
}

#[test]
fn a_terminal_that_changes_its_size_is_drawn_anew() {
    let publisher = Publisher::that_does(Command::Publish, "resized");
    let mut screen = Screen::start(&["--pid", &publisher.pid().to_string()], 60, 10);
    screen.expect_text("LAGMAX");
    assert!(!screen.parser.screen().contents().contains("SHARE%"));
    screen.parser.screen_mut().set_size(cells(30), cells(160));
    set_size(&screen.keyboard, 160, 30);
    screen.signal(Signal::WINCH);
    screen.expect_text("SHARE%");
    screen.expect_text("resized");
    screen.press(b"q");
    screen.expect_end();
}

#[test]
fn colours_are_left_out_where_none_are_wanted() {
    for (no_color, has_colors) in [("", true), ("1", false)] {
        let (screen, program_side) = terminal();
        set_size(&screen, 80, 24);
        // The filter stands in the title, in a colour.
        let mut command = loopscope(&["top", "--interval", "100ms", "-n", "1", "--filter", "some"]);
        command.env("TERM", "xterm-256color").env("NO_COLOR", no_color);
        command.stdin(program_side.try_clone().unwrap()).stdout(program_side);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        drop(command);
        let (mut written, mut bytes, mut screen) = (Vec::new(), [0; 4096], screen);
        while let Ok(count) = screen.read(&mut bytes) {
            written.extend_from_slice(&bytes[..count]);
        }
        assert!(child.wait().unwrap().success());
        let written = String::from_utf8_lossy(&written);
        assert_eq!(written.contains("\x1b[38;5;"), has_colors, "{written:?}");
        assert!(written.contains("\x1b[?1049l"), "{written:?}");
    }
}

#[test]
fn one_table_for_a_script_has_all_columns_and_no_escape_codes() {
    let publisher = Publisher::that_does(Command::Publish, "scripted");
    let output = run(&["top", "--once", "--interval", "100ms", "--filter", "SCRIPTED"]);
    assert!(output.status.success() && stderr(&output).is_empty(), "{}", stderr(&output));
    let table = stdout(&output);
    assert!(!table.contains('\x1b'), "{table:?}");
    assert_eq!(table.lines().count(), 2, "{table}");
    let titles: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
    let row = row_of(&table, &publisher).unwrap();
    assert_eq!(row.len(), titles.len());
    let figure = |title: &str| row[titles.iter().position(|other| *other == title).unwrap()].as_str();
    assert_eq!((figure("SERVICE"), figure("LOOP"), figure("ITER/S")), ("scripted", "main", "0"));
    // It publishes no such things, so they are not measured, and not zero.
    assert_eq!((figure("UTIL%"), figure("POOL"), figure("QUEUE"), figure("PHASE")), ("-", "-", "-", "-"));
    assert!(figure("MEM").ends_with('M'), "{table}");
}

#[test]
fn a_pipe_gets_a_table_each_interval_until_nobody_reads_any_more() {
    let publisher = Publisher::that_does(Command::Publish, "piped");
    let output = run(&["top", "--interval", "100ms", "-n", "3", "--pid", &publisher.pid().to_string()]);
    assert!(output.status.success());
    let tables = stdout(&output);
    assert_eq!(
        tables.split("\n\n").filter(|table| row_of(table, &publisher).is_some()).count(),
        3,
        "{tables}"
    );

    let mut command = loopscope(&["top", "--interval", "100ms", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with('{'));
    drop(lines);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), String::new()));
}

#[test]
fn json_tells_the_same_with_units_in_the_names_and_null_for_what_is_not_measured() {
    let publisher = Publisher::that_does(Command::Publish, "as \"json\"");
    let pid = publisher.pid();
    let output = run(&["top", "--once", "--json", "--interval", "100ms", "--pid", &pid.to_string()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let json = stdout(&output);
    assert_eq!(json.lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["interval_seconds"].as_f64().unwrap() >= 0.1);
    let only = &json["loops"][0];
    assert_eq!((&only["service"], &only["pid"]), (&"as \"json\"".into(), &pid.into()));
    assert!(only["resident_memory_bytes"].as_u64().unwrap() > 100_000);
    assert_eq!(only["iterations_per_second"].as_f64(), Some(0.0));
    assert!(only["utilization_ratio"].is_null() && only["lag_p99_seconds"].is_null());
}

#[test]
fn a_demo_under_load_shows_figures_that_hang_together() {
    let mut command = loopscope(&["demo", "--rate", "300", "--block", "60ms", "--duration", "30s"]);
    let mut demo = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = demo.id().to_string();
    let mut json = serde_json::Value::Null;
    wait_until("the demo blocks its loop within an interval", || {
        let output = run(&["top", "--once", "--json", "--interval", "600ms", "--pid", &pid]);
        json = serde_json::from_str(&stdout(&output)).unwrap();
        json["loops"][0]["lag_max_seconds"].as_f64().is_some_and(|lag| lag >= 0.057)
    });
    demo.kill().unwrap();
    demo.wait().unwrap();
    let main = &json["loops"][0];
    let figure = |name: &str| main[name].as_f64().unwrap_or_else(|| panic!("{name} in {main:#}"));
    assert!(figure("lag_p50_seconds") <= figure("lag_p99_seconds"), "{main:#}");
    assert!(figure("lag_p99_seconds") <= figure("lag_max_seconds"), "{main:#}");
    assert!((0.05..=1.0).contains(&figure("utilization_ratio")), "{main:#}");
    assert_eq!(main["busiest_phase"], "poll_callbacks", "{main:#}");
    assert!(figure("iterations_per_second") > 1.0 && figure("pool_threads") >= 1.0, "{main:#}");
    assert!(figure("queue_wait_p99_seconds") > 0.0, "{main:#}");
}

#[test]
fn a_process_without_an_event_loop_and_one_that_does_not_exist_are_failures_and_told() {
    let silent = Publisher::start("silent");
    for further in [&["--once"][..], &["-n", "2"], &["--once", "--json"]] {
        let pid = silent.pid().to_string();
        let output = run(&[&["top", "--interval", "100ms", "--pid", &pid], further].concat());
        assert_eq!(output.status.code(), Some(1), "{further:?}");
        assert!(!stdout(&output).is_empty(), "{further:?}");
        let told = stderr(&output);
        assert!(told.contains(&format!("no event loop found in process {pid}")), "{told}");
        assert!(told.contains("loopscope inspect --pid"), "{told}");
    }

    let output = run(&["top", "--once", "--pid", "2147483647"]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(1), String::new()));
    assert!(stderr(&output).contains("2147483647"));
}

#[test]
fn a_pipe_and_a_terminal_are_told_when_the_named_process_has_ended() {
    let publisher = Publisher::that_does(Command::Publish, "short-lived");
    let pid = publisher.pid().to_string();
    let mut screen = Screen::start(&["--pid", &pid], 80, 24);
    screen.expect_text("short-lived");
    let mut command = loopscope(&["top", "--interval", "100ms", "--pid", &pid]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("short-lived")));
    drop(publisher);
    assert!(lines.all(|line| line.is_ok()));
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("process {pid} has ended")), "{}", stderr(&output));
    screen.expect_text(&format!("process {pid} has ended"));
    assert!(!screen.parser.screen().contents().contains("inspect"));
    screen.press(b"q");
    screen.expect_end();
}

#[test]
fn wrong_usage_is_explained() {
    for arguments in [
        &["--interval", "1ms"][..],
        &["--sort", "beauty"],
        &["--tier", "deep"],
        &["-n", "0"],
        &["--once", "-n", "2"],
    ] {
        let output = run(&[&["top"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("--help"), "{}", stderr(&output));
    }
}
