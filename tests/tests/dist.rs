//! What users install: the static programs and their Debian packages, installed and run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use loopscope_tests::deadline::{SOON, wait_for};
use loopscope_tests::dist::{Dist, Root};
use loopscope_tests::folder::Folder;
use loopscope_tests::loopscope::{Agent, serve};
use loopscope_tests::otlp::{Certificates, Protocol, Receiver};
use loopscope_tests::process::{Guarded, run};
use loopscope_tests::{http, node, requirement};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, elf};

const TICKING: &str = "setInterval(() => require('fs').stat('/', () => {}), 20); console.log('ready'); \
                       process.stdin.on('end', () => process.exit()).resume()";

/// Both programs, as their packages are called, with the units and the configurations that they bring, and what else the service may leave.
const PROGRAMS: [(&str, &str, &str, &str); 2] = [
    ("loopscope", "loopscope-agent.service", "agent.toml", "loopscope/otlp"),
    ("loopscope-collector", "loopscope-collector.service", "collector.toml", "loopscope-collector/blocks"),
];

fn target(node: &Path) -> Guarded {
    let mut target = Guarded::start(Command::new(node).args(["-e", TICKING]));
    target.line("that it is ready", SOON, |line| (line.trim() == "ready").then_some(()));
    target
}

/// The root with both packages in it, and the program.
fn installed() -> Option<(Root, PathBuf)> {
    let dist = Dist::make()?;
    let root = Root::new()?;
    for (name, ..) in PROGRAMS {
        root.dpkg(&["--install", &dist.package(name)]);
    }
    let program = root.file("usr/bin/loopscope");
    Some((root, program))
}

#[test]
fn the_programs_ask_for_no_library_and_no_loader() {
    let Some(dist) = Dist::make() else { return };
    let folder = Folder::new("unpacked");
    let mut tar = Command::new("tar");
    tar.arg("xzf").arg(dist.file(".tar.gz")).args(["--strip-components=1", "-C"]).arg(folder.path());
    run(&mut tar, SOON);
    for (name, ..) in PROGRAMS {
        let bytes = fs::read(folder.file("bin").join(name)).expect("it was unpacked");
        let header = elf::FileHeader64::<Endianness>::parse(&*bytes).expect("an ELF file");
        let endian = header.endian().expect("an ELF file");
        let segments = header.program_headers(endian, &*bytes).expect("an ELF file");
        let has = |kind| segments.iter().any(|segment| segment.p_type(endian) == kind);
        assert!(has(elf::PT_LOAD) && !has(elf::PT_INTERP), "{name} asks for a loader");
        for segment in segments {
            let entries = segment.dynamic(endian, &*bytes).expect("an ELF file").unwrap_or_default();
            let needed = entries.iter().filter(|entry| entry.d_tag(endian) == elf::DT_NEEDED);
            assert_eq!(needed.count(), 0, "{name} asks for a library");
        }
    }
    for file in [
        "share/doc/loopscope/LICENSE-MIT",
        "share/doc/loopscope/collector.toml",
        "share/man/man1/loopscope-agent.1.gz",
        "share/man/man1/loopscope-collector.1.gz",
        "lib/systemd/system/loopscope-collector.service",
    ] {
        assert!(folder.file(file).is_file(), "{file}");
    }
    run(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(dist.folder()), SOON);
}

#[test]
fn the_program_measures_where_there_is_nothing_but_itself() {
    let (Some(dist), true, Some(node)) = (Dist::make(), requirement::root(), node::all().pop()) else {
        return;
    };
    let Some(unshare) = requirement::program("unshare") else { return };
    let folder = Folder::new("bare");
    let mut tar = Command::new("tar");
    tar.arg("xzf").arg(dist.file(".tar.gz")).args(["--strip-components=2", "-C"]).arg(folder.path());
    run(tar.args(["--wildcards", "*/bin/loopscope"]), SOON);
    fs::create_dir(folder.file("proc")).expect("our own folder");
    let mut command = Command::new(unshare);
    let script = "mount -t proc proc \"$0/proc\" && exec chroot \"$0\" /loopscope \"$@\"";
    command.args(["--mount", "--propagation", "private", "sh", "-c", script]).arg(folder.path());
    let agent = Agent::start_by(&mut command, &["--tier", "all", "--budget", "90%"]);
    let target = target(&node.program);
    let pid = target.pid().to_string();
    let own = [("pid", pid.as_str())];
    for name in ["eventloop_iterations_total", "eventloop_lag_seconds_count", "threadpool_tasks_total"] {
        wait_for(name, SOON, || agent.scrape().value(name, &own).filter(|&value| value >= 2.0));
    }
}

