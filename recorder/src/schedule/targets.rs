//! Which targets a window records, as written: `host`, `netns: web-*`, `{pod: web-*, namespace: shop}`.

use super::Interface;
use formats::pcapng::Target;
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A name, or a pattern of names: `*`, `?` and `[…]` as in a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(glob::Pattern);

impl Glob {
    /// Whether a name fits; what is not known does not.
    pub fn fits(&self, name: Option<&str>) -> bool {
        name.is_some_and(|name| self.0.matches(name))
    }
}

impl FromStr for Glob {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match glob::Pattern::new(text) {
            Ok(pattern) if !text.is_empty() => Ok(Self(pattern)),
            Ok(_) => Err("an empty name fits nothing".into()),
            Err(error) => Err(format!("{text:?} is no pattern of names: {error}")),
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// Network namespaces to record, or to leave out. Everything that is said must be so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    said: Said,
}

/// A selector as written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Said {
    host: bool,
    proc: bool,
    netns: Option<Glob>,
    pid: Option<u32>,
    path: Option<PathBuf>,
    container: Option<Glob>,
    pod_uid: Option<Glob>,
    pod: Option<Glob>,
    namespace: Option<Glob>,
    workload: Option<Glob>,
    labels: BTreeMap<String, Glob>,
    interfaces: Vec<Interface>,
}

/// Where a selector's targets are to be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// The recorder's own namespace.
    Host,
    /// Among those `ip netns` has a name for.
    Named,
    /// At that path.
    Path(&'a std::path::Path),
    /// Where that process is.
    Process(u32),
    /// Among those that processes are in.
    Processes,
}

impl Selector {
    /// The recorder's own namespace: what is recorded where nothing is said.
    pub fn host() -> Self {
        Self { said: Said { host: true, ..Said::default() } }
    }

    /// Where its targets are to be looked for.
    pub fn place(&self) -> Place<'_> {
        match &self.said {
            Said { host: true, .. } => Place::Host,
            Said { pid: Some(pid), .. } => Place::Process(*pid),
            Said { path: Some(path), .. } => Place::Path(path),
            Said { netns: Some(_), .. } => Place::Named,
            _ => Place::Processes,
        }
    }

    /// Whether it needs to know more than where a namespace is: of containers, pods, and their names.
    pub fn asks_whose(&self) -> bool {
        let Said { container, pod_uid, .. } = &self.said;
        self.said.proc || container.is_some() || pod_uid.is_some() || self.asks_names()
    }

    /// Whether it needs the names that `ip netns` gives.
    pub fn asks_names_of_namespaces(&self) -> bool {
        self.said.netns.is_some()
    }

    /// Whether processes are looked at to find its targets.
    pub fn looks_at_processes(&self) -> bool {
        matches!(self.place(), Place::Process(_) | Place::Processes) || self.asks_whose()
    }

    /// Whether it needs names that only a cluster knows.
    pub fn asks_names(&self) -> bool {
        let Said { pod, namespace, workload, labels, .. } = &self.said;
        pod.is_some() || namespace.is_some() || workload.is_some() || !labels.is_empty()
    }

    /// The interfaces to listen on in there; none where the window says it.
    pub fn interfaces(&self) -> &[Interface] {
        &self.said.interfaces
    }

    /// Whether a target is meant. `at_place` is the namespace that was found at [`Place::Path`] or [`Place::Process`].
    pub fn fits(&self, target: &Target, at_place: Option<u64>) -> bool {
        let fits =
            |glob: &Option<Glob>, known: &Option<String>| glob.as_ref().is_none_or(|glob| glob.fits(known.as_deref()));
        let said = &self.said;
        (!said.host || target.host)
            && (!said.proc || (!target.host && target.pid.is_some()))
            && (said.pid.is_none() && said.path.is_none() || at_place == Some(target.netns))
            && fits(&said.netns, &target.name)
            && fits(&said.container, &target.container)
            && fits(&said.pod_uid, &target.pod_uid)
            && fits(&said.pod, &target.pod)
            && fits(&said.namespace, &target.namespace)
            && fits(&said.workload, &target.workload)
            && said.labels.iter().all(|(name, glob)| glob.fits(target.labels.get(name).map(String::as_str)))
    }

    fn new(said: Said) -> Result<Self, String> {
        let nothing = Said { interfaces: said.interfaces.clone(), ..Said::default() };
        if said == nothing {
            return Err("a target needs a word that says which, such as host, proc, netns or pod".into());
        }
        if said.pid.is_some() && said.path.is_some() {
            return Err("a target has a pid or a path, not both".into());
        }
        if said.host && (said.proc || said.pid.is_some() || said.path.is_some()) {
            return Err("host is the recorder's own namespace, which no other word looks for".into());
        }
        if said.path.as_ref().is_some_and(|path| !path.is_absolute()) {
            return Err("a target's path is an absolute one".into());
        }
        Ok(Self { said })
    }
}

