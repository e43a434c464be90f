//! The calls of the contract by name, read from the descriptors that the daemon itself is built from.

use payload_manager_api::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::FileDescriptorSet;

/// One call of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Its service, with its package.
    pub service: String,
    /// Its bare name, which no other service has.
    pub name: String,
    /// Whether it answers with a stream.
    pub streams: bool,
}

/// Every call there is.
///
/// # Panics
/// If the descriptors are broken.
#[must_use]
pub fn methods() -> Vec<Method> {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut found = Vec::new();
    for file in &set.file {
        for service in &file.service {
            found.extend(service.method.iter().map(|method| Method {
                service: format!("{}.{}", file.package(), service.name()),
                name: method.name().to_owned(),
                streams: method.server_streaming(),
            }));
        }
    }
    found
}

/// The path of a call, by its bare name.
///
/// # Panics
/// If the contract has no such call.
#[must_use]
pub fn path(name: &str) -> String {
    let method = methods().into_iter().find(|method| method.name == name);
    let Method { service, name, .. } = method.unwrap_or_else(|| panic!("the contract has no {name}"));
    format!("/{service}/{name}")
}
