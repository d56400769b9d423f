//! The jars of an engine: fetched by Maven, as its own configuration says, and kept beside what cargo builds.

use std::{
    env,
    ffi::OsStr,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// The folder with the jars that `tests/engines/ENGINE/pom.xml` names. Fetched when there is none for that very text.
///
/// # Errors
/// When there is no Maven, or it cannot fetch them: with what it wrote.
pub fn jars(engine: &str) -> Result<PathBuf> {
    let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("engines").join(engine).join("pom.xml");
    let text = fs::read(&pom).with_context(|| format!("reading {}", pom.display()))?;
    let all = target_dir()?.join("engines");
    fs::create_dir_all(&all)?;
    let dir = all.join(folder(engine, &text));

    // Two processes must not fetch at once: Maven's own repository is not made for that.
    let lock = File::create(all.join("lock"))?;
    lock.lock()?;
    if !dir.exists() {
        eprintln!("fetching the jars of {engine} by Maven into {}", dir.display());
        remove_old(&all, engine)?;
        let fresh = all.join(format!("{engine}.part"));
        fetch(&pom, &fresh)?;
        fs::rename(&fresh, &dir)?;
    }
    Ok(dir)
}

/// A name of its own for each version of the pom.
fn folder(engine: &str, pom: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    pom.hash(&mut hasher);
    format!("{engine}-{:016x}", hasher.finish())
}

/// What an older pom, or a fetch that was interrupted, has left.
fn remove_old(all: &Path, engine: &str) -> Result<()> {
    for entry in fs::read_dir(all)? {
        let path = entry?.path();
        let name = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        if name.strip_prefix(engine).is_some_and(|rest| rest.starts_with(['-', '.'])) {
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}

fn fetch(pom: &Path, into: &Path) -> Result<()> {
    let mut maven = Command::new("mvn");
    maven.args(["-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-f"]).arg(pom);
    maven.arg(format!("-DoutputDirectory={}", into.display())).stdin(Stdio::null());
    let output = maven.output().context("mvn: install Maven (on Debian or Ubuntu: apt-get install maven)")?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "Maven ended with {}:\n{}", output.status, String::from_utf8_lossy(&said));
    Ok(())
}

/// The `target` that the running program was built in: cargo marks it.
fn target_dir() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let marked = program.ancestors().find(|dir| dir.join("CACHEDIR.TAG").exists());
    Ok(marked.with_context(|| format!("{} does not lie in a target directory of cargo", program.display()))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail when the folder's name was that of the engine alone.
    #[test]
    fn another_pom_has_another_folder() {
        assert_eq!(folder("kafka", b"4.1.1"), folder("kafka", b"4.1.1"));
        assert_ne!(folder("kafka", b"4.1.1"), folder("kafka", b"4.1.2"));
    }

    /// Seen to fail when every folder was taken for an old one.
    #[test]
    fn only_the_same_engine_s_old_jars_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["kafka-1", "kafka.part", "cassandra-1", "kafkaesque-1"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        remove_old(dir.path(), "kafka").unwrap();
        let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["cassandra-1", "kafkaesque-1"]);
    }
}
