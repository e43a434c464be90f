//! Alerts say what is wrong and what to do, here and in the operator's page, and are tested.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::{example, rules};

#[test]
fn an_alert_says_how_bad_it_is_what_happens_and_what_to_do() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sidecar/docs/operations.md");
    let page = fs::read_to_string(page).unwrap();
    let tests = fs::read_to_string(example("prometheus/alerts_test.yaml")).unwrap();
    let mut names = BTreeSet::new();
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name.to_owned()), "{name} twice");
        assert!(matches!(rule["labels"]["severity"].as_str(), Some("page" | "ticket")), "{name}");
        for key in ["summary", "description"] {
            assert!(rule["annotations"][key].as_str().is_some_and(|text| text.ends_with('.')), "{name}: {key}");
        }
        assert!(page.contains(&format!("| `{name}` |")), "{name} is not in operations.md");
        for case in ["fires", "does not"] {
            assert!(tests.contains(&format!("name: {name} {case}")), "{name} {case}: there is no test of it");
        }
    }
    let told = page.lines().filter_map(|line| line.strip_prefix("| `PayloadManager")).count();
    assert_eq!(told, names.len(), "operations.md tells of alerts that are not there");
}
