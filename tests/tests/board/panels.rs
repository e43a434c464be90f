//! The board as Grafana takes it: who a panel is, where it lies, what it says of itself.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{board, shown};

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The cells of the grid that a panel takes, which is 24 wide.
fn cells(panel: &Value) -> Vec<(u64, u64)> {
    let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| number(&panel["gridPos"][key]));
    assert!(w > 0 && h > 0 && x + w <= 24, "{}", panel["title"]);
    (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))).collect()
}

#[test]
fn panels_have_names_and_places_of_their_own() {
    let board = board();
    let panels = board["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| number(&panel["id"])).collect();
    assert_eq!(ids.len(), panels.len());
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(cells(panel).into_iter().all(|cell| taken.insert(cell)), "{} lies over another", panel["title"]);
    }
}

#[test]
fn a_panel_says_what_it_shows_in_which_unit_and_from_where() {
    let board = board();
    for panel in shown(&board) {
        let title = panel["title"].as_str().unwrap();
        assert!(panel["description"].as_str().is_some_and(|text| text.ends_with('.')), "{title}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}");
        for target in targets.iter().chain([panel]) {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}: no data source is the same everywhere");
        }
        assert!(targets.iter().all(|target| target["legendFormat"].as_str().is_some_and(|l| !l.is_empty())), "{title}");
    }
    let variables: Vec<&str> = board["templating"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| variable["name"].as_str().unwrap())
        .collect();
    assert_eq!(variables, ["datasource", "instance"]);
}
