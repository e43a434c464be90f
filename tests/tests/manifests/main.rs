//! The manifests for Kubernetes: what they ask of a cluster, of the program and of each other.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy knows tests by their attribute only, and misses their helpers"
)]

mod kustomize;
mod pod;
mod program;
mod room;
mod schemas;
mod security;
