//! `SIGHUP` takes the continuous profiler to another receiver, ends it, and begins it where there was none.

use std::fs;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::folder::Folder;
use loopscope_tests::loopscope::{Agent, Demo};
use loopscope_tests::pyroscope::Pyroscope;
use loopscope_tests::requirement;

#[test]
fn another_receiver_gets_the_profiles_from_then_on_and_whoever_is_named_first_begins() {
    if !requirement::root() {
        return;
    }
    let demo = Demo::start(&["--rate", "307"]);
    let (first, second) = (Pyroscope::start(0), Pyroscope::start(0));
    let folder = Folder::new("profiling-reload");
    let file = folder.file("agent.toml");
    let to = |receiver: &Pyroscope, more: &str| {
        // Nobody else's programs.
        let rules = "[[rule]]\ncommand = '*demo --rate 307*'\nprofile = true\n[[rule]]\ninclude = false\n";
        format!("[profiling]\ninterval = '1s'\npyroscope = '{}'\n{more}{rules}", receiver.url())
    };
    fs::write(&file, "").expect("our own file");
    let agent = Agent::start_with(&["--config", file.to_str().expect("UTF-8")]);
    let reload = |text: &str, word: &str| {
        let before = agent.told().matches(word).count();
        fs::write(&file, text).expect("our own file");
        agent.signal("HUP");
        wait_for(word, SOON, || (agent.told().matches(word).count() > before).then_some(()));
    };
    let wait_for_more = |receiver: &Pyroscope| {
        let before = receiver.pushed().len();
        let is_own = |pushed: &loopscope_tests::pyroscope::Pushed| {
            pushed.label("pid") == Some(demo.pid().to_string().as_str())
        };
        wait_for("a profile of the demo", 2 * SOON, || {
            receiver.pushed()[before..].iter().any(is_own).then_some(())
        });
    };

    reload(&to(&first, ""), "exporting profiles by");
    wait_for_more(&first);
    reload(&to(&first, "certificate = '/nowhere'\n").replace("http://", "https://"), "stays in use");
    wait_for_more(&first);
    reload(&to(&second, ""), "exporting profiles by");
    let of_first = first.pushed().len();
    wait_for_more(&second);
    wait_for_more(&second);
    assert_eq!(first.pushed().len(), of_first, "the one before gets nothing any more");
    let profiled = || agent.scrape().value("loopscope_profiled_processes", &[]);
    wait_for("the demo to be profiled", SOON, || profiled().filter(|count| *count >= 1.0));
    reload("", "nobody is profiled any more");
    let of_second = second.pushed().len();
    assert_eq!(profiled(), Some(0.0));
    reload(&to(&first, ""), "exporting profiles by");
    wait_for_more(&first);
    assert_eq!(second.pushed().len(), of_second);
}
