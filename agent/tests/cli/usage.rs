//! Help, versions, wrong usage, completions and man pages.

use super::program::{run, stderr, stdout};

#[test]
fn without_arguments_the_help_is_shown_and_the_status_is_2() {
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("Usage: loopscope"), "{}", stderr(&output));
}

#[test]
fn the_version_is_the_packages() {
    let output = run(&["--version"]);
    assert_eq!(stdout(&output), format!("loopscope {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_is_explained_and_the_status_is_2() {
    for arguments in [&["agent", "--listen", "nowhere"][..], &["fly"], &["agent", "--fast"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains("--help"), "{}", stderr(&output));
    }
}

#[test]
fn help_tells_the_exit_statuses_and_examples() {
    assert!(stdout(&run(&["--help"])).contains("Exit status"));
    assert!(stdout(&run(&["agent", "--help"])).contains("Examples:\n  loopscope agent"));
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success());
        assert!(stdout(&output).contains("loopscope"), "{shell}");
    }
}

#[test]
fn every_command_has_a_man_page() {
    let directory = std::env::temp_dir().join(format!("loopscope-man-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    assert!(run(&["man", directory.to_str().unwrap()]).status.success());
    for page in ["loopscope.1", "loopscope-agent.1"] {
        let page = std::fs::read_to_string(directory.join(page)).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}
