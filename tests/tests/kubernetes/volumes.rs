//! Room for claims.

use serde_json::{Value, json};

use crate::cluster::{LABEL, apply, objects, on_node, run_name};

/// Where claims find room: in the cluster's default class or, where there is none, on volumes that are made for them.
pub struct Volumes {
    class: Option<String>,
    /// Folders on the node.
    folders: Vec<String>,
}

impl Volumes {
    /// Room for so many claims.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn make(name: &str, claims: usize) -> Self {
        let classes = objects(&["storageclasses"]);
        let is_default =
            |class: &Value| class["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true";
        if classes["items"].as_array().expect("a list").iter().any(is_default) {
            return Self { class: None, folders: Vec::new() };
        }
        let class = format!("{}-{name}", run_name());
        let mut volumes = Self { class: Some(class.clone()), folders: Vec::new() };
        for number in 0..claims {
            let name = format!("{class}-{number}");
            let folder = format!("/tmp/{name}");
            // Kubernetes gives such a folder to nobody.
            on_node(r#"mkdir "$1" && chmod 777 "$1""#, &[&folder]).expect("a folder on the node");
            apply(&json!({
                "apiVersion": "v1",
                "kind": "PersistentVolume",
                "metadata": {"name": name, "labels": {LABEL: run_name()}},
                "spec": {
                    "storageClassName": class,
                    "capacity": {"storage": "1Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "hostPath": {"path": folder},
                },
            }));
            volumes.folders.push(folder);
        }
        volumes
    }

    /// What claims name; `null` is the default.
    pub fn class(&self) -> Option<&str> {
        self.class.as_deref()
    }
}

impl Drop for Volumes {
    fn drop(&mut self) {
        for folder in &self.folders {
            // The volume itself goes with the run.
            on_node(r#"rm -rf "$1""#, &[folder]).ok();
        }
    }
}
