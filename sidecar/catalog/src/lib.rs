//! sidecar/catalog
