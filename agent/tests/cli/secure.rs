//! Who may scrape, and over what: TLS, clients' certificates, passwords, limits, as curl and openssl see them.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use rustix::process::Signal;

use super::certificates::Files;
use super::http::{get, send};
use super::program::{PATIENCE, Running, loopscope, run, stderr, stdout, wait_until};

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
fn start(web_config: &str) -> (Running, SocketAddr) {
    let mut agent =
        Running::start(&mut loopscope(&["agent", "--listen", "127.0.0.1:0", "--web-config", web_config]));
    let line = agent.expect_line("serving metrics on http");
    let address = line.split("://").nth(1).unwrap().trim_end_matches("/metrics").parse().unwrap();
    (agent, address)
}

/// Asks by curl, which trusts one authority.
fn curl(files: &Files, address: SocketAddr, path: &str, options: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--include", "--max-time", "30"]);
    command.arg("--cacert").arg(files.path("authority.crt")).args(options);
    command.arg(format!("https://{address}{path}")).output().unwrap()
}

fn is_served(output: &Output) -> bool {
    output.status.success() && stdout(output).contains("loopscope_build_info")
}

fn tls(files: &Files, more: &str) -> String {
    files.authority("authority");
    files.certificate("server", "authority", "IP:127.0.0.1");
    files.write(
        "web.yml",
        &format!("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{more}"),
    )
}

#[test]
fn a_scrape_over_tls_works_in_both_versions_of_http_and_in_the_clear_it_does_not() {
    if !has(&["curl", "openssl"]) {
        return;
    }
    let files = Files::new("tls");
    let more = "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    Strict-Transport-Security: max-age=60\n";
    let (mut agent, address) = start(&tls(&files, more));
    assert!(agent.expect_line("serving metrics on").contains("https://"));
    for (version, status) in [("--http2", "HTTP/2 200"), ("--http1.1", "HTTP/1.1 200")] {
        let answer = curl(&files, address, "/metrics", &[version]);
        assert!(is_served(&answer), "{} {}", stdout(&answer), stderr(&answer));
        let text = stdout(&answer);
        assert!(text.contains(status), "{text}");
        assert!(text.contains("x-frame-options: deny") && text.contains("max-age=60"), "{text}");
    }
    for version in ["--tls-max=1.2", "--tlsv1.3"] {
        let options: Vec<_> = version.split('=').collect();
        assert!(is_served(&curl(&files, address, "/metrics", &options)), "{version}");
    }
    let clear =
        Command::new("curl").args(["--silent", &format!("http://{address}/metrics")]).output().unwrap();
    assert!(!clear.status.success() && clear.stdout.is_empty());
    // Who waits with the handshake is cut off.
    let mut idle = TcpStream::connect(address).unwrap();
    idle.set_read_timeout(Some(PATIENCE)).unwrap();
    let ended = std::io::Read::read(&mut idle, &mut [0; 16]);
    assert!(matches!(ended, Ok(0)), "{ended:?}");
}

#[test]
fn a_connection_of_http_2_that_asks_for_nothing_is_closed() {
    if !has(&["openssl"]) {
        return;
    }
    let files = Files::new("idle");
    let (_agent, address) = start(&tls(&files, ""));
    let mut command = Command::new("openssl");
    command.args(["s_client", "-quiet", "-alpn", "h2", "-connect", &address.to_string()]);
    // Its input stays open, so it ends only when the agent ends the connection.
    let mut client =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    let ended = || client.try_wait().unwrap().is_some() || began.elapsed() > PATIENCE;
    wait_until("the connection ends", ended);
    let is_ended = client.try_wait().unwrap().is_some();
    let _ = client.kill();
    let _ = client.wait();
    assert!(is_ended);
}

#[test]
fn a_clients_certificate_is_asked_for_as_the_policy_says() {
    if !has(&["curl", "openssl"]) {
        return;
    }
    let files = Files::new("clients");
    files.authority("stranger");
    tls(&files, "");
    files.certificate("scraper", "authority", "DNS:scraper.example,IP:10.0.0.7");
    files.certificate("other", "authority", "DNS:other.example");
    files.certificate("strange", "stranger", "DNS:scraper.example");
    let names = ["", "scraper", "other", "strange"];
    let only_names = "\n  client_allowed_sans: ['scraper.example', 'x']";
    let only_number = "\n  client_allowed_sans: ['10.0.0.7']";
    for (policy, more, served) in [
        ("RequireAndVerifyClientCert", "", [false, true, true, false]),
        ("VerifyClientCertIfGiven", "", [true, true, true, false]),
        ("RequireAnyClientCert", "", [false, true, true, true]),
        ("RequestClientCert", "", [true, true, true, true]),
        ("RequireAndVerifyClientCert", only_names, [false, true, false, false]),
        ("RequireAndVerifyClientCert", only_number, [false, true, false, false]),
    ] {
        let authority = if policy.contains("Verify") { "\n  client_ca_file: authority.crt" } else { "" };
        let text = format!(
            "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_auth_type: {policy}{authority}{more}\n"
        );
        let (_agent, address) = start(&files.write("clients.yml", &text));
        for (name, expected) in names.iter().zip(served) {
            let (certificate, key) = (files.path(&format!("{name}.crt")), files.path(&format!("{name}.key")));
            let own = ["--cert", &certificate, "--key", &key];
            let answer = curl(&files, address, "/metrics", if name.is_empty() { &[] } else { &own });
            assert_eq!(is_served(&answer), expected, "{policy}{more} {name:?}: {}", stderr(&answer));
        }
    }
}

#[test]
fn a_certificate_that_was_replaced_is_served_without_a_restart() {
    if !has(&["curl", "openssl"]) {
        return;
    }
    let files = Files::new("replaced");
    let (mut agent, address) = start(&tls(&files, ""));
    assert!(is_served(&curl(&files, address, "/metrics", &[])));
    // One for another host: the file is the same, what it holds is not.
    files.certificate("server", "authority", "DNS:elsewhere.example");
    wait_until("the new certificate is served", || {
        stderr(&curl(&files, address, "/metrics", &[])).contains("SSL")
    });
    // A key that is not the certificate's: the pair before stays.
    files.certificate("server", "authority", "IP:127.0.0.1");
    wait_until("the right certificate is served", || is_served(&curl(&files, address, "/metrics", &[])));
    files.certificate("unused", "authority", "IP:127.0.0.1");
    std::fs::copy(files.path("unused.key"), files.path("server.key")).unwrap();
    wait_until("the agent has looked", || {
        assert!(is_served(&curl(&files, address, "/metrics", &[])), "the pair before is served");
        let metrics = stdout(&curl(&files, address, "/metrics", &[]));
        metrics.contains("loopscope_config_last_reload_successful 0")
    });
    let told = agent.expect_line("stays in use");
    assert!(told.contains("key_file"), "{told}");
    std::fs::copy(files.path("unused.crt"), files.path("server.crt")).unwrap();
    wait_until("both fit again", || {
        let metrics = stdout(&curl(&files, address, "/metrics", &[]));
        metrics.contains("loopscope_config_last_reload_successful 1")
    });
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
