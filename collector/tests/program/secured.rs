//! Who may send and ask: TLS, clients' certificates and passwords, over HTTP and over gRPC, as curl and others see them.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tests::{loopscope, requirement};

use crate::certificates::Files;
use crate::otlp::send_as;
use crate::server::Server;

/// `right`, by bcrypt at cost 4, so that tests need not wait for it.
const HASH_OF_RIGHT: &str = "$2b$04$KBCwKxOzLha2MUDgW0PjXerbncD/VslLhLn1xjJSVv6IfOoAikHZO";
/// `shop:right` and `shop:wrong`, as a request carries them.
const RIGHT: &str = "Basic c2hvcDpyaWdodA==";
const WRONG: &str = "Basic c2hvcDp3cm9uZw==";

const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";
const CLIENTS: &str = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: authority.crt\n";

/// Files of a server, and of a client whose certificate is good.
fn files(name: &str) -> Option<Files> {
    requirement::program("openssl")?;
    requirement::program("curl")?;
    let files = Files::new(name);
    files.authority("authority");
    files.certificate("server", "authority", "IP:127.0.0.1");
    files.certificate("client", "authority", "DNS:client.example");
    Some(files)
}

fn users() -> String {
    format!("basic_auth_users:\n  shop: {HASH_OF_RIGHT}\n")
}

fn start(files: &Files, web: &str) -> Server {
    let web = files.write("web.yml", web);
    Server::start(files.path("data").as_ref(), &["--web-config", &web])
}

/// Asks by curl, which trusts our authority.
fn curl(files: &Files, server: &Server, path: &str, options: &[&str]) -> Output {
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--include", "--max-time", "60"]);
    command.arg("--cacert").arg(files.path("authority.crt")).args(options);
    command.arg(format!("https://{}{path}", server.address)).output().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn who_has_no_certificate_or_no_password_neither_sends_nor_asks() {
    let Some(files) = files("collector-secured") else { return };
    let server = start(&files, &format!("{TLS}{CLIENTS}{}", users()));
    let (certificate, key) = (files.path("client.crt"), files.path("client.key"));
    let own = ["--cert", certificate.as_str(), "--key", key.as_str()];
    let profile = ["--data-binary", "main;work 3"];
    let ask = |path: &str, more: &[&str]| text(&curl(&files, &server, path, &[&own[..], more].concat()));
    for path in ["/", "/metrics", "/-/healthy", "/api/v1/services", "/ingest?name=shop&format=folded"] {
        let without_certificate = curl(&files, &server, path, &["--user", "shop:right"]);
        assert!(!without_certificate.status.success(), "{path}: {}", text(&without_certificate));
        for more in [&[][..], &["--user", "shop:wrong"], &["--user", "eve:right"]] {
            let answer =
                ask(path, &[more, if path.starts_with("/ingest") { &profile } else { &[] }].concat());
            assert!(
                answer.contains(" 401 ") && answer.contains("www-authenticate: Basic"),
                "{path}: {answer}"
            );
        }
    }
    let services = ask("/api/v1/services", &["--user", "shop:right"]);
    assert!(services.contains("{\"services\":[]}"), "what was refused is not stored: {services}");
    for version in ["--http1.1", "--http2"] {
        let sending = [&["--user", "shop:right", version], &profile[..]].concat();
        let sent = ask("/ingest?name=shop&format=folded", &sending);
        assert!(sent.contains(" 200 "), "{sent}");
    }
    let folded = ask("/api/v1/flamegraph?format=folded", &["--user", "shop:right"]);
    assert!(folded.contains("main;work 60000000"), "{folded}");
    let page = ask("/", &["--user", "shop:right"]);
    assert!(page.contains(" 200 ") && page.contains("<!doctype html>"), "{page}");
    let clear = crate::client::ask(server.address, "GET", "/-/healthy", &[], &[]);
    assert!(clear.is_err(), "{clear:?}");
}

#[test]
fn a_call_of_grpc_is_let_in_by_certificate_and_password_and_told_that_it_is_not() {
    let Some(files) = files("collector-grpc") else { return };
    let server = start(&files, &format!("{TLS}{CLIENTS}{}", users()));
    let folder = files.path("");
    let send = |authorization: &str| {
        let variables = [("CLIENT_FILES", folder.as_str()), ("CLIENT_AUTHORIZATION", authorization)];
        send_as(&server, "grpc-gzip", false, &variables)
    };
    let Some(refused) = send(WRONG) else { return };
    assert!(refused.starts_with("UNAUTHENTICATED"), "{refused}");
    assert_eq!(send(RIGHT).as_deref(), Some("ok"));
    // A certificate of nobody whom the server knows.
    files.authority("stranger");
    files.certificate("client", "stranger", "DNS:client.example");
    let refused = send(RIGHT).unwrap();
    assert!(refused.starts_with("UNAVAILABLE"), "{refused}");
}

#[test]
fn in_the_clear_grpc_needs_the_password_as_well() {
    let Some(files) = files("collector-clear") else { return };
    let server = start(&files, &users());
    let send =
        |authorization: &str| send_as(&server, "grpc", false, &[("CLIENT_AUTHORIZATION", authorization)]);
    let Some(refused) = send(WRONG) else { return };
    assert!(refused.starts_with("UNAUTHENTICATED"), "{refused}");
    assert_eq!(send(RIGHT).as_deref(), Some("ok"));
    server.get("/api/v1/services").expect(401);
}

#[test]
fn files_are_uploaded_over_tls_with_a_certificate_and_a_password() {
    let Some(files) = files("collector-upload") else { return };
    let server = start(&files, &format!("{TLS}{CLIENTS}{}", users()));
    let profile = files.write("profile.folded", "main;work 3\n");
    let password = files.write("password", "right\n");
    let upload = |options: &[&str], variables: &[(&str, &str)]| {
        let mut command = loopscope::command();
        command.args(["upload", &profile, "--service", "shop"]);
        command.arg("--to").arg(format!("https://{}", server.address)).args(options);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), text(&output))
    };
    let [authority, certificate, key] =
        ["authority.crt", "client.crt", "client.key"].map(|name| files.path(name));
    let trust = ["--certificate", authority.as_str()];
    let own = [&trust[..], &["--client-certificate", &certificate, "--client-key", &key]].concat();
    let user = [&own[..], &["--user", "shop", "--password-file", &password]].concat();
    for (options, variables, part) in [
        (&[][..], &[][..], "no TLS"),
        (&trust, &[], ""),
        (&own, &[], "401"),
        (&own, &[("LOOPSCOPE_UPLOAD_USER", "shop"), ("LOOPSCOPE_UPLOAD_PASSWORD", "wrong")], "401"),
    ] {
        let (status, told) = upload(options, variables);
        assert!(status == Some(1) && told.contains(part), "{options:?}: {told}");
    }
    let (status, told) = upload(&[&own[..], &["--user", "shop"]].concat(), &[]);
    assert!(status == Some(2) && told.contains("LOOPSCOPE_UPLOAD_PASSWORD"), "{told}");
    for (options, variables) in [
        (&user, &[][..]),
        (&own, &[("LOOPSCOPE_UPLOAD_USER", "shop"), ("LOOPSCOPE_UPLOAD_PASSWORD", "right")]),
        (&own, &[("LOOPSCOPE_UPLOAD_HEADERS", "authorization=Basic%20c2hvcDpyaWdodA==")]),
        (&[&own[..], &["--header", "authorization=Basic c2hvcDpyaWdodA=="]].concat(), &[]),
    ] {
        let (status, told) = upload(options, variables);
        assert_eq!(status, Some(0), "{options:?} {variables:?}: {told}");
    }
    let mut asking = vec!["--user", "shop:right", "--cert", &certificate, "--key", &key];
    asking.push("--compressed");
    let folded = text(&curl(&files, &server, "/api/v1/flamegraph?format=folded", &asking));
    assert!(folded.contains("main;work 120000000"), "four times three samples: {folded}");
}

