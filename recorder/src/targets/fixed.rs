//! Targets that are known by a name: our own namespace, those of `ip netns`, a process, a path.

use super::{OWN, Source, TargetError, There, namespace};
use formats::pcapng::Target;
use std::fs;
use std::io;
use std::path::PathBuf;

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

/// Namespaces at paths.
#[derive(Debug)]
pub struct Paths(pub Vec<PathBuf>);

impl Source for Paths {
    fn look(&mut self, there: &mut There) -> Result<(), TargetError> {
        for door in &self.0 {
            if let Some(netns) = namespace(door) {
                there.add(Target { netns, ..Target::default() }, door.clone());
            }
        }
        Ok(())
    }
}
