//! Turns the `.proto` files into Rust, without a system protoc.
//!
//! Not the place for a rule of the contract: those stand in the `.proto` files and in `src/convert`.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message as _;

/// What `PayloadArchiveMetadata` reaches: the only messages that also have a JSON form.
const JSON: [&str; 22] = [
    ".payload.manager.catalog.v1.ChunkHash",
    ".payload.manager.catalog.v1.Compression",
    ".payload.manager.catalog.v1.CompressionType",
    ".payload.manager.catalog.v1.HashAlgorithm",
    ".payload.manager.catalog.v1.Integrity",
    ".payload.manager.catalog.v1.LineageEdge",
    ".payload.manager.catalog.v1.PayloadArchiveMetadata",
    ".payload.manager.catalog.v1.PayloadMetadata",
    ".payload.manager.catalog.v1.PayloadMetadataEvent",
    ".payload.manager.catalog.v1.PayloadStatistics",
    ".payload.manager.core.v1.ChecksumAlgorithm",
    ".payload.manager.core.v1.DiskLocation",
    ".payload.manager.core.v1.EvictionPolicy",
    ".payload.manager.core.v1.EvictionPriority",
    ".payload.manager.core.v1.GpuLocation",
    ".payload.manager.core.v1.PayloadChecksum",
    ".payload.manager.core.v1.PayloadDescriptor",
    ".payload.manager.core.v1.PayloadID",
    ".payload.manager.core.v1.PayloadState",
    ".payload.manager.core.v1.Protection",
    ".payload.manager.core.v1.RamLocation",
    ".payload.manager.core.v1.Tier",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=payload");
    let mut files = Vec::new();
    find_protos(Path::new("payload"), &mut files)?;
    files.sort();

    let mut compiler = protox::Compiler::new(["."])?;
    compiler.include_imports(true).include_source_info(true).open_files(files)?;
    let set = compiler.file_descriptor_set();
    let out = PathBuf::from(std::env::var("OUT_DIR")?);

    let mut for_reflection = set.clone();
    for file in &mut for_reflection.file {
        file.source_code_info = None;
    }
    let bytes = for_reflection.encode_to_vec();
    std::fs::write(out.join("contract.bin"), &bytes)?;

    tonic_prost_build::configure()
        .codec_path("crate::codec::StrictCodec")
        .extern_path(".google.protobuf.Timestamp", "crate::Timestamp")
        .compile_fds(set)?;
    pbjson_build::Builder::new().register_descriptors(&bytes)?.ignore_unknown_fields().build(&JSON)?;
    Ok(())
}

/// Every `.proto` file under `folder`, as a path from the crate's root.
fn find_protos(folder: &Path, into: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            find_protos(&path, into)?;
        } else if path.extension().is_some_and(|e| e == "proto") {
            into.push(path);
        }
    }
    Ok(())
}
