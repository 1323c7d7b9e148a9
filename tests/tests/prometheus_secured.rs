//! A real Prometheus scrapes over TLS, with a certificate and a password of its own.

#[path = "../../agent/tests/cli/certificates.rs"]
mod certificates;

use certificates::Files;
use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::loopscope::Agent;
use loopscope_tests::prometheus::{Scrapes, Server};
use loopscope_tests::requirement;

/// `right`, by bcrypt.
const HASH: &str = "$2b$04$KBCwKxOzLha2MUDgW0PjXerbncD/VslLhLn1xjJSVv6IfOoAikHZO";

#[test]
fn prometheus_is_let_in_by_its_certificate_and_its_password_and_not_by_one_of_them() {
    if requirement::program("openssl").is_none() {
        return;
    }
    let files = Files::new("prometheus-secured");
    files.authority("authority");
    files.certificate("server", "authority", "IP:127.0.0.1");
    files.certificate("prometheus", "authority", "DNS:prometheus.example");
    let web = files.write(
        "web.yml",
        &format!(
            "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_auth_type: RequireAndVerifyClientCert\n  \
             client_ca_file: authority.crt\n  client_allowed_sans: [prometheus.example]\nbasic_auth_users:\n  prometheus: {HASH}\n"
        ),
    );
    let agent = Agent::start_with(&["--web-config", &web]);
    let authority = files.path("authority.crt");
    let own =
        format!("cert_file: {}, key_file: {}", files.path("prometheus.crt"), files.path("prometheus.key"));
    let password = |word: &str| format!(", basic_auth: {{username: prometheus, password: {word}}}");
    let tls = |own: &str| format!(", scheme: https, tls_config: {{ca_file: {authority}, {own}}}");
    for (more, up) in [
        (tls(&own) + &password("right"), 1.0),
        (tls(&own) + &password("wrong"), 0.0),
        (tls("") + &password("right"), 0.0),
    ] {
        let Some(server) = Server::start_with(agent.address(), Scrapes::Native, &more) else { return };
        wait_for("a scrape", SOON, || (!server.query("up").is_empty()).then_some(()));
        server.wait_for_value("up", |value| value == up);
        let known = !server.query("loopscope_build_info").is_empty();
        assert_eq!(known, up == 1.0, "{more}");
    }
}
