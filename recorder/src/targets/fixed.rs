//! Targets that are known by a name: our own namespace, those of `ip netns`, a process, a path.

use super::{OWN, Source, TargetError, There, namespace};
use formats::pcapng::Target;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// The namespace the recorder itself runs in.
#[derive(Debug)]
pub struct Own;

impl Source for Own {
    fn look(&mut self, there: &mut There) -> Result<(), TargetError> {
        if let Some(netns) = namespace(OWN.as_ref()) {
            there.add(Target { netns, host: true, ..Target::default() }, OWN.into());
        }
        Ok(())
    }
}

/// Namespaces that have a name (ip-netns(8)); container runtimes keep theirs there too.
#[derive(Debug)]
pub struct Named {
    /// Where the names are.
    pub folder: PathBuf,
}

impl Default for Named {
    fn default() -> Self {
        Self { folder: "/run/netns".into() }
    }
}

impl Source for Named {
    fn look(&mut self, there: &mut There) -> Result<(), TargetError> {
        let entries = match fs::read_dir(&self.folder) {
            // The first name makes the folder.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(TargetError::System { path: self.folder.clone(), source }),
            Ok(entries) => entries,
        };
        for door in entries.flatten().map(|entry| entry.path()) {
            if let (Some(netns), Some(name)) = (namespace(&door), door.file_name()) {
                let name = Some(name.to_string_lossy().into_owned());
                there.add(Target { netns, name, ..Target::default() }, door);
            }
        }
        Ok(())
    }
}

/// The namespace at a path.
#[derive(Debug)]
pub struct AtPath(pub PathBuf);

impl Source for AtPath {
    fn look(&mut self, there: &mut There) -> Result<(), TargetError> {
        let Self(door) = self;
        match fs::metadata(&*door).map(|_| namespace(door).filter(|_| is_of_network(door))) {
            Ok(Some(netns)) => there.add(Target { netns, ..Target::default() }, door.clone()),
            Ok(None) => return Err(TargetError::NoNamespace { path: door.clone() }),
            // It may still come.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(TargetError::System { path: door.clone(), source }),
        }
        Ok(())
    }
}

/// Whether a namespace is one of a network: of mounts or processes there are such files, too. Opening any of them does nothing
/// (namespaces(7)); what else a path may lead to is not opened.
fn is_of_network(namespace: &Path) -> bool {
    let file = fs::File::open(namespace).and_then(|file| fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())));
    file.is_ok_and(|name| name.as_os_str().as_encoded_bytes().starts_with(b"net:["))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_to_no_network_namespace_is_told() {
        let look = |path: &str| {
            let mut there = There::default();
            let told = AtPath(path.into()).look(&mut there).map_err(|error| error.to_string());
            told.map(|()| there.0.into_keys().collect::<Vec<_>>())
        };
        assert_eq!(look(OWN), Ok(vec![namespace(OWN.as_ref()).unwrap()]));
        assert_eq!(look("/no/such/file"), Ok(vec![]), "it may come");
        for path in ["/proc/self/ns/mnt", "/dev/null", "/"] {
            assert_eq!(look(path), Err(format!("{path} is no network namespace: nothing is recorded of it")));
        }
    }
}
