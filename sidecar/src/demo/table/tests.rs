//! What the end of the demo says.

use super::*;

fn results() -> Results {
    let mut measured = Measured::default();
    for what in Measure::ALL {
        (1..=100).for_each(|n| measured.add(what, 1 << 20, n * 1_000_000));
    }
    let (files, payloads, checked_twice) = (100, 100, 100);
    Results {
        files,
        payloads,
        checked_twice,
        bytes: 100 << 20,
        ram: 32 << 20,
        made_room: 70,
        measured,
        ..Results::default()
    }
}

#[test]
fn the_table_has_every_measure_with_its_percentiles() {
    let text = results().table();
    for name in [
        "put",
        "lease",
        "lease again",
        "lease again, by call",
        "first byte, RAM",
        "first byte, DISK",
        "spill",
        "promote",
        "p50",
        "p99",
    ] {
        assert!(text.contains(name), "{name} in\n{text}");
    }
    let spill = text.lines().find(|line| line.contains("spill")).unwrap();
    for cell in ["100", "100.0 MiB", "50.0 ms", "99.0 ms", "19.8 MiB/s"] {
        assert!(spill.contains(cell), "{cell} in {spill}");
    }
    assert!(text.contains("100 payloads, 100.0 MiB, through 32.0 MiB of RAM"), "{text}");
    assert!(text.contains("in shared memory: 50.0 ms; by a call each: 50.0 ms (1 times)"), "{text}");
}

#[test]
fn what_was_never_measured_has_no_row() {
    let text = Results { measured: Measured::default(), ..results() }.table();
    assert!(!text.contains("promote"), "{text}");
}

#[test]
fn it_is_right_only_if_everything_was_checked_twice_and_nothing_was_wrong() {
    assert!(results().all_right());
    assert!(!Results { checked_twice: 99, ..results() }.all_right());
    assert!(!Results { payloads: 99, checked_twice: 99, ..results() }.all_right(), "one file is unaccounted for");
    assert!(!Results { wrong: vec!["a: byte 3".into()], ..results() }.all_right());
    assert!(!Results { failed: Some("the daemon did not stop".into()), ..results() }.all_right());
    assert!(!Results::default().all_right(), "nothing was shown");
    let skipped = BTreeMap::from([("a".to_owned(), "it is gone".to_owned())]);
    assert!(Results { payloads: 99, checked_twice: 99, skipped, ..results() }.all_right());
    assert!(Results { changed: vec!["a".into()], ..results() }.all_right());
}

#[test]
fn many_wrong_payloads_are_named_up_to_a_point() {
    let wrong = (0..25).map(|n| format!("file {n}")).collect();
    let text = Results { wrong, ..results() }.table();
    assert!(text.contains("file 9") && !text.contains("file 10") && text.contains("15 more"), "{text}");
}

#[test]
fn programs_get_the_same_figures_in_nanoseconds() {
    let json = results().json();
    assert_eq!(json["ok"], true);
    assert_eq!(json["measured"]["first_byte_ram"]["p99_ns"], 99_000_000);
    assert_eq!(json["measured"]["put"]["bytes"], 100 << 20);
}

#[test]
fn times_are_told_in_three_figures() {
    for (nanos, text) in [
        (0, "0.00 ns"),
        (310, "310 ns"),
        (7_000, "7.00 µs"),
        (812_000, "812 µs"),
        (4_070_000, "4.07 ms"),
        (31_200_000_000, "31.2 s"),
    ] {
        assert_eq!(time(Duration::from_nanos(nanos)), text);
    }
}
