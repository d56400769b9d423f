//! Pods of a release, as Kubernetes sees them.

use std::time::Duration;

use septet_tests::wait;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    SETTLED_WITHIN,
    cluster::{kubectl, objects, on_node, try_kubectl},
    release::Release,
};

/// A node learns a moment later than the cluster which pods there are: until then, it refuses connections or leads them to pods that are gone.
const RULES_WITHIN: Duration = Duration::from_secs(2);

/// Kills the container `septet` of the pod whose id is `$1`, as a pattern: `-` is `_` where systemd makes cgroups.
const KILL: &str = r#"
for process in /proc/[0-9]*; do
  if [ "$(cat "$process/comm" 2>/dev/null)" = septet ] && grep -Eq "$1" "$process/cgroup"; then
    exec kill -9 "${process#/proc/}"
  fi
done
echo "no process of that pod is here" >&2
exit 1
"#;

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    pub reason: String,
    pub exit_code: i64,
}

/// A pod of one container.
#[derive(Debug, Clone)]
pub struct Pod {
    pub name: String,
    namespace: String,
    uid: String,
    pub is_ready: bool,
    is_leaving: bool,
    /// How its container ended the last time.
    pub last_end: Option<End>,
}

impl Pod {
    fn read(namespace: &str, pod: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let container = &pod["status"]["containerStatuses"][0];
        let ended = &container["lastState"]["terminated"];
        Self {
            name: text(&pod["metadata"]["name"]),
            namespace: namespace.to_owned(),
            uid: text(&pod["metadata"]["uid"]),
            is_ready: container["ready"] == true,
            is_leaving: pod["metadata"]["deletionTimestamp"].is_string(),
            last_end: ended.is_object().then(|| End {
                reason: text(&ended["reason"]),
                exit_code: ended["exitCode"].as_i64().expect("a code"),
            }),
        }
    }

    /// What its container has written; nothing before it is there.
    pub fn log(&self) -> String {
        try_kubectl(&["logs", "-n", &self.namespace, &self.name]).unwrap_or_default()
    }

    /// What people are told who ask what is the matter with it.
    pub fn describe(&self) -> String {
        kubectl(&["describe", "pod", "-n", &self.namespace, &self.name])
    }

    /// Deletes it as people do, and waits until it is gone.
    pub fn delete(&self) {
        kubectl(&["delete", "pod", "-n", &self.namespace, &self.name]);
    }

    /// Deletes it without its leave, as people do who cannot wait, and who should.
    pub fn delete_by_force(&self) {
        kubectl(&["delete", "pod", "-n", &self.namespace, &self.name, "--force", "--grace-period=0"]);
    }

    /// `kill -9` of its process.
    pub fn kill_process(&self) {
        on_node(KILL, &[&self.uid.replace('-', "[-_]")]).expect("pods run where SEPTET_TEST_NODE_RUN leads to");
    }
}

impl Release {
    /// The pods of a component that are there to stay.
    pub fn pods(&self, component: &str) -> Vec<Pod> {
        self.all_pods(component).into_iter().filter(|pod| !pod.is_leaving).collect()
    }

    fn all_pods(&self, component: &str) -> Vec<Pod> {
        let of = format!("app.kubernetes.io/component={component}");
        let pods = objects(&["pods", "-n", self.namespace(), "-l", &of]);
        pods["items"].as_array().expect("a list").iter().map(|pod| Pod::read(self.namespace(), pod)).collect()
    }

    /// Asks for so many pods of a component; does not wait.
    pub fn scale(&self, component: &str, replicas: usize) {
        let (name, replicas) = (format!("deployment/septet-{component}"), format!("--replicas={replicas}"));
        kubectl(&["scale", "-n", self.namespace(), &name, &replicas]);
    }

    /// Waits until there are so many pods of a component, all of them ready, no other is left, and whoever comes is led to them.
    pub async fn settled(&self, component: &str, replicas: usize) -> Vec<Pod> {
        let settled = wait::until(&format!("{replicas} pods of {component}"), SETTLED_WITHIN, async || {
            let pods = self.all_pods(component);
            (pods.len() == replicas && pods.iter().all(|pod| pod.is_ready && !pod.is_leaving)).then_some(pods)
        })
        .await;
        sleep(RULES_WITHIN).await;
        settled
    }

    /// Waits until a pod of a component is as `is` says.
    pub async fn pod_that(&self, component: &str, what: &str, is: impl Fn(&Pod) -> bool) -> Pod {
        wait::until(what, SETTLED_WITHIN, async || self.pods(component).into_iter().find(&is)).await
    }
}
