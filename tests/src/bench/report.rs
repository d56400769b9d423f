//! What a run leaves: a table to read and the raw figures, with all that is needed to repeat it.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::Serialize;

/// A run's figures, and what they were measured on.
#[derive(Debug, Serialize)]
pub struct Report<T> {
    pub subject: String,
    /// As it was typed.
    pub command: String,
    pub commit: String,
    pub date: String,
    pub machine: Machine,
    pub figures: T,
}

/// What the run was made on.
#[derive(Debug, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub kernel: String,
}

impl<T: Serialize> Report<T> {
    /// Of a run that ends now.
    ///
    /// # Errors
    /// When the machine does not say what it is.
    pub fn new(subject: &str, figures: T) -> Result<Self> {
        let mut args: Vec<String> = env::args().skip(1).collect();
        args.insert(0, "septet-bench".into());
        Ok(Self {
            subject: subject.into(),
            command: args.join(" "),
            commit: commit(),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            machine: machine()?,
            figures,
        })
    }

    /// Prints the report with `table`, and writes it to `out`.md and `out`.json when there is an `out`.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn publish(&self, table: &str, out: Option<&Path>) -> Result<()> {
        let text = format!(
            "# {}\n\n{}, {} cores, Linux {}. Commit {}, {}.\n\n```\n{}\n```\n\n{table}",
            self.subject,
            self.machine.cpu,
            self.machine.cores,
            self.machine.kernel,
            self.commit,
            self.date,
            self.command
        );
        println!("{text}");
        if let Some(out) = out {
            let json = serde_json::to_string_pretty(self)?;
            for (ending, content) in [("md", &text), ("json", &json)] {
                let file = with_ending(out, ending);
                fs::write(&file, content).with_context(|| format!("writing {}", file.display()))?;
            }
        }
        Ok(())
    }
}

/// The median; 0 without values.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        len if len % 2 == 1 => values[len / 2],
        len => f64::midpoint(values[len / 2 - 1], values[len / 2]),
    }
}

/// The median of each name's values.
pub fn medians<'a>(maps: impl IntoIterator<Item = &'a BTreeMap<String, f64>>) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<&String, Vec<f64>> = BTreeMap::new();
    for (name, value) in maps.into_iter().flatten() {
        all.entry(name).or_default().push(*value);
    }
    all.into_iter().map(|(name, values)| (name.clone(), median(values))).collect()
}

fn with_ending(out: &Path, ending: &str) -> PathBuf {
    let mut file = out.as_os_str().to_owned();
    file.push(".");
    file.push(ending);
    file.into()
}

/// The commit of the source, marked when there are changes on top of it.
fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return "unknown".into() };
    let is_clean = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|changes| changes.is_empty());
    if is_clean { commit } else { format!("{commit} and changes") }
}

fn machine() -> Result<Machine> {
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let cpu = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(Machine {
        cpu: cpu.map_or("unknown CPU", |(_, model)| model).to_owned(),
        cores: info.lines().filter(|line| line.starts_with("processor\t")).count(),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }

    #[test]
    fn each_name_has_a_median_of_its_own() {
        let maps = [[("a", 1.0), ("b", 5.0)], [("a", 3.0), ("c", 7.0)]];
        let maps = maps.map(|map| map.map(|(name, value)| (name.to_owned(), value)).into());
        let expected = [("a", 2.0), ("b", 5.0), ("c", 7.0)];
        assert_eq!(medians(&maps), expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn a_report_is_written_for_people_and_for_programs() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run.2");
        Report::new("A run", [1, 2]).unwrap().publish("| a |", Some(&out)).unwrap();
        let text = fs::read_to_string(dir.path().join("run.2.md")).unwrap();
        assert!(text.starts_with("# A run\n") && text.ends_with("| a |"), "{text}");
        let json = fs::read_to_string(dir.path().join("run.2.json")).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["figures"], serde_json::json!([1, 2]));
    }
}
