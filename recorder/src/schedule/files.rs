//! Where a configuration comes from: one file, or a folder of them that say together what one would say.
//!
//! In a folder every `*.yaml` and `*.yml` counts, in order of names; names that begin with a dot do not, so
//! that a mounted ConfigMap reads as it looks. A setting stands in one file, windows may stand in any.

use super::config::{Config, Observe, Spool};
use super::error::{ConfigError, invalid};
use super::lock::LockWord;
use super::values::{EncryptTo, StoreUrl};
use super::window::{Defaults, Window, WindowFile};
use crate::limits;
use formats::hash::Hash256;
use formats::store::Name;
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why a configuration cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilesError {
    /// What one of its files says.
    #[error("{}: {source}", path.display())]
    Content {
        /// The file; the folder where no file of it is to blame.
        path: PathBuf,
        /// What is wrong in it.
        source: ConfigError,
    },
    /// A folder without a configuration.
    #[error("{}: no file in this folder ends with .yaml or .yml", path.display())]
    NoFiles {
        /// The folder.
        path: PathBuf,
    },
    /// It is not there, or not for us.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// More files than anybody writes.
    #[error("{}: has more than {} files that end with .yaml or .yml", path.display(), limits::CONFIG_FILES_MAX)]
    TooManyFiles {
        /// The folder.
        path: PathBuf,
    },
}

/// One file of a configuration.
struct Source {
    path: PathBuf,
    text: String,
}

/// A file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    cluster: Option<Spanned<Name>>,
    node: Option<Spanned<Name>>,
    store: Option<Spanned<StoreUrl>>,
    store_write_only: Option<Spanned<bool>>,
    encrypt_to: Option<Spanned<EncryptTo>>,
    object_lock: Option<Spanned<LockWord>>,
    spool: Option<Spanned<Spool>>,
    observe: Option<Spanned<Observe>>,
    /// Null where all of them are commented out.
    windows: Option<Vec<WindowFile>>,
}

impl Config {
    /// Reads the configuration in a file, or in a folder.
    ///
    /// # Bounds
    /// [`limits::CONFIG_BYTES_MAX`] in [`limits::CONFIG_FILES_MAX`] files; nesting and aliases are bounded by
    /// serde-saphyr.
    /// # Errors
    /// [`FilesError`], with file, line and column.
    pub fn read(path: &Path) -> Result<Self, FilesError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| FilesError::Read { path, source }
        };
        let is_folder = std::fs::metadata(path).map_err(failed(path))?.is_dir();
        let paths = if is_folder { files_in(path)? } else { vec![path.to_owned()] };
        let mut sources = Vec::new();
        let mut left_bytes = limits::CONFIG_BYTES_MAX;
        for path in paths {
            let mut text = String::new();
            let file = File::open(&path).map_err(failed(&path))?;
            file.take(left_bytes as u64 + 1).read_to_string(&mut text).map_err(failed(&path))?;
            match left_bytes.checked_sub(text.len()) {
                Some(left) => left_bytes = left,
                None => return Err(FilesError::Content { path, source: ConfigError::TooLong }),
            }
            sources.push(Source { path, text });
        }
        let sha256 = if is_folder { hash_of_many(&sources) } else { hash_of_one(&sources) };
        merge(&sources, sha256).map_err(|(at, source)| {
            let file = at.and_then(|at| sources.get(at)).map_or(path, |source| &source.path);
            FilesError::Content { path: file.to_owned(), source }
        })
    }

    /// Reads the text of a configuration that is one file.
    ///
    /// # Errors
    /// [`ConfigError`], with line and column.
    pub fn from_yaml(text: &str) -> Result<Self, ConfigError> {
        if text.len() > limits::CONFIG_BYTES_MAX {
            return Err(ConfigError::TooLong);
        }
        let sources = [Source { path: PathBuf::new(), text: text.to_owned() }];
        merge(&sources, hash_of_one(&sources)).map_err(|(_, error)| error)
    }
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>, FilesError> {
    let failed = |source| FilesError::Read { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && path.extension().is_some_and(|end| end == "yaml" || end == "yml") && !path.is_dir() {
            paths.push(path);
        }
        if paths.len() > limits::CONFIG_FILES_MAX {
            return Err(FilesError::TooManyFiles { path: folder.to_owned() });
        }
    }
    if paths.is_empty() {
        return Err(FilesError::NoFiles { path: folder.to_owned() });
    }
    paths.sort();
    Ok(paths)
}

