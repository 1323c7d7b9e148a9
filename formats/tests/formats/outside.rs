//! Other people's programs, as judges of what we write.
//!
//! Where one is missing a test says so on the terminal and passes, except where `CI=true`: there it fails.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The path of a program, or `None` if this machine lacks it.
pub(crate) fn program(name: &str, comes_with: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        missing(&format!("`{name}` from {comes_with}"));
    }
    found
}

/// `python3` with the packages that the scripts in `tests/outside` import.
pub(crate) fn python_script(script: &str) -> Option<Command> {
    static PACKAGES: OnceLock<Option<PathBuf>> = OnceLock::new();
    let python = program("python3", "Python")?;
    let installed = PACKAGES.get_or_init(|| {
        install("python", "the package installer `pip`, with access to pypi.org", |folder| {
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "install", "--quiet", "--target"])
                .arg(folder)
                .arg("prometheus_client==0.26.0");
            pip
        })
    });
    let mut command = Command::new(python);
    command.env("PYTHONPATH", installed.as_ref()?).arg(script_path(script));
    Some(command)
}

/// `node` with the packages that the scripts in `tests/outside` require.
pub(crate) fn node_script(script: &str) -> Option<Command> {
    static PACKAGES: OnceLock<Option<PathBuf>> = OnceLock::new();
    let node = program("node", "Node.js")?;
    let npm = program("npm", "Node.js")?;
    let installed = PACKAGES.get_or_init(|| {
        install("node", "access to registry.npmjs.org", |folder| {
            let mut command = Command::new(&npm);
            command.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
            command.arg(folder).args(["speedscope@1.25.0", "ajv@8.17.1", "pprof-format@2.3.2"]);
            command
        })
    });
    let mut command = Command::new(node);
    command.env("NODE_PATH", installed.as_ref()?.join("node_modules")).arg(script_path(script));
    Some(command)
}

/// Runs a command with this input.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        // A program may answer before it has read everything, or not read to the end.
        scope.spawn(move || _ = stdin.write_all(input));
        child.wait_with_output().unwrap()
    })
}

/// Runs a command with this input; what it printed.
pub(crate) fn output_of(command: &mut Command, input: &[u8]) -> String {
    let output = run(command, input);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// The folder into which this command installs packages, made only once.
fn install(name: &str, needs: &str, command: impl Fn(&Path) -> Command) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        return Some(folder);
    }
    let unfinished = folder.with_extension(std::process::id().to_string());
    std::fs::create_dir_all(&unfinished).unwrap();
    let output = run(&mut command(&unfinished), &[]);
    if !output.status.success() {
        missing(&format!("{needs}: {}", String::from_utf8_lossy(&output.stderr)));
        return None;
    }
    // Whoever is first wins; a second run's packages are the same.
    if std::fs::rename(&unfinished, &folder).is_err() {
        std::fs::remove_dir_all(&unfinished).unwrap();
    }
    Some(folder)
}

fn script_path(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside").join(script)
}

fn missing(what: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    assert!(std::env::var("CI").as_deref() != Ok("true"), "this test needs {what}");
    // Straight to the terminal: what a passing test prints by `eprintln!` is not shown.
    let line = format!("SKIPPED {test}: it needs {what}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
