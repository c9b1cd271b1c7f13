//! The recorder's one test binary: linking is what costs.

mod capture;
mod control;
mod crash;
mod disk;
mod made;
mod net;
mod proxy;
mod ready;
mod run;
mod s3;
mod seaweed;
mod signed;
mod targets;
mod upload;
