//! Good files, and each way in which a file can be wrong.

use super::super::Value;
use super::super::fake::Fake;
use super::*;

fn problems(text: &str) -> Vec<String> {
    let fake = Fake::new();
    let path = fake.write("/etc/pm.toml", text);
    let folder = format!("{}/", path.parent().unwrap().display());
    let problems = read(&path).expect_err(text);
    problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect()
}

#[test]
fn each_value_carries_its_line() {
    let fake = Fake::new();
    let path =
        fake.write("/etc/pm.toml", "# mine\n\nram = \"8GiB\"\ntransfers = 8\n\nallow-uids = [\n 0,\n \"root\", 5]\n");
    let settings = read(&path).unwrap();
    let find = |name: &str| settings.iter().find(|setting| setting.key.name == name).unwrap();
    assert_eq!(find("ram").value, Value::Bytes(8 << 30));
    assert_eq!(find("ram").source, Source::File { path: path.clone(), line: 3 });
    assert_eq!(find("transfers").value, Value::Count(8));
    assert_eq!(find("allow-uids").value, Value::Ids(vec![0, 5]));
    assert_eq!(find("allow-uids").source, Source::File { path, line: 6 });
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    assert_eq!(
        problems("ram = 4096\nruntime_dir = \"/x\""),
        ["pm.toml:2: runtime_dir: unknown key; the nearest known one is `runtime-dir`"]
    );
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_what_is_expected() {
    assert_eq!(
        problems("ram = true"),
        ["pm.toml:1: ram: expected a size such as \"8GiB\", a whole number of bytes, or \"auto\", found a boolean"]
    );
    assert_eq!(problems("lease-max = 20"), ["pm.toml:1: lease-max: expected a time such as \"20s\", found an integer"]);
    assert_eq!(problems("transfers = \"4\""), ["pm.toml:1: transfers: expected a whole number, found a string"]);
    for text in [
        "data-dir = 1",
        "listen = 7000",
        "allow-uids = 0",
        "allow-gids = [true]",
        "log = 1979-05-27",
        "disk = 1.5",
        "ram = {}",
    ] {
        assert!(problems(text)[0].contains("expected"), "{text}");
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once_in_the_order_of_lines() {
    let problems = problems("transfers = 0\nsize = 1\nlog = \"loud\"\n");
    assert_eq!(problems.len(), 3);
    assert!(problems[0].starts_with("pm.toml:1: transfers: 0 is out of bounds"));
    assert!(problems[1].starts_with("pm.toml:2: size: unknown key"));
    assert!(problems[2].starts_with("pm.toml:3: log: "));
}

#[test]
fn what_is_no_toml_is_refused_with_its_line() {
    for text in ["\n\nram = ", "\n\nram = 8GiB", "ram = 4096\n\nram = 8192", "\n\n}{"] {
        assert!(problems(text)[0].starts_with("pm.toml:3: "), "{:?}", problems(text));
    }
}

#[test]
fn tables_are_refused_with_a_hint() {
    assert!(problems("[tiers]\nram = 4096")[0].contains("no tables"));
}

#[test]
fn a_switch_that_destroys_can_not_be_left_in_a_file() {
    assert!(problems("fresh = true")[0].contains("a flag only"));
}

#[test]
fn a_file_that_is_not_there_or_no_text_is_told() {
    let fake = Fake::new();
    assert!(read(&fake.at("/etc/none.toml")).unwrap_err()[0].to_string().contains("can't be read"));
    assert!(read(&fake.at("/dev/shm")).unwrap_err()[0].to_string().contains("can't be read"));
    let path = fake.write("/etc/pm.toml", "");
    fs::write(&path, b"ram = \"\xff\"").unwrap();
    assert!(read(&path).unwrap_err()[0].to_string().contains("can't be read"));
}

#[test]
fn relative_folders_are_taken_from_the_files_own_folder() {
    let fake = Fake::new();
    let path = fake.write("/etc/pm.toml", "data-dir = \"data\"");
    assert_eq!(read(&path).unwrap()[0].value, Value::Path(fake.at("/etc/data")));
}
