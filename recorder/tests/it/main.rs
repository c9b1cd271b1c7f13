//! The recorder's one test binary: linking is what costs.

mod bad_day;
mod capture;
mod control;
mod crash;
mod disk;
mod encrypted;
mod fanout;
mod image;
mod made;
mod net;
mod node;
mod observe;
mod own;
mod proxy;
mod ready;
mod rights;
mod run;
mod s3;
mod seaweed;
mod seccomp;
mod signed;
mod targets;
mod upload;
mod write_only;
