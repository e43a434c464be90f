//! Sources over sources, and the configuration as it is printed.

use std::os::unix::ffi::OsStringExt;

use super::fake::Fake;
use super::*;

fn given(flags: &[(&str, &str)]) -> Given {
    flags.iter().fold(Given::default(), |given, (name, text)| given.with(name, text).unwrap())
}

fn load(fake: &Fake, flags: &[(&str, &str)]) -> Config {
    Config::load(&fake.machine, &given(flags)).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(fake: &Fake, flags: &[(&str, &str)]) -> String {
    Config::load(&fake.machine, &given(flags)).expect_err("should be refused").to_string()
}

fn source(config: &Config, name: &str) -> String {
    config.settings().iter().find(|setting| setting.key.name == name).unwrap().source.to_string()
}

#[test]
fn nothing_at_all_is_a_complete_configuration() {
    let fake = Fake::new();
    let config = load(&fake, &[]);
    assert_eq!(config.settings().len(), KEYS.len(), "every key has a value");
    assert_eq!(config.runtime_dir, Folder::named(fake.at("/run/payload-manager")));
    assert_eq!(config.disk_root, Folder::named(fake.at("/var/lib/payload-manager/payloads")));
    assert_eq!((config.lease_default.as_secs(), config.lease_max.as_secs()), (20, 120));
    assert_eq!((config.max_payload, config.max_payloads), (128 << 30, 1 << 20));
    assert_eq!(config.allocation_timeout.as_secs(), 600);
    assert_eq!((config.listen, config.transfers, config.fresh), (None, 4, false));
    assert_eq!((config.high_watermark, config.low_watermark), (90, 80));
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn a_later_source_wins_and_is_named() {
    let fake = Fake::new();
    let file = fake.write("/etc/pm.toml", "ram = \"1GiB\"\ndisk = \"1GiB\"\ntransfers = 5\n");
    let fake = fake
        .env("PAYLOAD_MANAGER_CONFIG", &file)
        .env("PAYLOAD_MANAGER_RAM", "2GiB")
        .env("PAYLOAD_MANAGER_DISK", "2GiB");
    let config = load(&fake, &[("ram", "3GiB")]);
    assert_eq!((config.ram.bytes, config.disk.bytes, config.transfers), (3 << 30, 2 << 30, 5));
    assert_eq!(source(&config, "ram"), "flag --ram");
    assert_eq!(source(&config, "disk"), "environment PAYLOAD_MANAGER_DISK");
    assert_eq!(source(&config, "transfers"), format!("{}:3", file.display()));
    assert_eq!(source(&config, "log"), "default");
    assert!(source(&config, "data-dir").starts_with("derived: "));
    assert_eq!(config.file, Some(file));
}

#[test]
fn the_flag_for_the_file_wins_over_the_environment() {
    let fake = Fake::new().env("PAYLOAD_MANAGER_CONFIG", "/nowhere.toml");
    fake.write("/home/mine.toml", "transfers = 7\n");
    let given = Given { file: Some("mine.toml".into()), flags: Vec::new() };
    assert_eq!(Config::load(&fake.machine, &given).unwrap().transfers, 7);
}

#[test]
fn auto_takes_back_what_an_earlier_source_said() {
    let fake = Fake::new().env("PAYLOAD_MANAGER_RAM", "1GiB");
    let config = load(&fake, &[("ram", "auto")]);
    assert!(matches!(config.ram.settled, Settled::Share(_)));
}

#[test]
fn an_empty_variable_is_not_set() {
    let fake = Fake::new().env("PAYLOAD_MANAGER_RAM", "").env("PAYLOAD_MANAGER_CONFIG", "");
    assert!(source(&load(&fake, &[]), "ram").starts_with("derived"));
}

#[test]
fn problems_of_file_and_environment_are_told_together() {
    let fake = Fake::new();
    let file = fake.write("/etc/pm.toml", "rma = 1\n");
    let mut fake = fake.env("PAYLOAD_MANAGER_CONFIG", &file).env("PAYLOAD_MANAGER_LOG", "loud");
    let name = std::ffi::OsString::from_vec(vec![0xff]);
    fake.machine.env.insert("PAYLOAD_MANAGER_DATA_DIR".into(), name);
    let message = refused(&fake, &[]);
    assert!(message.contains("rma: unknown key; the nearest known one is `ram`"), "{message}");
    assert!(message.contains("environment PAYLOAD_MANAGER_LOG: log: \"loud\" is no level"), "{message}");
    assert!(message.contains("environment PAYLOAD_MANAGER_DATA_DIR: data-dir: not UTF-8"), "{message}");
}

#[test]
fn a_misspelt_variable_is_warned_of_and_a_foreign_one_is_not() {
    let fake = Fake::new().env("PAYLOAD_MANAGER_RUNTIMEDIR", "/x").env("PAYLOAD_MANAGER_SERVICE_HOST", "10.0.0.1");
    let fake = fake.env("PAYLOAD_MANAGER_PORT_80_TCP", "tcp://10.0.0.1:80").env("PAYLOAD_MANAGER_SOCKET", "/x");
    let warnings = load(&fake, &[]).warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("PAYLOAD_MANAGER_RUNTIMEDIR") && warnings[0].contains("PAYLOAD_MANAGER_RUNTIME_DIR"));
}

#[test]
fn a_capacity_beyond_the_machine_is_capped_and_said() {
    let config = load(&Fake::new(), &[("ram", "1TiB")]);
    assert_eq!(config.ram.bytes, (8 << 30) - (256 << 20));
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].starts_with("flag --ram: ram is capped"), "{:?}", config.warnings);
    assert!(config.warnings[0].contains("1.0 TiB asked for") && config.warnings[0].contains("dev/shm"));
}

