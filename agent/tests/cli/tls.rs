//! TLS of the agent, as curl and openssl see it: versions, clients' certificates, certificates that are replaced.

use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use super::certificates::Files;
use super::program::{PATIENCE, stderr, stdout, wait_until};
use super::secure::{has, start};

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
fn versions_of_tls_and_http_are_those_that_the_file_asks_for() {
    if !has(&["curl", "openssl"]) {
        return;
    }
    let files = Files::new("versions");
    let more = "  min_version: TLS13\nhttp_server_config: {http2: false}\n";
    let (_agent, address) = start(&tls(&files, more));
    assert!(stdout(&curl(&files, address, "/metrics", &["--http2"])).contains("HTTP/1.1 200"));
    assert!(!is_served(&curl(&files, address, "/metrics", &["--tls-max", "1.2"])));
    let more = "  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n";
    let (_agent, address) = start(&tls(&files, more));
    let suite = |name: &str| curl(&files, address, "/metrics", &["--tls-max", "1.2", "--ciphers", name]);
    assert!(is_served(&suite("ECDHE-ECDSA-AES256-GCM-SHA384")));
    assert!(!is_served(&suite("ECDHE-ECDSA-AES128-GCM-SHA256")), "it was not asked for");
    assert!(!is_served(&curl(&files, address, "/metrics", &["--tlsv1.3"])));
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
