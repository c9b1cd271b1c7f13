//! Where a packet was seen: a network namespace, whose it is, and the interface in it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Labels of a pod.
pub type Labels = BTreeMap<String, String>;

/// A network namespace, and what is known of whose it is. Unknown is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Target {
    /// The namespace: inode of `/proc/<pid>/ns/net`, the same for all of its processes while it lives.
    pub netns: u64,
    /// Whether it is the namespace the recorder itself runs in; on a node that is the node's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub host: bool,
    /// Its name, as `ip netns` knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The oldest process in it when it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Id of the container of that process; in a pod that is its sandbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// UID of its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Name of its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Kubernetes namespace of its pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What the pod belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Labels of its pod.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

impl Target {
    /// How people call it: the first of these that is known.
    pub fn label(&self) -> String {
        const CONTAINER_BYTES: usize = 12; // As every tool shortens them.
        match self {
            Self { host: true, .. } => "host".into(),
            Self { pod: Some(pod), namespace: Some(namespace), .. } => format!("{namespace}/{pod}"),
            Self { pod: Some(pod), .. } => pod.clone(),
            Self { name: Some(name), .. } => name.clone(),
            Self { pod_uid: Some(uid), .. } => format!("pod-{uid}"),
            Self { container: Some(id), .. } => id.get(..CONTAINER_BYTES).unwrap_or(id).into(),
            Self { pid: Some(pid), .. } => format!("pid-{pid}"),
            Self { netns, .. } => format!("netns-{netns}"),
        }
    }

    /// Adds what `other` knows of the same namespace and this does not.
    pub fn learn(&mut self, other: Self) {
        fn fill<T>(known: &mut Option<T>, told: Option<T>) {
            *known = known.take().or(told);
        }
        self.host |= other.host;
        fill(&mut self.name, other.name);
        fill(&mut self.pid, other.pid);
        fill(&mut self.container, other.container);
        fill(&mut self.pod_uid, other.pod_uid);
        fill(&mut self.pod, other.pod);
        fill(&mut self.namespace, other.namespace);
        fill(&mut self.workload, other.workload);
        if self.labels.is_empty() {
            self.labels = other.labels;
        }
    }
}

/// Where packets were seen, as `if_description` says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    /// The namespace.
    #[serde(flatten)]
    pub target: Target,
    /// The interface, as it is called in there.
    pub interface: String,
    /// What the administrator wrote down for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

impl Point {
    /// `if_name`: the interface alone in the host's namespace; elsewhere behind the target and a slash, which no
    /// interface has in its name.
    pub fn name(&self) -> String {
        match self.target.host {
            true => self.interface.clone(),
            false => format!("{}/{}", self.target.label(), self.interface),
        }
    }

    /// `if_description`: one JSON object.
    pub fn description(&self) -> String {
        serde_json::to_string(self).expect("maps of text have text for keys")
    }

    /// Reads an `if_description`; none where it is not of ours.
    pub fn from_description(text: &str) -> Option<Self> {
        text.starts_with("{\"netns\":").then(|| serde_json::from_str(text).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_named_by_what_is_known_of_it() {
        let mut point = Point {
            target: Target { netns: 4_026_532_456, ..Target::default() },
            interface: "eth0".into(),
            alias: None,
        };
        let mut names = vec![point.name()];
        point.target.learn(Target { pid: Some(17), ..Target::default() });
        names.push(point.name());
        let id = "0a1b2c3d4e5f60718293a4b5c6d7e8f900112233445566778899aabbccddeeff";
        point.target.learn(Target { container: Some(id.into()), pid: Some(18), ..Target::default() });
        names.push(point.name());
        point.target.learn(Target { pod_uid: Some("3f2a".into()), ..Target::default() });
        names.push(point.name());
        point.target.learn(Target { pod: Some("web-1".into()), namespace: Some("shop".into()), ..Target::default() });
        names.push(point.name());
        point.target.learn(Target { host: true, ..Target::default() });
        names.push(point.name());
        let want =
            ["netns-4026532456/eth0", "pid-17/eth0", "0a1b2c3d4e5f/eth0", "pod-3f2a/eth0", "shop/web-1/eth0", "eth0"];
        assert_eq!(names, want);
    }

    #[test]
    fn a_description_is_read_again() {
        let target = Target {
            netns: 1,
            name: Some("a \"name\"".into()),
            labels: [("app".into(), "web".into())].into(),
            ..Target::default()
        };
        let point = Point { target, interface: "lo".into(), alias: Some("to the left".into()) };
        let text = point.description();
        assert_eq!(
            text,
            r#"{"netns":1,"name":"a \"name\"","labels":{"app":"web"},"interface":"lo","alias":"to the left"}"#
        );
        assert_eq!(Point::from_description(&text), Some(point));
        assert_eq!(Point::from_description("to the left"), None);
        assert_eq!(Point::from_description("{\"netns\":1}"), None);
    }
}
