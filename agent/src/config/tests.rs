//! What a file says, what it gets wrong, and what of it is documented.

use super::*;
use attach::target::Facts;
use clap::Parser;

fn options(words: &[&str]) -> AgentOptions {
    let cli = cli::Cli::parse_from([&["loopscope", "agent"], words].concat());
    let cli::Command::Agent(options) = cli.command else { panic!("it is the agent's") };
    options
}

fn facts(command: &str) -> Facts {
    Facts {
        service: "shop".into(),
        program: "node".into(),
        name: "node".into(),
        command: command.into(),
        ..Facts::default()
    }
}

#[test]
fn the_first_rule_that_fits_decides() {
    let text = "tier = 'observe,loop'\nbudget = '2%'\nslow = '20ms'\n\
                [[rule]]\ncommand = '*batch*'\ninclude = false\n\
                [[rule]]\nname = 'no*'\ntier = 'all'\nrename = 'store'\n";
    let file = parse(Path::new("x.toml"), text).unwrap();
    assert_eq!((file.budget, file.slow), (Some(0.02), Some(Duration::from_millis(20))));
    let rules = Rules::new(file.tier.unwrap(), file.rule);
    assert_eq!(rules.decide(&facts("node batch.js")), Decision::Exclude);
    let measured = Decision::Measure { tiers: Tiers::ALL, service: Some("store".into()) };
    assert_eq!(rules.decide(&facts("node web.js")), measured);
    let other = Facts { program: "python3.11".into(), name: "python3".into(), ..facts("python3 web.py") };
    let tiers = Tiers::only(Tier::Observe).with(Tier::Loop);
    assert_eq!(rules.decide(&other), Decision::Measure { tiers, service: None });
}

#[test]
fn a_name_fits_the_program_or_its_main_thread() {
    let decide = |pattern: &str, program: &str, name: &str| {
        let text = format!("[[rule]]\nname = '{pattern}'\ninclude = false\n");
        let file = parse(Path::new("x"), &text).unwrap();
        let facts = Facts { program: program.into(), name: name.into(), ..Facts::default() };
        Rules::new(Tiers::only(Tier::Observe), file.rule).decide(&facts)
    };
    assert_eq!(decide("node", "node", "MainThread"), Decision::Exclude);
    assert_eq!(decide("node", "node", "node-MainThread"), Decision::Exclude);
    assert_eq!(decide("Main*", "node", "MainThread"), Decision::Exclude);
    assert_eq!(decide("api", "node", "api"), Decision::Exclude, "a title that it gave itself");
    assert!(matches!(decide("node", "nodemon", "MainThread"), Decision::Measure { .. }));
}

#[test]
fn a_rule_with_several_patterns_wants_all_of_them() {
    let file = parse(Path::new("x"), "[[rule]]\nname = 'node'\nuser = 7\ninclude = false\n").unwrap();
    let rules = Rules::new(Tiers::only(Tier::Observe), file.rule);
    assert!(matches!(rules.decide(&facts("node a.js")), Decision::Measure { .. }));
    let of_user = Facts { user: Some(7), ..facts("node a.js") };
    assert_eq!(rules.decide(&of_user), Decision::Exclude);
}

#[test]
fn a_user_is_called_by_number_or_by_name() {
    for user in ["0", "'root'", "'0'"] {
        let file = parse(Path::new("x"), &format!("[[rule]]\nuser = {user}\ninclude = false\n")).unwrap();
        let rules = Rules::new(Tiers::only(Tier::Observe), file.rule);
        let of = |user| rules.decide(&Facts { user, ..facts("node a.js") });
        assert_eq!(of(Some(0)), Decision::Exclude, "{user}");
        assert!(matches!(of(Some(7)), Decision::Measure { .. }), "{user}");
        assert!(matches!(of(None), Decision::Measure { .. }), "{user}");
    }
}

