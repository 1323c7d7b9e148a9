//! One test a source of names, each with what it beats and what it does not claim.

use super::*;

/// What a process of these words and this environment is called.
fn named(words: &[&str], environ: &[u8]) -> String {
    named_in(None, words, environ, &|_| None)
}

fn named_in(
    folder: Option<&str>,
    words: &[&str],
    environ: &[u8],
    package: &dyn Fn(&Path) -> Option<String>,
) -> String {
    let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
    Clues { environ, words: &words, program: "program", folder: folder.map(Path::new), package }.name()
}

const SCRIPT: &[&str] = &["node", "a.js"];

#[test]
fn what_is_declared_to_opentelemetry_comes_first() {
    let all = b"A=1\0OTEL_SERVICE_NAME=shop\0OTEL_RESOURCE_ATTRIBUTES=service.name=x\0name=y\0pm_id=1\0";
    assert_eq!(named(SCRIPT, all), "shop");
    assert_eq!(
        named(SCRIPT, b"OTEL_RESOURCE_ATTRIBUTES=a=b, service.name = shop\0name=y\0pm_id=1\0"),
        "shop"
    );
    assert_eq!(named(SCRIPT, b"OTEL_RESOURCE_ATTRIBUTES=service.name=my%20shop%2\0"), "my shop%2");
    assert_eq!(named(SCRIPT, b"OTEL_SERVICE_NAME=\0OTEL_RESOURCE_ATTRIBUTES=service.name=\0"), "a");
    assert_eq!(named(SCRIPT, b"OTEL_SERVICE_NAME=a\nb\0"), "a\u{fffd}b");
}

#[test]
fn a_process_of_pm2_has_the_name_that_it_is_run_under() {
    assert_eq!(named(SCRIPT, b"pm_id=0\0name=api\0npm_package_name=x\0"), "api");
    assert_eq!(named(SCRIPT, br#"pm2_env={"name":"api","pm_id":3}"#), "api");
    // A variable `name` is nobody's alone, and JSON may be anything.
    assert_eq!(named(SCRIPT, b"name=api\0"), "a");
    assert_eq!(named(SCRIPT, b"pm_id=none\0name=api\0"), "a");
    assert_eq!(named(SCRIPT, b"pm2_env={\"name\":7}\0"), "a");
}

#[test]
fn a_pod_of_a_deployment_has_the_name_of_the_deployment() {
    let pod = |name: &str| format!("KUBERNETES_SERVICE_HOST=10.0.0.1\0HOSTNAME={name}\0");
    for name in ["shop-7d4b8c9f6d-x2x7z", "shop-84f5f46c5-qwz9t"] {
        assert_eq!(named(SCRIPT, pod(name).as_bytes()), "shop", "{name}");
    }
    assert_eq!(named(SCRIPT, pod("web-shop-5f5d5c5b5-bbbbb").as_bytes()), "web-shop");
    for name in
        ["shop-0", "shop-x2x7z", "shop-backend-x2x7z", "shop-7d4b8c9f6d-aeiou", "-7d4b8c9f6d-x2x7z", "shop"]
    {
        assert_eq!(named(SCRIPT, pod(name).as_bytes()), "a", "{name}");
    }
    assert_eq!(named(SCRIPT, b"HOSTNAME=shop-7d4b8c9f6d-x2x7z\0"), "a", "not in Kubernetes");
}

#[test]
fn an_npm_package_has_a_name() {
    let package = |path: &Path| (path == Path::new("/srv/shop/a.js")).then(|| "@acme/shop".to_owned());
    let named = |words: &[&str], environ: &[u8]| named_in(Some("/srv/shop/jobs"), words, environ, &package);
    assert_eq!(named(&["node", "../a.js"], b"npm_package_name=orders\0"), "orders");
    assert_eq!(named(&["node", "../a.js"], b""), "@acme/shop");
    assert_eq!(named(&["node", "/srv/shop/a.js"], b""), "@acme/shop");
    assert_eq!(named(&["node", "b.js"], b""), "b");
    // Neither code of the command line nor another language's script belongs to one.
    assert_eq!(named(&["node", "-e", "1"], b""), "program");
    assert_eq!(named(&["python3", "../a.js"], b""), "a");
}

#[test]
fn a_script_gives_its_name_or_that_of_its_folder() {
    for (words, service) in [
        (&["/usr/bin/node", "/srv/orders.js"][..], "orders"),
        (&["node", "/srv/shop/server.js"], "shop"),
        (&["node", "/srv/shop/dist/index.js"], "shop"),
        (&["node", "/srv/shop/node_modules/.bin/cli"], "shop"),
        (&["node", "/usr/src/app/index.js"], "app"),
        (&["node", "index.js"], "index"),
        (&["nodejs", "-r", "ts-node", "--enable-source-maps", "./worker.ts", "-e"], "worker"),
        (&["node24", "--", "-odd.js"], "-odd"),
        (&["node", "-e", "1"], "program"),
        (&["node"], "program"),
        (&["python3.11", "-X", "dev", "-m", "uvicorn"], "uvicorn"),
        (&["/bin/other", "file.js"], "program"),
        (&["nodemon", "file.js"], "program"),
        (&[], "program"),
    ] {
        assert_eq!(named(words, b""), service, "{words:?}");
    }
}

#[test]
fn a_script_without_a_folder_lies_where_the_process_runs() {
    let named = |words: &[&str]| named_in(Some("/srv/shop"), words, b"", &|_| None);
    for (words, service) in [
        (&["node", "index.js"][..], "shop"),
        (&["node", "./orders.js"], "orders"),
        (&["node", "."], "shop"),
        (&["node", "../bakery/main.js"], "bakery"),
        (&["python3", "-m", "uvicorn"], "uvicorn"),
    ] {
        assert_eq!(named(words), service, "{words:?}");
    }
}

#[test]
fn a_program_by_another_name_is_told_by_its_executable() {
    let words = ["whatever".to_owned(), "/srv/orders.js".to_owned()];
    let clues = Clues { environ: b"", words: &words, program: "node", folder: None, package: &|_| None };
    assert_eq!(clues.name(), "orders");
}