#[test]
fn the_program_finds_names_and_trusts_the_systems_authorities() {
    let (Some((_root, program)), Some(certificates)) = (installed(), Certificates::make()) else { return };
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let [certificate, key] = ["server.pem", "server.key"].map(|name| certificates.file(name));
        let Some(receiver) = Receiver::start_at(protocol, 0, &["--tls", &certificate, &key]) else { return };
        assert!(receiver.endpoint().starts_with("https://localhost:"), "a name is to be looked up");
        let mut command = Command::new(&program);
        command.env(
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            if protocol == Protocol::Grpc { "grpc" } else { "http/protobuf" },
        );
        // Where the system's authorities are kept is not the same on all systems; this is how they are all told.
        command.env("SSL_CERT_FILE", certificates.file("ca.pem")).env("OTEL_METRIC_EXPORT_INTERVAL", "300");
        let agent = Agent::start_by(&mut command, &["--otlp-endpoint", &receiver.endpoint()]);
        receiver.wait_for_requests(1);
        agent.stop(SOON);
    }
}

#[test]
fn the_installed_program_scrapes_by_the_installed_configuration() {
    let (Some((root, program)), Some(node)) = (installed(), node::all().pop()) else { return };
    let version = run(Command::new(&program).arg("--version"), SOON).stdout;
    assert_eq!(version, format!("loopscope {}\n", env!("CARGO_PKG_VERSION")));
    let configuration = root.file("etc/loopscope/agent.toml");
    let configuration = configuration.to_str().expect("a path of ours");
    let defaults = run(Command::new(&program).args(["agent", "--check"]), SOON).stdout;
    let told = run(Command::new(&program).args(["agent", "--check", "--config", configuration]), SOON).stdout;
    let settings = |text: &str| text.split("\n\n").next().expect("a part").to_owned();
    assert_eq!(settings(&told), settings(&defaults), "the file has the defaults");
    let target = target(&node.program);
    let pid = target.pid().to_string();
    let agent = Agent::start_by(&mut Command::new(&program), &["--config", configuration]);
    wait_for("the target", SOON, || {
        agent.scrape().value("eventloop_iterations_total", &[("pid", &pid)]).filter(|&count| count >= 2.0)
    });
    agent.stop(SOON);
}

#[test]
fn every_man_page_can_be_read_and_bash_completes() {
    let (Some((root, _)), Some(man), Some(bash)) =
        (installed(), requirement::program("man"), requirement::program("bash"))
    else {
        return;
    };
    let pages: Vec<_> =
        root.entries().into_iter().filter(|path| path.starts_with("usr/share/man/man1")).collect();
    for command in
        ["", "-agent", "-collector", "-completions", "-demo", "-inspect", "-profile", "-top", "-upload"]
    {
        let page = PathBuf::from(format!("usr/share/man/man1/loopscope{command}.1.gz"));
        assert!(pages.contains(&page), "{page:?} is missing of {pages:?}");
    }
    for page in pages.iter().filter(|page| page.extension().is_some_and(|end| end == "gz")) {
        let mut reader = Command::new(&man);
        reader.args(["--warnings", "--local-file"]).arg(root.file(page.to_str().expect("our own name")));
        let read = run(reader.env("LC_ALL", "C.UTF-8").env("MANWIDTH", "100"), SOON);
        assert!(read.stdout.contains("SYNOPSIS"), "{page:?}: {}", read.stdout);
        assert_eq!(read.stderr, "", "{page:?}");
    }
    // What a unit names as its documentation is there to be read.
    for (_, unit, ..) in PROGRAMS {
        let text =
            fs::read_to_string(root.file("usr/lib/systemd/system").join(unit)).expect("it is installed");
        let named = text.split_whitespace().find_map(|word| word.strip_prefix("Documentation=man:"));
        let page = named.and_then(|named| named.strip_suffix("(1)")).expect("it names a page");
        let page = PathBuf::from(format!("usr/share/man/man1/{page}.1.gz"));
        assert!(pages.contains(&page), "{unit} names {page:?}");
    }
    let mut shell = Command::new(&bash);
    let script = "source \"$0\"; complete -p loopscope-collector";
    shell.args(["--norc", "-c", script]);
    shell.arg(root.file("usr/share/bash-completion/completions/loopscope-collector"));
    assert!(run(&mut shell, SOON).stdout.contains("-F _loopscope"));
    let script = "source \"$0\"; COMP_WORDS=(loopscope ag) COMP_CWORD=1; _loopscope loopscope ag loopscope; \
                  echo \"${COMPREPLY[@]}\"; complete -p loopscope";
    let mut shell = Command::new(bash);
    shell.args(["--norc", "-c", script]).arg(root.file("usr/share/bash-completion/completions/loopscope"));
    let completed = run(&mut shell, SOON).stdout;
    assert!(completed.starts_with("agent\n") && completed.contains("-F _loopscope"), "{completed}");
}

