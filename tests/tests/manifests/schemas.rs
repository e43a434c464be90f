//! What overlays make, held against the schemas of Kubernetes: of the oldest version that has sidecars, and of the newest.

use std::process::{Command, Output};

use payload_manager_tests::skip;
use serde_json::Value;

use crate::kustomize::{OVERLAYS, render};

/// From PyPI; it has the schemas with it.
const TOOL: &str = "kubernetes-validate";

fn validate(documents: &[Value], version: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.yaml");
    // JSON is YAML.
    let text: String = documents.iter().map(|one| format!("---\n{one}\n")).collect();
    std::fs::write(&file, text).unwrap();
    Command::new(TOOL).arg("--strict").args(version).arg(file).output().unwrap()
}

#[test]
fn every_manifest_is_what_kubernetes_takes() {
    if Command::new(TOOL).arg("--version").output().is_err() {
        return skip("every_manifest_is_what_kubernetes_takes", &format!("{TOOL} on the PATH"));
    }
    for version in [&["-k", "1.29"][..], &[]] {
        for overlay in OVERLAYS {
            let mut documents = render(overlay);
            let output = validate(&documents, version);
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{overlay} {version:?}: {}", String::from_utf8_lossy(&said));
            // It looks into what matters.
            let container = documents.iter_mut().find_map(|one| one.pointer_mut("/spec/template/spec/containers/0"));
            container.unwrap()["volumeMount"] = Value::Array(Vec::new());
            assert!(!validate(&documents, version).status.success(), "{overlay} {version:?}: a misspelt key passes");
        }
    }
}
