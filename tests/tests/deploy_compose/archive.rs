//! The image as an archive, made of stand-ins for the binaries: what counts here is what is around them.

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::repository;

/// An archive, and what it unpacks to.
#[derive(Debug)]
pub struct Archive {
    pub bytes: Vec<u8>,
    /// What the script said.
    pub printed: String,
    unpacked: TempDir,
}

impl Archive {
    /// Runs the script with these arguments besides the binaries and the destination.
    pub fn make(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for binary in ["septet", "septet-analytics", "septet-token-service"] {
            fs::copy("/bin/true", dir.path().join(binary)).unwrap();
        }
        let archive = dir.path().join("archive.tar");
        let mut script = Command::new(repository("deploy/image/archive"));
        script.args(arguments).arg("--binaries").arg(dir.path()).arg(&archive).env_remove("SOURCE_DATE_EPOCH");
        let printed = run(&mut script);
        let unpacked = tempfile::tempdir().unwrap();
        run(Command::new("tar").arg("--extract").arg("--file").arg(&archive).arg("--directory").arg(unpacked.path()));
        Self { bytes: fs::read(&archive).unwrap(), printed, unpacked }
    }

    pub fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&fs::read(self.unpacked.path().join(path)).unwrap()).unwrap()
    }

    /// The JSON that a descriptor names, once it is what the descriptor says.
    pub fn blob_json(&self, descriptor: &Value) -> Value {
        self.json(&self.check_blob(descriptor))
    }

    /// Where the blob is that a descriptor names.
    ///
    /// # Panics
    /// When it has another size or digest.
    pub fn check_blob(&self, descriptor: &Value) -> String {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let path = format!("blobs/sha256/{digest}");
        let file = self.unpacked.path().join(&path);
        assert_eq!(descriptor["size"], fs::metadata(&file).unwrap().len(), "{descriptor}");
        assert_eq!(run(Command::new("sha256sum").arg(&file)).split(' ').next(), Some(digest), "{descriptor}");
        path
    }

    fn manifest(&self) -> Value {
        self.blob_json(&self.json("index.json")["manifests"][0])
    }

    /// The image's configuration, once its layer is the one that was packed.
    pub fn config(&self) -> Value {
        let manifest = self.manifest();
        let config = self.blob_json(&manifest["config"]);
        let layer = self.unpacked.path().join(self.check_blob(&manifest["layers"][0]));
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", uncompressed_digest(&layer)));
        config
    }

    /// Modes and owners of what is in the image, by path.
    pub fn layer(&self) -> BTreeMap<String, String> {
        let layer = self.unpacked.path().join(self.check_blob(&self.manifest()["layers"][0]));
        let listed = run(Command::new("tar").args(["--list", "--verbose", "--numeric-owner", "--file"]).arg(layer));
        let entries = listed.lines().map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            (words[5].to_owned(), format!("{} {}", words[0], words[1]))
        });
        entries.collect()
    }
}

fn uncompressed_digest(layer: &Path) -> String {
    let mut unpack =
        Command::new("gzip").args(["--decompress", "--stdout"]).arg(layer).stdout(Stdio::piped()).spawn().unwrap();
    let digest = run(Command::new("sha256sum").stdin(unpack.stdout.take().unwrap()));
    assert!(unpack.wait().unwrap().success());
    digest.split(' ').next().unwrap().to_owned()
}

/// What a command prints.
///
/// # Panics
/// When it fails.
fn run(command: &mut Command) -> String {
    let output = command.env("PATH", env::var_os("PATH").unwrap()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
