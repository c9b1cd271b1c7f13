//! What the user knows of services: descriptor sets and `.proto` files.

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

/// The folder of a bare file name is the working one.
fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}
