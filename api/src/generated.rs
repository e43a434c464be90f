//! The generated modules, nested as the packages are. Nothing is written by hand here.

/// The encoded `FileDescriptorSet` of all files of the contract and what they import, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/contract.bin"));

macro_rules! package {
    ($(#[$doc:meta])* $name:ident: $($file:literal),+) => {
        $(#[$doc])*
        pub mod $name {
            /// Version 1.
            #[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic)]
            #[allow(clippy::panic, clippy::too_many_lines, clippy::unwrap_used, clippy::cast_possible_truncation)]
            #[allow(rustdoc::all)]
            pub mod v1 {
                $(include!(concat!(env!("OUT_DIR"), "/", $file));)+
            }
        }
    };
}

package!(
    /// `payload.manager.core`: ids, tiers, states, policies, descriptors.
    core: "payload.manager.core.v1.rs", "payload.manager.core.v1.serde.rs"
);
package!(
    /// `payload.manager.runtime`: life, leases, tiering, streams.
    runtime: "payload.manager.runtime.v1.rs"
);
package!(
    /// `payload.manager.catalog`: metadata, lineage, archives.
    catalog: "payload.manager.catalog.v1.rs", "payload.manager.catalog.v1.serde.rs"
);
package!(
    /// `payload.manager.admin`: what an operator asks.
    admin: "payload.manager.admin.v1.rs"
);
package!(
    /// `payload.manager.session`: what is spoken on the session socket.
    session: "payload.manager.session.v1.rs"
);
package!(
    /// `payload.manager.services`: the four services, clients and servers.
    services: "payload.manager.services.v1.rs"
);