impl FromStr for Selector {
    type Err = String;

    /// One word, or one of the words of a map with what it should be: `host`, `netns:web-*`, `pid:123`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut said = Said::default();
        match text.split_once(':') {
            None if text == "host" => said.host = true,
            None if text == "proc" => said.proc = true,
            Some(("netns", name)) => said.netns = Some(name.parse()?),
            Some(("pid", pid)) => said.pid = Some(pid.parse().map_err(|_| format!("{pid:?} is no process id"))?),
            Some(("path", path)) => said.path = Some(path.into()),
            Some(("container", id)) => said.container = Some(id.parse()?),
            Some(("pod_uid", uid)) => said.pod_uid = Some(uid.parse()?),
            Some(("pod", name)) => said.pod = Some(name.parse()?),
            Some(("namespace", name)) => said.namespace = Some(name.parse()?),
            Some(("workload", name)) => said.workload = Some(name.parse()?),
            _ => {
                return Err(format!(
                    "{text:?} is no target: write host, proc, or one of netns, pid, path, container, pod_uid, pod, \
                     namespace and workload with a colon and what it should be"
                ));
            }
        }
        Self::new(said)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = &self.said;
        let mut words: Vec<String> = Vec::new();
        words.extend(said.host.then(|| "host".into()));
        words.extend(said.proc.then(|| "proc".into()));
        words.extend(said.pid.map(|pid| format!("pid:{pid}")));
        words.extend(said.path.iter().map(|path| format!("path:{}", path.display())));
        for (word, glob) in [
            ("netns", &said.netns),
            ("container", &said.container),
            ("pod_uid", &said.pod_uid),
            ("pod", &said.pod),
            ("namespace", &said.namespace),
            ("workload", &said.workload),
        ] {
            words.extend(glob.iter().map(|glob| format!("{word}:{glob}")));
        }
        words.extend(said.labels.iter().map(|(name, glob)| format!("label {name}={glob}")));
        f.write_str(&words.join(" and "))?;
        match said.interfaces.as_slice() {
            [] => Ok(()),
            interfaces => {
                let names: Vec<_> = interfaces.iter().map(Interface::as_str).collect();
                write!(f, " (on {})", names.join(", "))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextOrMap;
        impl<'de> Visitor<'de> for TextOrMap {
            type Value = Selector;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a target: host, proc, or a map such as {netns: web-*}")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Selector, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Selector, M::Error> {
                Selector::new(Said::deserialize(MapAccessDeserializer::new(map))?).map_err(M::Error::custom)
            }
        }
        deserializer.deserialize_any(TextOrMap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_must_be_so() {
        let target = Target {
            netns: 7,
            pid: Some(12),
            name: Some("web-1".into()),
            pod: Some("web-1".into()),
            namespace: Some("shop".into()),
            labels: [("app".into(), "web".into())].into(),
            ..Target::default()
        };
        for (text, fits) in [
            ("host", false),
            ("proc", true),
            ("netns:web-*", true),
            ("netns:db-*", false),
            ("container:*", false),
            ("{pod: web-?, namespace: shop}", true),
            ("{pod: web-?, namespace: other}", false),
            ("{labels: {app: w*}, interfaces: [eth0]}", true),
            ("{labels: {tier: '*'}}", false),
            ("{pid: 99}", true),
            ("{pid: 99, netns: db}", false),
        ] {
            let selector: Selector = serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(selector.fits(&target, Some(7)), fits, "{text}");
        }
        assert!(!"pid:99".parse::<Selector>().unwrap().fits(&target, Some(8)));
        assert!(!"pid:99".parse::<Selector>().unwrap().fits(&target, None));
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for text in [
            "everything",
            "{}",
            "{interfaces: [eth0]}",
            "{pid: x}",
            "{netns: ''}",
            "{netns: 'a***'}",
            "{nets: a}",
            "{host: true, proc: true}",
            "{host: true, pid: 1}",
            "{path: rel}",
            "path:rel",
        ] {
            assert!(serde_saphyr::from_str::<Selector>(text).is_err(), "{text}");
        }
        let shown: Selector = serde_saphyr::from_str("{pod: web, namespace: shop, interfaces: [eth0, lo]}").unwrap();
        assert_eq!(shown.to_string(), "pod:web and namespace:shop (on eth0, lo)");
    }
}