#[test]
fn renewed_certificates_and_changed_users_hold_without_a_restart_and_a_file_cut_short_opens_nothing() {
    let Some(files) = files("collector-renewed") else { return };
    let server = start(&files, &format!("{TLS}{}", users()));
    let status = |user: &str| text(&curl(&files, &server, "/-/healthy", &["--user", user]));
    assert!(status("shop:right").contains(" 200 "));
    files.certificate("server", "authority", "DNS:elsewhere.example");
    wait_until("the new certificate is served", || status("shop:right").contains("SSL"));
    files.certificate("server", "authority", "IP:127.0.0.1");
    wait_until("the right certificate is served", || status("shop:right").contains(" 200 "));
    files.write("web.yml", &format!("{TLS}{}", users().replace("shop", "shop2")));
    wait_until("another user is known", || status("shop2:right").contains(" 200 "));
    assert!(status("shop:right").contains(" 401 "));
    // It would open everything; only the operator's word does.
    files.write("web.yml", "");
    wait_until("the collector has looked, and refuses the file", || {
        assert!(status("shop2:right").contains(" 200 ") && status("x:y").contains(" 401 "));
        server.told().contains("no longer asks for TLS, a password")
    });
    let hung_up = Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap();
    assert!(hung_up.success());
    let clear = || crate::client::ask(server.address, "GET", "/-/healthy", &[], &[]);
    wait_until("everybody may ask, in the clear", || clear().is_ok_and(|answer| answer.status == 200));
}

#[test]
fn a_web_configuration_that_is_wrong_is_told_with_its_key() {
    let Some(files) = files("collector-wrong") else { return };
    let web = files.write("web.yml", "tls_server_config:\n  cert_fle: server.crt\n");
    let config = files.write("collector.toml", "web_config = 'web.yml'\n");
    for options in [["--web-config", &web], ["--config", &config]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loopscope-collector"));
        let output = command.args(options).args(["--data", &files.path("data")]).output().unwrap();
        let told = text(&output);
        assert!(output.status.code() == Some(2) && told.contains("web.yml"), "{options:?}: {told}");
        assert!(told.contains("did you mean `cert_file`?"), "{told}");
    }
}
