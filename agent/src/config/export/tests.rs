//! What options, variables and the file make together.

use super::*;

fn export(option: Option<&str>, variables: &[(&str, &str)], file: &str) -> Result<Option<Export>, String> {
    of_signal(Signal::Metrics, option, variables, file)
}

fn of_signal(
    signal: Signal,
    option: Option<&str>,
    variables: &[(&str, &str)],
    file: &str,
) -> Result<Option<Export>, String> {
    let environment = |name: &str| {
        let found = variables.iter().find(|(own, _)| *own == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let file: Written = toml::from_str(file).unwrap();
    Export::new(Given { option, environment: &environment, file: &file, signal })
        .map_err(|error| error.to_string())
}

fn told(option: Option<&str>, variables: &[(&str, &str)], file: &str) -> String {
    match export(option, variables, file) {
        Ok(Some(export)) => export.to_string(),
        Ok(None) => "none".to_owned(),
        Err(message) => message,
    }
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";

#[test]
fn without_an_endpoint_nothing_is_exported() {
    assert_eq!(
        told(None, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), (ENDPOINT, " ")], "timeout = '1s'"),
        "none"
    );
}

#[test]
fn an_option_comes_before_variables_and_those_before_the_file() {
    let rest = ", every 1m, cumulative, gzip";
    let file = "endpoint = 'http://file'";
    let variables = [(ENDPOINT, "http://all"), (METRICS_ENDPOINT, "http://metrics/x")];
    for (option, variables, expected) in [
        (Some("http://option"), &variables[..], "OTLP/HTTP to http://option:4318/v1/metrics"),
        (None, &variables[..], "OTLP/HTTP to http://metrics:4318/x"),
        (None, &variables[..1], "OTLP/HTTP to http://all:4318/v1/metrics"),
        (None, &[], "OTLP/HTTP to http://file:4318/v1/metrics"),
    ] {
        assert_eq!(told(option, variables, file), format!("{expected}{rest}"));
    }
    let variables = [("OTEL_METRIC_EXPORT_INTERVAL", "5000"), ("OTEL_EXPORTER_OTLP_COMPRESSION", "none")];
    let file = "endpoint = 'http://x'\ninterval = '9s'\ncompression = 'gzip'\ntemporality = 'delta'";
    assert_eq!(
        told(None, &variables, file),
        "OTLP/HTTP to http://x:4318/v1/metrics, every 5s, delta, not compressed"
    );
}

#[test]
fn the_path_of_metrics_is_appended_to_what_is_for_all_signals_only() {
    let path = |variable, url| export(None, &[(variable, url)], "").unwrap().unwrap().endpoint.path;
    for (url, base, whole) in [
        ("http://x", "/v1/metrics", "/"),
        ("http://x/", "/v1/metrics", "/"),
        ("http://x/a/b/", "/a/b/v1/metrics", "/a/b/"),
        ("http://x/v1/metrics", "/v1/metrics/v1/metrics", "/v1/metrics"),
        ("http://x/a?key=1", "/a/v1/metrics?key=1", "/a?key=1"),
    ] {
        assert_eq!(
            (path(ENDPOINT, url).as_str(), path(METRICS_ENDPOINT, url).as_str()),
            (base, whole),
            "{url}"
        );
    }
    let given = export(Some("http://x/v1/metrics"), &[], "").unwrap().unwrap();
    assert_eq!(given.endpoint.path, "/v1/metrics");
}

#[test]
fn the_protocol_follows_the_port_unless_it_is_given() {
    let grpc =
        [("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")];
    for (url, variables, expected) in [
        ("http://x:4317", &[][..], "OTLP/gRPC to http://x:4317,"),
        ("http://x:4318", &[], "OTLP/HTTP to http://x:4318/v1/metrics,"),
        ("http://x", &grpc, "OTLP/gRPC to http://x:4317,"),
        ("http://x:4317", &grpc[1..], "OTLP/HTTP to http://x:4317/v1/metrics,"),
        ("https://x", &[], "OTLP/HTTP to https://x:443/v1/metrics,"),
        ("https://[::1]:4317", &[], "OTLP/gRPC to https://[::1]:4317,"),
        ("x:4317", &[], "OTLP/gRPC to https://x:4317,"),
        ("x:4317", &[("OTEL_EXPORTER_OTLP_INSECURE", "true")], "OTLP/gRPC to http://x:4317,"),
    ] {
        let told = told(Some(url), variables, "");
        assert!(told.starts_with(expected), "{url}: {told}");
    }
}

#[test]
fn headers_are_decoded_and_never_shown() {
    let variables = [("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20c2VjcmV0, x-scope = a%2Cb%3D ,")];
    let export = export(Some("http://x"), &variables, "[headers]\nlost = 'x'").unwrap().unwrap();
    let headers: Vec<_> =
        export.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(headers, [("authorization", "Basic c2VjcmV0"), ("x-scope", "a,b=")]);
    let shown = format!("{export} {export:?}");
    assert!(shown.contains("with authorization, x-scope") && !shown.contains("c2VjcmV0"), "{shown}");
    let file = "[headers]\nauthorization = 'Bearer abc'";
    assert_eq!(
        super::Export::new(Given {
            option: Some("http://x"),
            environment: &|_| None,
            file: &toml::from_str(file).unwrap(),
            signal: Signal::Metrics,
        })
        .unwrap()
        .unwrap()
        .headers[0]
            .1,
        "Bearer abc"
    );
}

#[test]
fn what_makes_no_sense_is_told_with_where_it_stands() {
    for (name, value, part) in [
        (ENDPOINT, "ftp://x", "begins neither with http://"),
        (ENDPOINT, "http://", "is no endpoint"),
        (ENDPOINT, "http://me:secret@x", "give them as a header"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "every receiver takes http/protobuf"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "10s", "no number of milliseconds"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "it is gzip or none"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "x", "cumulative, delta or lowmemory"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret", "has no `=`"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a b=1", "no name of a header"),
    ] {
        let option = (name != ENDPOINT).then_some("http://x");
        let said = told(option, &[(name, value)], "");
        assert!(said.starts_with(name) && said.contains(part), "{said}");
    }
    for (file, part) in [("queue = '0MiB'", "`queue` in [otlp]"), ("flush = '5'", "`flush` in [otlp]")] {
        assert!(told(Some("http://x"), &[], file).contains(part), "{file}");
    }
    assert!(
        told(Some("x:1"), &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")], "")
            .contains("--otlp-endpoint")
    );
}

#[test]
fn each_signal_has_its_variables_and_its_path() {
    let path = |signal, option: Option<&str>, variables: &[(&str, &str)]| {
        let export = of_signal(signal, option, variables, "buffer = '/x'").unwrap().unwrap();
        let folder = match signal {
            Signal::Metrics => "/x",
            Signal::Profiles | Signal::Pyroscope => "/x/profiles",
            Signal::Traces => "/x/traces",
        };
        assert_eq!(export.buffer.as_deref(), Some(std::path::Path::new(folder)));
        export.endpoint.path
    };
    for (signal, expected) in [
        (Signal::Metrics, "/a/v1/metrics"),
        (Signal::Profiles, "/a/v1development/profiles"),
        (Signal::Traces, "/a/v1/traces"),
    ] {
        assert_eq!(path(signal, None, &[(ENDPOINT, "http://x/a")]), expected);
        // Somebody named the path of metrics before there was anything else.
        assert_eq!(path(signal, Some("http://x/a/v1/metrics"), &[]), expected);
    }
    let own = "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT";
    assert_eq!(path(Signal::Profiles, None, &[(ENDPOINT, "http://x/a"), (own, "http://y/b")]), "/b");
    assert_eq!(of_signal(Signal::Metrics, None, &[(own, "http://y/b")], "").map(|it| it.is_none()), Ok(true));
}

#[test]
fn a_pyroscope_has_a_port_of_its_own() {
    let endpoint = |url| Export::pyroscope(url, Vec::new(), TlsFiles::default()).unwrap().endpoint;
    let told = |url| (endpoint(url).authority(), endpoint(url).tls, endpoint(url).path);
    let push = || "/push.v1.PusherService/Push".to_owned();
    assert_eq!(told("http://pyroscope"), ("pyroscope:4040".into(), false, push()));
    assert_eq!(told("pyroscope:4041/"), ("pyroscope:4041".into(), false, push()));
    assert_eq!(
        told("https://profiles.example.com/a"),
        ("profiles.example.com:443".into(), true, format!("/a{}", push()))
    );
    assert!(Export::pyroscope("ftp://x", Vec::new(), TlsFiles::default()).is_err());
}