fn hash_of_one(sources: &[Source]) -> Hash256 {
    Hash256::of(sources.first().map_or(b"", |source| source.text.as_bytes()))
}

/// As `sha256sum FILE… | sha256sum` has it, with all files in the order of the bytes in their names (`LC_ALL=C`), so that anybody
/// can compute it anew.
fn hash_of_many(sources: &[Source]) -> Hash256 {
    let mut lines = Vec::new();
    for Source { path, text } in sources {
        lines.extend_from_slice(format!("{}  ", Hash256::of(text.as_bytes())).as_bytes());
        lines.extend_from_slice(path.file_name().unwrap_or_default().as_encoded_bytes());
        lines.push(b'\n');
    }
    Hash256::of(&lines)
}

/// What went wrong, and in which file; none where no single one is to blame.
type Blamed = (Option<usize>, ConfigError);

fn merge(sources: &[Source], sha256: Hash256) -> Result<Config, Blamed> {
    let mut files = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let written = serde_saphyr::from_str::<Written>(&source.text);
        files.push(written.map_err(|error| (Some(at), ConfigError::Yaml(Box::new(error))))?);
    }
    let defaults = Defaults {
        store: only(sources, &files, "store", |file| &file.store)?,
        store_write_only: only(sources, &files, "store_write_only", |file| &file.store_write_only)?.unwrap_or(false),
        encrypt_to: only(sources, &files, "encrypt_to", |file| &file.encrypt_to)?.unwrap_or_default(),
        object_lock: only(sources, &files, "object_lock", |file| &file.object_lock)?.unwrap_or_default(),
    };
    let one = if files.len() == 1 { Some(0) } else { None };
    Ok(Config {
        cluster: only(sources, &files, "cluster", |file| &file.cluster)?.ok_or((one, ConfigError::NoCluster))?,
        node: only(sources, &files, "node", |file| &file.node)?,
        spool: only(sources, &files, "spool", |file| &file.spool)?.unwrap_or_default(),
        observe: only(sources, &files, "observe", |file| &file.observe)?.unwrap_or_default(),
        windows: windows(sources, &files, &defaults)?,
        sha256,
    })
}

/// The value of a setting, which stands in one file at most.
fn only<T: Clone>(
    sources: &[Source],
    files: &[Written],
    setting: &str,
    of: impl Fn(&Written) -> &Option<Spanned<T>>,
) -> Result<Option<T>, Blamed> {
    let mut found: Option<(usize, &Spanned<T>)> = None;
    for (at, value) in files.iter().enumerate().filter_map(|(at, file)| Some((at, of(file).as_ref()?))) {
        if let Some((first, _)) = found {
            let what = format!("{setting} stands in {} too", name_of(sources, first));
            return invalid(value, what).map_err(|error| (Some(at), error));
        }
        found = Some((at, value));
    }
    Ok(found.map(|(_, value)| value.value.clone()))
}

fn windows(sources: &[Source], files: &[Written], defaults: &Defaults) -> Result<Vec<Arc<Window>>, Blamed> {
    let mut windows = Vec::new();
    let mut named: HashMap<&Name, (usize, u64)> = HashMap::new();
    let all =
        files.iter().enumerate().flat_map(|(at, file)| file.windows.iter().flatten().map(move |window| (at, window)));
    for (at, window) in all {
        let place = (at, window.name.referenced.line());
        if let Some((file, line)) = named.insert(&window.name.value, place) {
            let other = if file == at { String::new() } else { format!(" of {}", name_of(sources, file)) };
            let what = format!("another window has this name, in line {line}{other}");
            return invalid(&window.name, what).map_err(|error| (Some(at), error));
        }
        windows.push(Arc::new(window.resolve(defaults).map_err(|error| (Some(at), error))?));
    }
    Ok(windows)
}

