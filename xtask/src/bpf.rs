//! `cargo xtask bpf`: compiles the BPF programs. A test compiles them anew and compares them with what is committed.

use std::path::PathBuf;
use std::process::Command;

use crate::command::{Error, run};
use crate::repository::root;

/// Writes the compiled programs beside their source.
pub(crate) fn build() -> Result<(), Error> {
    run(&mut Command::new(script()))
}

fn script() -> PathBuf {
    root().join("attach/bpf/build.sh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
    fn the_committed_programs_are_those_of_the_source() {
        if Command::new("clang-14").arg("--version").output().is_err() {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "clang-14 is missing");
            eprintln!("SKIPPED: clang-14 is missing; `cargo xtask test` installs it");
            return;
        }
        let folder = std::env::temp_dir().join(format!("loopscope-bpf-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let built = Command::new(script()).arg(&folder).status().unwrap();
        assert!(built.success());
        for machine in ["x86_64", "aarch64"] {
            let name = format!("libuv.bpf.{machine}.o");
            let committed = std::fs::read(script().with_file_name(&name)).unwrap();
            let same = std::fs::read(folder.join(&name)).unwrap() == committed;
            assert!(same, "{name} is out of date: run `cargo xtask bpf`");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
