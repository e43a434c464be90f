//! sidecar/tiers
