//! What `kubectl kustomize` makes of a folder, as far as ours ask for it: resources, patches by kind and name, a namespace.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Every folder that can be applied.
pub(crate) const OVERLAYS: [&str; 3] = ["base", "daemonset", "gpu"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/kubernetes").canonicalize().unwrap()
}

/// The documents in a file.
fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The members of a list; none where there is no list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What a text says.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

/// What is applied with this overlay.
pub(crate) fn render(overlay: &str) -> Vec<Value> {
    read(&root().join(overlay), &mut BTreeSet::new())
}

/// What is applied with a folder; the files that it is made from are added to `used`.
fn read(folder: &Path, used: &mut BTreeSet<PathBuf>) -> Vec<Value> {
    let path = folder.join("kustomization.yaml");
    let found = documents(&path);
    let [kustomization] = &found[..] else { panic!("{} is not one document", path.display()) };
    used.insert(path);
    let mut all = Vec::new();
    for name in list(&kustomization["resources"]) {
        let path = folder.join(text(name));
        if path.is_dir() {
            all.extend(read(&path.canonicalize().unwrap(), used));
        } else {
            all.extend(documents(&path));
            used.insert(path);
        }
    }
    for patch in list(&kustomization["patches"]) {
        let path = folder.join(text(&patch["path"]));
        for patch in documents(&path) {
            let name = &patch["metadata"]["name"];
            let target = all.iter_mut().find(|one| one["kind"] == patch["kind"] && one["metadata"]["name"] == *name);
            merge(target.unwrap_or_else(|| panic!("{} is for nobody", path.display())), &patch);
        }
        used.insert(path);
    }
    if let Value::String(namespace) = &kustomization["namespace"] {
        for one in all.iter_mut().filter(|one| one["kind"] != "Namespace") {
            one["metadata"]["namespace"] = namespace.as_str().into();
        }
    }
    for image in list(&kustomization["images"]) {
        let start = format!("\"{}:", text(&image["name"]));
        assert!(all.iter().any(|one| one.to_string().contains(&start)), "no container has the image {start}…");
    }
    all
}

/// A strategic merge: lists of what has a name are merged by that, other lists are replaced.
fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(patch)) if patch.iter().all(|one| one["name"].is_string()) => {
            for value in patch {
                match into.iter_mut().find(|one| one["name"] == value["name"]) {
                    Some(one) => merge(one, value),
                    None => into.push(value.clone()),
                }
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

#[test]
fn every_file_is_part_of_an_overlay_and_every_part_is_there() {
    let mut used = BTreeSet::new();
    for overlay in OVERLAYS {
        assert!(!read(&root().join(overlay), &mut used).is_empty());
    }
    let folders = std::fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    assert_eq!(files.collect::<BTreeSet<_>>(), used);
}