fn name_of(sources: &[Source], at: usize) -> String {
    let name = sources.get(at).and_then(|source| source.path.file_name());
    name.unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: &str = "windows:\n- {name: NAME, always: true, interfaces: [any]}\n";

    /// What is read of a folder with these files: names of windows, or the error without the folder's path.
    fn read(files: &[(&str, &str)]) -> Result<(Config, String), String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let read = Config::read(folder.path());
        let shown = format!("{}", folder.path().display());
        let config = read.map_err(|error| error.to_string().replace(&shown, "DIR"))?;
        let names: Vec<_> = config.windows.iter().map(|window| window.name.to_string()).collect();
        Ok((config, names.join(" ")))
    }

    #[test]
    fn a_folder_is_read_as_one() {
        let window = |name: &str| WINDOW.replace("NAME", name);
        let files = [
            ("b.yml", window("b")),
            ("a.yaml", window("a")),
            ("00.yaml", "{cluster: c, store: /s, spool: {folder: /x}}".to_owned()),
            (".hidden.yaml", "{{{".to_owned()),
            ("notes.txt", "{{{".to_owned()),
        ];
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let (config, names) = read(&files).unwrap();
        assert_eq!((names.as_str(), config.spool.folder.to_str()), ("a b", Some("/x")));
        let line = |name: &str| {
            let text = files.iter().find(|file| file.0 == name).unwrap().1;
            format!("{}  {name}\n", Hash256::of(text.as_bytes()))
        };
        let lines = ["00.yaml", "a.yaml", "b.yml"].map(line).concat();
        assert_eq!(config.sha256, Hash256::of(lines.as_bytes()));
        let (_, names) = read(&[("0.yaml", "cluster: c\nwindows:\n# - {name: w}\n")]).unwrap();
        assert_eq!(names, "");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file() {
        let window = |name: &str| WINDOW.replace("NAME", name);
        let (a, b) = (window("a"), window("b"));
        let head = "{cluster: c, store: /s}";
        for (case, files, want) in [
            (
                "twice named",
                vec![("0.yaml", head), ("a.yaml", &a), ("b.yaml", &a)],
                "DIR/b.yaml: line 2 column 10: another window has this name, in line 2 of a.yaml",
            ),
            (
                "a setting twice",
                vec![("0.yaml", head), ("1.yaml", "store: /t"), ("b.yaml", &b)],
                "DIR/1.yaml: line 1 column 8: store stands in 0.yaml too",
            ),
            (
                "no cluster",
                vec![("a.yaml", &a), ("b.yaml", &b)],
                "DIR: nothing names the cluster: write 'cluster: NAME'",
            ),
            ("no cluster", vec![("a.yaml", &a)], "DIR/a.yaml: nothing names the cluster: write 'cluster: NAME'"),
            ("nothing", vec![("a.txt", &a)], "DIR: no file in this folder ends with .yaml or .yml"),
            (
                "no store",
                vec![("0.yaml", "cluster: c"), ("a.yaml", &a)],
                "DIR/a.yaml: line 2 column 10: neither the window nor the file names a store",
            ),
        ] {
            assert_eq!(read(&files).map(|read| read.1), Err(want.to_owned()), "{case}");
        }
        let error = read(&[("0.yaml", head), ("a.yaml", "windows: 5")]).map(|read| read.1).unwrap_err();
        assert!(error.starts_with("DIR/a.yaml: ") && error.contains("line 1"), "{error}");
        let long = "#".repeat(limits::CONFIG_BYTES_MAX / 2 + 1);
        let error = read(&[("0.yaml", &long), ("a.yaml", &long)]).map(|read| read.1).unwrap_err();
        assert!(error.starts_with("DIR/a.yaml: is larger"), "{error}");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = Config::read(Path::new("/nowhere/at/all.yaml")).map(drop).unwrap_err().to_string();
        assert_eq!(error, "/nowhere/at/all.yaml: No such file or directory (os error 2)");
    }
}
