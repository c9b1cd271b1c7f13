//! The recorder's one test binary: linking is what costs.

mod made;
mod s3;
mod seaweed;
mod upload;
