//! What is particular to the file; what every back end does is in `conformance`.

mod folder;
mod graph;
mod plans;
mod refused;
mod sweeping;
mod work;
