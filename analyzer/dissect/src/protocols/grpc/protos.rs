//! What the user knows of services: descriptor sets and `.proto` files.

use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::FileDescriptorSet;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use std::path::{Path, PathBuf};

/// The services and messages of some files, cheap to copy.
#[derive(Debug, Clone, Default)]
pub struct Protos {
    pool: DescriptorPool,
}

/// Why a file of descriptors cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtosError {
    /// A file that ends in `.proto` does not compile, or what it imports is not found.
    #[error("{}: {error}", file.display())]
    Compile {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: Box<protox::Error>,
    },
    /// Any other file that is no `FileDescriptorSet`.
    #[error("{}: no descriptor set (and not named .proto): {error}", file.display())]
    Descriptors {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: Box<prost_reflect::DescriptorError>,
    },
    /// A descriptor set with a file of an edition, which nobody here reads.
    #[error("{}: {source_file} in it is of syntax '{syntax}'; proto2 and proto3 are read, editions are not", file.display())]
    Edition {
        /// The file.
        file: PathBuf,
        /// Which of the files it describes.
        source_file: String,
        /// What that says of itself.
        syntax: String,
    },
    /// A file that cannot be read.
    #[error("{}: {error}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        error: std::io::Error,
    },
}

impl Protos {
    /// Reads files: `.proto` sources, which may import from their folder and those above it, or binary descriptor
    /// sets (`protoc --include_imports --descriptor_set_out`).
    ///
    /// # Errors
    /// [`ProtosError`] names the first file that cannot be used.
    pub fn load(files: &[PathBuf]) -> Result<Self, ProtosError> {
        let mut pool = DescriptorPool::new();
        for file in files {
            let bad_set = |error| ProtosError::Descriptors { file: file.clone(), error: Box::new(error) };
            if file.extension().is_some_and(|extension| extension == "proto") {
                let folders: Vec<&Path> = file.ancestors().skip(1).map(or_here).collect();
                let compiled = protox::compile([file], folders)
                    .map_err(|error| ProtosError::Compile { file: file.clone(), error: Box::new(error) })?;
                pool.add_file_descriptor_set(compiled).map_err(bad_set)?;
            } else {
                let bytes = std::fs::read(file).map_err(|error| ProtosError::Io { file: file.clone(), error })?;
                if let Some((source_file, syntax)) = of_edition(&bytes) {
                    return Err(ProtosError::Edition { file: file.clone(), source_file, syntax });
                }
                pool.decode_file_descriptor_set(bytes.as_slice()).map_err(bad_set)?;
            }
        }
        Ok(Self { pool })
    }

    /// A descriptor set of all files, what they import too.
    pub fn encoded(&self) -> Vec<u8> {
        self.pool.encode_to_vec()
    }

    /// The method of that service; a path may have folders in front of the service's name.
    pub fn method(&self, service: &str, method: &str) -> Option<MethodDescriptor> {
        let service = self.pool.get_service_by_name(service.rsplit('/').next()?)?;
        service.methods().find(|known| known.name() == method)
    }
}

/// The first file of a descriptor set that is neither proto2 nor proto3, and what it is. The pool panics at such.
fn of_edition(set: &[u8]) -> Option<(String, String)> {
    // What is no set is for the pool to refuse.
    let set = FileDescriptorSet::decode(set).ok()?;
    let mut files = set.file.into_iter();
    let file = files.find(|file| !matches!(file.syntax.as_deref(), None | Some("proto2" | "proto3")))?;
    Some((file.name.unwrap_or_default(), file.syntax.unwrap_or_default()))
}

/// The folder of a bare file name is the working one.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}
