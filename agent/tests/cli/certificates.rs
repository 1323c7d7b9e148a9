//! Files of a test, and certificates that openssl makes of them.

#![allow(unreachable_pub, missing_docs, reason = "two test programs include it")]

use std::path::PathBuf;
use std::process::Command;

/// A folder of files, gone at the end.
pub struct Files(PathBuf);

impl Files {
    pub fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("loopscope-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file beside its name and then puts it there, so that nobody sees half of it.
    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(format!("{path}.new"), text).unwrap();
        std::fs::rename(format!("{path}.new"), &path).unwrap();
        path
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl").args(arguments).current_dir(&self.0).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// An authority of our own, as `NAME.crt` and `NAME.key`.
    pub fn authority(&self, name: &str) {
        let (key, certificate, subject) =
            (format!("{name}.key"), format!("{name}.crt"), format!("/CN={name}"));
        let new =
            ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
        self.openssl(&[&new[..], &["-keyout", &key, "-out", &certificate, "-subj", &subject]].concat());
    }

    /// A certificate for these alternative names that an authority signs, as `NAME.crt` and `NAME.key`.
    pub fn certificate(&self, name: &str, authority: &str, alternative_names: &str) {
        let [key, request, certificate] =
            ["key", "csr", "crt"].map(|extension| format!("{name}.new.{extension}"));
        let subject = format!("/CN={name}");
        let new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        self.openssl(&[&new[..], &["-keyout", &key, "-out", &request, "-subj", &subject]].concat());
        let extensions = self.write(&format!("{name}.ext"), &format!("subjectAltName={alternative_names}\n"));
        let [by, by_key] = ["crt", "key"].map(|extension| format!("{authority}.{extension}"));
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &by,
            "-CAkey",
            &by_key,
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            &extensions,
            "-out",
            &certificate,
        ]);
        for (from, to) in [(key, format!("{name}.key")), (certificate, format!("{name}.crt"))] {
            std::fs::rename(self.path(&from), self.path(&to)).unwrap();
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