#[test]
fn the_default_lease_follows_a_shorter_maximum() {
    let config = load(&Fake::new(), &[("lease-max", "5s")]);
    assert_eq!(config.lease_default.as_secs(), 5);
    assert!(source(&config, "lease-default").contains("lease-max"));
}

#[test]
fn the_low_watermark_follows_a_lower_high_one() {
    let config = load(&Fake::new(), &[("high-watermark", "60")]);
    assert_eq!((config.high_watermark, config.low_watermark), (60, 50));
    assert!(source(&config, "low-watermark").contains("high-watermark"));
    let lowest = load(&Fake::new(), &[("high-watermark", "2")]);
    assert_eq!((lowest.high_watermark, lowest.low_watermark), (2, 1));
}

#[test]
fn watermarks_the_wrong_way_round_are_refused_with_both_sources() {
    let fake = Fake::new().env("PAYLOAD_MANAGER_HIGH_WATERMARK", "70");
    for low in ["70", "71"] {
        let message = refused(&fake, &[("low-watermark", low)]);
        assert!(message.contains("flag --low-watermark"), "{message}");
        assert!(message.contains("PAYLOAD_MANAGER_HIGH_WATERMARK"), "{message}");
    }
    assert_eq!(load(&fake, &[("low-watermark", "69")]).low_watermark, 69);
    assert!(Given::default().with("high-watermark", "101").is_err());
}

#[test]
fn a_default_lease_beyond_the_maximum_is_refused_with_both_sources() {
    let fake = Fake::new().env("PAYLOAD_MANAGER_LEASE_MAX", "5s");
    let message = refused(&fake, &[("lease-default", "6s")]);
    assert!(message.contains("flag --lease-default") && message.contains("PAYLOAD_MANAGER_LEASE_MAX"), "{message}");
}

#[test]
fn a_runtime_folder_too_deep_for_sockets_is_refused() {
    let fits = format!("/{}", "a".repeat(93));
    assert_eq!(load(&Fake::new(), &[("runtime-dir", &fits)]).runtime_dir.path, Path::new(&fits));
    let message = refused(&Fake::new(), &[("runtime-dir", &format!("{fits}a"))]);
    assert!(message.contains("95 bytes long"), "{message}");
}

#[test]
fn payload_files_do_not_share_a_folder_with_catalog_or_sockets() {
    let message = refused(&Fake::new(), &[("data-dir", "/d/data"), ("disk-root", "/d")]);
    assert!(message.contains("contains data-dir"), "{message}");
    refused(&Fake::new(), &[("data-dir", "/d"), ("disk-root", "/d")]);
    refused(&Fake::new(), &[("runtime-dir", "/d"), ("disk-root", "/d")]);
    assert_eq!(load(&Fake::new(), &[("data-dir", "/d")]).disk_root.path, Path::new("/d/payloads"));
}

