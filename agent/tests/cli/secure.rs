//! Who may scrape: passwords, limits, and what a web configuration gets wrong. What TLS does of it is in `tls`.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use rustix::process::Signal;

use super::certificates::Files;
use super::http::{get, send};
use super::program::{Running, loopscope, run, stderr, stdout, wait_until};

/// `right`, by bcrypt at cost 4, so that tests need not wait for it.
const HASH_OF_RIGHT: &str = "$2b$04$KBCwKxOzLha2MUDgW0PjXerbncD/VslLhLn1xjJSVv6IfOoAikHZO";

/// `alice:right`, `alice:wrong` and `eve:guess`, as a request carries them.
const RIGHT: &str = "authorization: Basic YWxpY2U6cmlnaHQ=";
const WRONG: &str = "authorization: Basic YWxpY2U6d3Jvbmc=";
const GUESS: &str = "authorization: Basic ZXZlOmd1ZXNz";

/// Whether programs are there; says so if not.
#[expect(clippy::print_stderr, reason = "a test that cannot run here says so")]
pub(crate) fn has(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing: Vec<_> = programs
        .iter()
        .filter(|program| !std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
        .collect();
    if !missing.is_empty() {
        assert!(std::env::var_os("CI").is_none(), "{missing:?} are missing");
        eprintln!("SKIPPED: {missing:?} are missing; `cargo xtask test` installs them");
    }
    missing.is_empty()
}

/// An agent with a web configuration.
pub(crate) fn start(web_config: &str) -> (Running, SocketAddr) {
    let mut agent =
        Running::start(&mut loopscope(&["agent", "--listen", "127.0.0.1:0", "--web-config", web_config]));
    let line = agent.expect_line("serving metrics on http");
    let address = line.split("://").nth(1).unwrap().trim_end_matches("/metrics").parse().unwrap();
    (agent, address)
}

#[test]
fn a_wrong_password_is_refused_and_cannot_hold_up_the_right_one() {
    let files = Files::new("passwords");
    // Eve's hash is dear: a guess takes some hundred milliseconds.
    let dear = HASH_OF_RIGHT.replace("$04$", "$13$");
    let text = format!("basic_auth_users:\n  alice: {HASH_OF_RIGHT}\n  eve: {dear}\n");
    let (_agent, address) = start(&files.write("web.yml", &text));
    for headers in [&[][..], &[WRONG], &["authorization: Bearer x"], &["authorization: Basic !"]] {
        for path in ["/metrics", "/slow", "/-/healthy", "/", "/nothing"] {
            let answer = get(address, path, headers);
            assert_eq!(answer.status, 401, "{headers:?} {path}");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Basic"));
            assert!(!answer.text().contains("loopscope_"));
        }
    }
    assert_eq!(get(address, "/metrics", &[RIGHT]).status, 200);

    let guesses: Vec<_> =
        (0..6).map(|_| std::thread::spawn(move || get(address, "/metrics", &[GUESS]).status)).collect();
    assert_eq!(get(address, "/metrics", &[RIGHT]).status, 200);
    assert!(!guesses.iter().all(|guess| guess.is_finished()), "the scrape did not wait for the guesses");
    assert!(guesses.into_iter().all(|guess| guess.join().unwrap() == 401));

    // A user who is taken out of the file is out.
    files.write("web.yml", &format!("basic_auth_users:\n  eve: {dear}\n"));
    wait_until("alice is refused", || get(address, "/-/healthy", &[RIGHT]).status == 401);
}

#[test]
fn a_file_that_was_cut_short_opens_nothing_without_the_operators_word() {
    let files = Files::new("short");
    let (mut agent, address) =
        start(&files.write("web.yml", &format!("basic_auth_users:\n  alice: {HASH_OF_RIGHT}\n")));
    assert_eq!(get(address, "/metrics", &[RIGHT]).status, 200);
    files.write("web.yml", "");
    wait_until("the agent has looked", || {
        assert_eq!(get(address, "/metrics", &[]).status, 401);
        get(address, "/metrics", &[RIGHT]).text().contains("loopscope_config_last_reload_successful 0")
    });
    assert!(agent.expect_line("stays in use").contains("no longer asks for a password"));
    agent.signal(Signal::HUP);
    agent.expect_line("configuration read again: HTTP in the clear, no passwords");
    wait_until("everybody may ask", || get(address, "/metrics", &[]).status == 200);
}

#[test]
fn more_requests_than_the_limit_are_refused_until_it_is_over() {
    let files = Files::new("limit");
    let (_agent, address) = start(&files.write("web.yml", "rate_limit:\n  interval: 1s\n  burst: 3\n"));
    let statuses: Vec<_> = (0..8).map(|_| get(address, "/-/healthy", &[]).status).collect();
    assert!(statuses[..3].iter().all(|&status| status == 200), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    let refused = get(address, "/metrics", &[]);
    assert!(refused.status == 200 || refused.header("retry-after").is_some());
    wait_until("requests are let through again", || get(address, "/-/healthy", &[]).status == 200);
}

#[test]
fn a_web_configuration_that_is_wrong_is_told_with_its_key() {
    let files = Files::new("wrong");
    for (text, parts) in [
        ("tls_config: {}", &["`tls_config`"][..]),
        (
            "tls_server_config:\n  cert_file: nowhere.crt\n  key_file: x",
            &["cert_file", "nowhere.crt", "No such file"],
        ),
        ("basic_auth_users:\n  eve: plaintext", &["eve", "htpasswd"]),
        ("http_server_config:\n  headers:\n    X-Mine: x", &["X-Mine", "X-Frame-Options"]),
        ("http_server_config:\n  headers:\n    X-Frame-Options: maybe", &["maybe", "sameorigin"]),
        ("rate_limit:\n  interval: 1s", &["burst"]),
        ("tls_server_config:\n  client_auth_type: RequireAndVerifyClientCert", &["cert_file is missing"]),
    ] {
        let path = files.write("web.yml", text);
        let output = run(&["agent", "--listen", "127.0.0.1:0", "--web-config", &path]);
        assert_eq!(output.status.code(), Some(2), "{text}");
        let message = stderr(&output);
        for part in [&[path.as_str()], parts].concat() {
            assert!(message.contains(part), "{text}: {message}");
        }
    }
    let missing = run(&["agent", "--web-config", "/nowhere/web.yml"]);
    assert!(stderr(&missing).contains("/nowhere/web.yml"), "{}", stderr(&missing));
    let folder = run(&["agent", "--web-config", Path::new(&files.path("")).to_str().unwrap()]);
    assert!(stderr(&folder).contains("no regular file"), "{}", stderr(&folder));
    let path = files.write("web.yml", &format!("basic_auth_users:\n  alice: {HASH_OF_RIGHT}\n"));
    let checked = run(&["agent", "--check", "--web-config", &path]);
    assert!(
        stdout(&checked).contains("web      HTTP in the clear, passwords of 1 users"),
        "{}",
        stdout(&checked)
    );
}

#[test]
fn clients_that_send_nothing_do_not_keep_others_out() {
    let files = Files::new("crowd");
    let (_agent, address) = start(&files.write("web.yml", ""));
    // More than are served at the same time: those behind wait until those before are cut off.
    let crowd: Vec<_> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(get(address, "/-/healthy", &[]).status, 200);
    let long = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(20_000));
    assert!(matches!(send(address, long.as_bytes()).status, 400 | 431));
    drop(crowd);
}

#[test]
fn variables_of_the_environment_come_after_options_and_before_the_file() {
    let files = Files::new("variables");
    let config = files.write("agent.toml", "slow = '20ms'\nbudget = '2%'\nprom_client = true\n");
    let output = loopscope(&["agent", "--check", "--slow", "1s"])
        .envs([("LOOPSCOPE_CONFIG", config.as_str()), ("LOOPSCOPE_SLOW", "2s"), ("LOOPSCOPE_BUDGET", "3%")])
        .env("LOOPSCOPE_PROM_CLIENT", "no")
        .output()
        .unwrap();
    let told = stdout(&output);
    for line in ["slow     1s", "budget   3% of a core", "names    loopscope\n"] {
        assert!(told.contains(line), "{told}{}", stderr(&output));
    }
    let wrong = loopscope(&["agent", "--check"]).env("LOOPSCOPE_TIER", "deep").output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("deep"), "{}", stderr(&wrong));
    let help = stdout(&run(&["agent", "--help"]));
    for name in ["LISTEN", "TIER", "BUDGET", "SLOW", "PROM_CLIENT", "CONFIG", "WEB_CONFIG"] {
        assert!(help.contains(&format!("[env: LOOPSCOPE_{name}=")), "{name}: {help}");
    }
}