#[test]
fn the_installed_collector_takes_a_profile_by_the_installed_configuration() {
    let Some((root, program)) = installed() else { return };
    let installed = root.file("usr/bin/loopscope-collector");
    let version = run(Command::new(&installed).arg("--version"), SOON).stdout;
    assert_eq!(version, format!("loopscope-collector {}\n", env!("CARGO_PKG_VERSION")));
    let folder = Folder::new("installed");
    fs::write(folder.file("profile.folded"), "main;work 3\n").expect("our own file");
    // As its unit tells it.
    let mut command = Command::new(&installed);
    command.env("LOOPSCOPE_COLLECTOR_CONFIG", root.file("etc/loopscope/collector.toml"));
    command.env("LOOPSCOPE_COLLECTOR_DATA", folder.file("data"));
    let (collector, address) = serve(command.env("LOOPSCOPE_COLLECTOR_LISTEN", "127.0.0.1:0"));
    let mut upload = Command::new(&program);
    upload.arg("upload").arg(folder.file("profile.folded")).args(["--service", "shop"]);
    run(upload.args(["--to", &format!("http://{address}")]), SOON);
    let folded = http::get(address, "/api/v1/flamegraph?format=folded", &[]).expect("it answers");
    assert_eq!(folded.text(), "main;work 30000000\n");
    collector.signal("TERM");
    collector.succeed(SOON);
    assert!(folder.file("data/wal").is_dir());
}

#[test]
fn what_the_programs_are_linked_with_is_told() {
    let Some((root, _)) = installed() else { return };
    for (name, crates) in
        [("loopscope", ["dlmalloc ", "rustls "]), ("loopscope-collector", ["dlmalloc ", "parquet "])]
    {
        let list = root.file("usr/share/doc").join(name).join("third-party.gz");
        let told = run(Command::new("gzip").args(["--decompress", "--stdout"]).arg(list), SOON).stdout;
        for wanted in crates {
            assert!(told.lines().any(|line| line.starts_with(wanted)), "{name}: {wanted}: {told}");
        }
        assert!(told.lines().all(|line| line.split('\t').nth(1).is_some_and(|license| !license.is_empty())));
    }
}

#[test]
fn a_package_enables_its_unit_keeps_what_was_edited_and_leaves_nothing_when_it_is_purged() {
    let Some(dist) = Dist::make() else { return };
    let (Some(root), Some(_)) = (Root::new(), requirement::program("deb-systemd-helper")) else { return };
    for (name, unit, configuration, state) in PROGRAMS {
        let package = dist.package(name);
        let before = root.entries();
        root.dpkg(&["--install", &package]);
        let enabled = root.file("etc/systemd/system/multi-user.target.wants").join(unit);
        assert!(enabled.is_symlink(), "{unit} is not enabled");
        let configuration = root.file("etc/loopscope").join(configuration);
        let edited = "# edited\n";
        fs::write(&configuration, edited).expect("our own file");
        // What its service leaves.
        fs::create_dir_all(root.file("var/lib/private").join(state)).expect("our own folder");
        root.dpkg(&["--install", &package]);
        assert_eq!(fs::read_to_string(&configuration).expect("it is there"), edited);
        root.dpkg(&["--remove", name]);
        assert!(configuration.exists() && !root.file("usr/bin").join(name).exists());
        root.dpkg(&["--purge", name]);
        assert_eq!(root.entries(), before);
    }
}

#[test]
fn who_checks_packages_finds_nothing_and_the_same_source_makes_the_same_bytes() {
    let (Some(dist), Some(lintian)) = (Dist::make(), requirement::program("lintian")) else { return };
    let mut check = Command::new(lintian);
    check.args(["--fail-on", "error,warning", "--allow-root"]);
    check.args(PROGRAMS.map(|(name, ..)| dist.package(name)));
    let output = check.output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let folder = Folder::new("again");
    let again = Dist::make_in(folder.file("dist"));
    assert_eq!(again.sums(), dist.sums());
}