#[test]
fn a_control_group_fits_by_the_path_of_any_hierarchy() {
    let file = parse(Path::new("x"), "[[rule]]\ncgroup = '*/kubepods*'\ninclude = false\n").unwrap();
    let rules = Rules::new(Tiers::only(Tier::Observe), file.rule);
    let of = |cgroups: &[&str]| {
        let cgroups = cgroups.iter().map(|&path| path.to_owned()).collect();
        rules.decide(&Facts { cgroups, ..facts("node a.js") })
    };
    assert_eq!(of(&["/kubepods.slice/x"]), Decision::Exclude);
    assert_eq!(of(&["/", "/kubepods/x", "/system.slice"]), Decision::Exclude);
    assert!(matches!(of(&["/", "/system.slice"]), Decision::Measure { .. }));
    assert!(matches!(of(&[]), Decision::Measure { .. }));
}

#[test]
fn the_least_budget_is_told_as_it_is() {
    let file = parse(Path::new("x"), "budget = '0.0001%'").unwrap();
    let settings = Settings::of(file, &options(&[])).to_string();
    assert!(settings.contains("budget   0.0001% of a core"), "{settings}");
}

#[test]
fn an_option_comes_before_the_file() {
    let file = |text| parse(Path::new("x.toml"), text).unwrap();
    let text = "listen = '127.0.0.1:1'\ntier = 'loop'\nbudget = '2%'\nslow = '20ms'\n";
    assert_eq!(Settings::of(file(text), &options(&[])).listen, "127.0.0.1:1".parse().unwrap());
    let words =
        ["--listen", "127.0.0.1:2", "--tier", "pool", "--budget", "3%", "--slow", "1s", "--prom-client"];
    let told = Settings::of(file(text), &options(&words)).to_string();
    assert_eq!(told, Settings::of(file(""), &options(&words)).to_string());
    assert!(told.contains("3%") && told.contains("1s") && told.contains("prom-client"), "{told}");
    let defaults = Settings::of(file(""), &options(&[])).to_string();
    assert_eq!(defaults, Settings::default().to_string());
}

#[test]
fn what_was_understood_is_told() {
    let text = "budget = '0.5%'\nslow = '20ms'\nprom_client = true\n\
                [[rule]]\nname = 'no*'\nuser = 7\ninclude = false\n\
                [[rule]]\nuser = 'root'\ninclude = false\n[[rule]]\ntier = 'all'\nrename = 'store'\n";
    let file = parse(Path::new("x.toml"), text).unwrap();
    let settings = Settings::of(file, &options(&[])).to_string();
    let expected = "listen   127.0.0.1:9464\ntier     observe\nbudget   0.5% of a core for each process\nslow     20ms\n\
                    names    loopscope, prom-client\nrule 1   name 'no*' and user 7: left out\nrule 2   user root (0): left out\n\
                    rule 3   every process: measured, tier observe,loop,phases,pool, as service 'store'\n";
    assert_eq!(settings, expected);
}

#[test]
fn every_documented_example_is_understood() {
    let document = include_str!("../../../docs/configuration.md");
    let examples: Vec<_> = document.split("```toml\n").skip(1).collect();
    assert!(!examples.is_empty());
    for example in examples {
        let (example, _) = example.split_once("```").unwrap();
        parse(Path::new("configuration.md"), example).unwrap();
    }
}