#[test]
fn data_in_memory_or_in_the_temporary_folder_is_warned_of() {
    let fake = Fake::new();
    let memory = fake.at("/tmp/memory");
    std::fs::create_dir(&memory).unwrap();
    let config = load(&fake, &[("data-dir", memory.to_str().unwrap())]);
    assert!(config.warnings[0].contains("lies in memory"), "{:?}", config.warnings);
    fake.block("/var/lib");
    assert!(load(&fake, &[]).warnings[0].contains("temporary folder"));
}

#[test]
fn the_daemons_own_user_may_always_connect() {
    let fake = Fake::new();
    let mut own = fake.machine.clone();
    own.uid = 4242;
    let config = Config::load(&own, &given(&[("allow-uids", "7"), ("allow-gids", "")])).unwrap();
    assert_eq!(config.peers, Peers { uids: vec![7, 4242], gids: vec![] });
    let config = Config::load(&own, &Given::default()).unwrap();
    assert_eq!(config.peers, Peers { uids: vec![0, 4242], gids: vec![77] });
}

#[test]
fn relative_folders_of_flags_and_environment_are_taken_from_the_working_folder() {
    let fake = Fake::new().env("PAYLOAD_MANAGER_DATA_DIR", "data");
    let config = load(&fake, &[("runtime-dir", "run")]);
    assert_eq!(config.data_dir.path, fake.at("/home/data"));
    assert_eq!(config.runtime_dir.path, fake.at("/home/run"));
}

#[test]
fn what_is_printed_is_a_file_that_gives_the_same_configuration() {
    let fake = Fake::new();
    let flags = [
        ("ram", "1TiB"),
        ("listen", "[::1]:0"),
        ("data-dir", "/da\"ta\\ #1"),
        ("log", "warn,a::b=debug"),
        ("allow-uids", "5,6"),
    ];
    let first = load(&fake, &flags);
    let printed = first.to_toml();
    let file = fake.write("/etc/printed.toml", &printed);
    let second = Config::load(&fake.machine, &Given { file: Some(file), flags: Vec::new() })
        .unwrap_or_else(|e| panic!("{e}\n{printed}"));
    let values = |config: &Config| config.settings().iter().map(|s| (s.key.name, s.value.clone())).collect::<Vec<_>>();
    assert_eq!(values(&first), values(&second), "{printed}");
}

#[test]
fn every_line_that_is_printed_says_where_its_value_comes_from() {
    let mut given = given(&[("ram", "1TiB")]);
    given.flags.push((find("fresh").unwrap(), Value::Switch(true)));
    let config = Config::load(&Fake::new().machine, &given).unwrap();
    let printed = config.to_toml();
    for key in KEYS.iter().filter(|key| key.lasting) {
        let line = printed
            .lines()
            .find(|line| line.starts_with(&format!("{} = ", key.name)))
            .unwrap_or_else(|| panic!("{}", key.name));
        assert!(line.contains("  # "), "{line}");
    }
    assert!(printed.contains("# fresh = true"), "{printed}");
    assert!(printed.contains("flag --ram; capped: "), "{printed}");
    assert!(printed.contains("\n# RAM: "), "{printed}");
}

#[test]
fn programs_get_plain_numbers_and_sources() {
    let json = load(&Fake::new(), &[("ram", "1GiB")]).to_json();
    let find = |name: &str| json["settings"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap().clone();
    assert_eq!(find("ram")["bytes"], 1u64 << 30);
    assert_eq!(find("ram")["source"]["kind"], "flag");
    assert_eq!(find("lease-default")["seconds"], 20.0);
    assert_eq!(find("listen")["value"], serde_json::Value::Null);
    assert_eq!(json["limits"]["ram"]["bounds"].as_array().unwrap().len(), 2);
    assert_eq!(json["file"], serde_json::Value::Null);
}

#[test]
fn reading_a_configuration_makes_nothing() {
    let fake = Fake::new();
    let config = load(&fake, &[]);
    assert!(!config.runtime_dir.path.exists() && !config.data_dir.path.exists() && !config.disk_root.path.exists());
}

#[test]
fn this_machine_has_a_configuration() {
    let machine = Machine::this().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let given = given(&[("runtime-dir", &place("run")), ("data-dir", &place("data"))]);
    let config = Config::load(&machine, &given).unwrap();
    config.runtime_dir.prepare(machine.uid).unwrap();
    config.disk_root.prepare(machine.uid).unwrap();
    assert!(config.disk_root.path.is_dir());
}
