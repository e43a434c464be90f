//! The contract does not drift: what the `.proto` files say is compared with what clients in the field know.
//!
//! `compat/v1.txt` holds the facts of v1 and never changes. `compat/current.txt` holds everything; a change of the
//! contract shows there as a diff, made with `UPDATE_COMPAT=1 cargo test -p payload-manager-api --test compat`.

#![allow(clippy::unwrap_used, reason = "helpers of a test fail it by panicking")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use payload_manager_api::FILE_DESCRIPTOR_SET;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// One line a fact: files, messages, fields, enums, values, services, calls.
fn facts() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let mut facts = BTreeSet::new();
    for file in set.file.iter().filter(|f| f.package().starts_with("payload.")) {
        assert_eq!(file.syntax(), "proto3", "{}", file.name());
        for message in &file.message_type {
            facts_of_message(file, file.package(), message, &mut facts);
        }
        for item in &file.enum_type {
            facts_of_enum(file, file.package(), item, &mut facts);
        }
        facts_of_services(file, &mut facts);
    }
    facts
}

fn facts_of_message(file: &FileDescriptorProto, scope: &str, message: &DescriptorProto, facts: &mut BTreeSet<String>) {
    let name = format!("{scope}.{}", message.name());
    facts.insert(format!("file {} message {name}", file.name()));
    for field in &message.field {
        facts.insert(format!("message {name} {} {} {}", field.number(), field.name(), type_of(message, field)));
    }
    for nested in message.nested_type.iter().filter(|n| !is_map(n)) {
        facts_of_message(file, &name, nested, facts);
    }
    for nested in &message.enum_type {
        facts_of_enum(file, &name, nested, facts);
    }
}

fn facts_of_enum(file: &FileDescriptorProto, scope: &str, item: &EnumDescriptorProto, facts: &mut BTreeSet<String>) {
    let name = format!("{scope}.{}", item.name());
    facts.insert(format!("file {} enum {name}", file.name()));
    for value in &item.value {
        facts.insert(format!("enum {name} {} {}", value.number(), value.name()));
    }
}

fn facts_of_services(file: &FileDescriptorProto, facts: &mut BTreeSet<String>) {
    for service in &file.service {
        let name = format!("{}.{}", file.package(), service.name());
        facts.insert(format!("file {} service {name}", file.name()));
        for call in &service.method {
            assert!(!call.client_streaming(), "no call of the contract streams requests");
            let (from, to) = (&call.input_type()[1..], &call.output_type()[1..]);
            let stream = if call.server_streaming() { "stream " } else { "" };
            facts.insert(format!("rpc {name} {} {from} -> {stream}{to}", call.name()));
        }
    }
}

fn is_map(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|o| o.map_entry())
}

fn type_of(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let simple = match field.r#type() {
        Type::Message | Type::Enum => field.type_name()[1..].to_owned(),
        scalar => scalar.as_str_name()["TYPE_".len()..].to_lowercase(),
    };
    let map = message.nested_type.iter().find(|n| is_map(n) && simple.ends_with(&format!(".{}", n.name())));
    let repeated = if field.label() == Label::Repeated { "repeated " } else { "" };
    match (map, field.oneof_index) {
        (Some(entry), _) => {
            format!("map<{},{}>", type_of(entry, &entry.field[0]), type_of(entry, &entry.field[1]))
        }
        (None, Some(oneof)) => {
            format!("{simple} oneof {}", message.oneof_decl[usize::try_from(oneof).unwrap()].name())
        }
        (None, None) => format!("{repeated}{simple}"),
    }
}

fn compat(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("compat").join(file)
}

fn lines(file: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(compat(file)).unwrap();
    text.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect()
}

#[test]
fn nothing_of_v1_is_renamed_renumbered_retyped_or_removed() {
    let facts = facts();
    let lost: Vec<_> = lines("v1.txt").into_iter().filter(|l| !facts.contains(l)).collect();
    assert!(lost.is_empty(), "clients in the field rely on:\n{}", lost.join("\n"));
}

#[test]
fn additions_to_messages_and_enums_of_v1_are_numbered_from_32() {
    let v1 = lines("v1.txt");
    let is_of_v1 = |name: &str| v1.iter().any(|l| l.starts_with("file ") && l.ends_with(&format!(" {name}")));
    for fact in facts().difference(&v1) {
        let words: Vec<_> = fact.split(' ').collect();
        if matches!(words[0], "message" | "enum") && is_of_v1(words[1]) {
            assert!(words[2].parse::<i32>().unwrap() >= 32, "{fact}");
        }
    }
}

#[test]
fn the_contract_is_what_was_reviewed() {
    let facts = facts();
    if std::env::var_os("UPDATE_COMPAT").is_some() {
        let lines: String = facts.iter().map(|l| format!("{l}\n")).collect();
        std::fs::write(compat("current.txt"), lines).unwrap();
    }
    let reviewed = lines("current.txt");
    let diff: Vec<_> = (facts.difference(&reviewed).map(|l| format!("+ {l}")))
        .chain(reviewed.difference(&facts).map(|l| format!("- {l}")))
        .collect();
    assert!(diff.is_empty(), "if meant, run with UPDATE_COMPAT=1 and review the diff:\n{}", diff.join("\n"));
}

#[test]
fn all_files_are_there_and_import_nothing_but_timestamp_and_empty() {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let (ours, theirs): (Vec<_>, Vec<_>) = set.file.iter().partition(|f| f.name().starts_with("payload/manager/"));
    let theirs: BTreeSet<_> = theirs.iter().map(|f| f.name()).collect();
    // Those of v1, and what is spoken on the session socket.
    assert_eq!(ours.len(), 17 + 1);
    assert_eq!(theirs, BTreeSet::from(["google/protobuf/empty.proto", "google/protobuf/timestamp.proto"]));
}