#[test]
fn what_the_file_gets_wrong_is_told_with_its_line() {
    for (text, part) in [
        ("teir = 'all'", "unknown field `teir`, expected one of `listen`, `tier`"),
        ("teir = 'all'", "did you mean `tier`?"),
        ("[[rule]]\nnme = 'x'", "did you mean `name`?"),
        ("[[rule]]\nincluded = false", "did you mean `include`?"),
        ("prom-client = true", "did you mean `prom_client`?"),
        ("listen = 'nowhere'", "give an address and a port such as 127.0.0.1:9464"),
        ("slow = 50", "invalid type: integer `50`, expected a string"),
        ("tier = 'al'", "\"al\" is no tier"),
        ("[[rule]]\nnme = 'x'", "line 2"),
        ("budget = 'much'", "is no share of a core"),
        ("budget = '0.0000000001'", "\"0.0000000001\" is too little for any probe"),
        ("budget = '0.0000000001'", "give at least 0.0001%"),
        ("budget = '0.00009%'", "line 1"),
        ("[[rule]]\nuser = 'no such user'", "has no user \"no such user\""),
        ("[[rule]]\nuser = 'no such user'", "line 2"),
        ("[[rule]]\nuser = -1", "-1 is no number of a user"),
        ("[[rule]]\nuser = true", "expected the number or the name of a user"),
    ] {
        let error = parse(Path::new("agent.toml"), text).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("agent.toml"), "{error}");
    }
}

#[test]
fn a_web_configuration_lies_beside_the_file_that_names_it() {
    let file = |text| parse(Path::new("x.toml"), text).unwrap();
    let named = |text, words: &[&str]| Settings::of(file(text), &options(words)).web_config;
    let config = ["--config", "/etc/loopscope/agent.toml"];
    assert_eq!(named("web_config = 'web.yml'", &config), Some("/etc/loopscope/web.yml".into()));
    assert_eq!(named("web_config = '/srv/web.yml'", &config), Some("/srv/web.yml".into()));
    let both = [&config[..], &["--web-config", "own.yml"]].concat();
    assert_eq!(named("web_config = 'web.yml'", &both), Some("own.yml".into()));
}

#[test]
fn an_option_may_take_back_what_the_file_says() {
    let file = || parse(Path::new("x.toml"), "prom_client = true").unwrap();
    let names = |words: &[&str]| Settings::of(file(), &options(words)).names;
    assert_eq!(names(&[]), Names::Both);
    assert_eq!(names(&["--prom-client=false"]), Names::Loopscope);
    assert_eq!(names(&["--prom-client"]), Names::Both);
}

#[test]
fn a_rule_says_who_is_profiled_and_comes_before_what_holds_for_all() {
    use attach::target::{Facts, Pid, Process};
    let own = Process::open(Pid::new(std::process::id())).unwrap();
    let facts = Facts::read(&own).unwrap();
    let profiles = |text: &str, all| {
        let mut settings = Settings::of(parse(Path::new("x.toml"), text).unwrap(), &options(&[]));
        settings.rules.profile_unless_told(all);
        (settings.rules.profiles(&facts), settings.rules.ask_for_profiles())
    };
    assert_eq!(profiles("", false), (false, false));
    assert_eq!(profiles("", true), (true, true));
    assert_eq!(profiles("[[rule]]\nprofile = true", false), (true, true));
    assert_eq!(profiles("[[rule]]\nname = 'other'\nprofile = true", false), (false, true));
    assert_eq!(profiles("[[rule]]\nprofile = false", true), (false, true));
    assert_eq!(profiles("[[rule]]\ninclude = false", true), (false, true));
}

#[test]
fn whom_a_rule_may_treat_otherwise_is_looked_at_and_all_others_are_not() {
    let for_all = |text: &str, usual| {
        let mut settings = Settings::of(parse(Path::new("x.toml"), text).unwrap(), &options(&[]));
        settings.rules.profile_unless_told(usual);
        settings.rules.profile_all()
    };
    for usual in [false, true] {
        assert_eq!(for_all("", usual), Some(usual));
        assert_eq!(for_all("[[rule]]\nname = 'node'\ntier = 'loop'", usual), Some(usual));
        let same = format!("[[rule]]\nname = 'node'\nprofile = {usual}");
        assert_eq!(for_all(&same, usual), Some(usual));
        let other = format!("[[rule]]\nname = 'node'\nprofile = {}", !usual);
        assert_eq!(for_all(&other, usual), None);
    }
    assert_eq!(for_all("[[rule]]\ninclude = false", true), None);
    assert_eq!(for_all("[[rule]]\ninclude = false\nprofile = true", false), Some(false));
}
