//! What command lines are taken for.

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

fn parse(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command)
}

fn given(line: &str) -> Given {
    match parse(line).unwrap_or_else(|error| panic!("{error}")) {
        Command::Serve(flags) => flags.given,
        Command::Config(args) => args.flags.given,
        Command::Wipe(args) => args.flags.given,
        other => panic!("{other:?} has no settings"),
    }
}

#[test]
fn the_command_line_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_setting_is_a_flag_of_serve_and_of_config() {
    let cli = Cli::command();
    for name in ["serve", "config"] {
        let help = cli.find_subcommand(name).unwrap().clone().render_long_help().to_string();
        for key in &KEYS {
            assert!(help.contains(&key.flag()), "{name} {}", key.flag());
            assert!(key.env().is_none_or(|env| help.contains(&env)), "{name} {}", key.name);
        }
    }
}

#[test]
fn serve_needs_nothing() {
    assert_eq!(given("payload-manager serve"), Given::default());
}

#[test]
fn flags_become_values() {
    let given = given("payload-manager serve --config a.toml --ram 8GiB --allow-uids 0,5 --fresh --listen=localhost:1");
    assert_eq!(given.file, Some("a.toml".into()));
    let find = |name: &str| given.flags.iter().find(|(key, _)| key.name == name).map(|(_, value)| value.clone());
    assert_eq!(find("ram"), Some(Value::Bytes(8 << 30)));
    assert_eq!(find("allow-uids"), Some(Value::Ids(vec![0, 5])));
    assert_eq!(find("fresh"), Some(Value::Switch(true)));
    assert_eq!(find("listen"), Some(Value::Listen(Some("127.0.0.1:1".parse().unwrap()))));
    assert_eq!(given.flags.len(), 4);
}

#[test]
fn a_wrong_value_is_a_usage_error_that_names_the_flag() {
    let error = parse("payload-manager serve --ram lots").unwrap_err();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::ValueValidation, 2));
    assert!(error.to_string().contains("--ram") && error.to_string().contains("8GiB"), "{error}");
}

#[test]
fn an_unknown_flag_is_a_usage_error_with_the_nearest_one() {
    let error = parse("payload-manager serve --runtime-folder /x").unwrap_err();
    assert_eq!((error.kind(), error.exit_code()), (ErrorKind::UnknownArgument, 2));
    assert!(error.to_string().contains("--runtime-dir"), "{error}");
}

#[test]
fn wiping_needs_to_be_told_where() {
    assert_eq!(parse("payload-manager wipe --yes").unwrap_err().kind(), ErrorKind::MissingRequiredArgument);
    assert_eq!(given("payload-manager wipe --data-dir /d --shm-prefix x").flags.len(), 2);
    assert_eq!(given("payload-manager wipe --config /c.toml").file, Some("/c.toml".into()));
    assert!(parse("payload-manager wipe --data-dir /d --ram 1GiB").is_err(), "only flags that say where");
}

#[test]
fn the_demo_takes_paths_and_sizes() {
    let Ok(Command::Demo(demo)) = parse("payload-manager demo src tests --ram 64MiB --keep") else { panic!("no demo") };
    assert_eq!(demo.paths, [PathBuf::from("src"), PathBuf::from("tests")]);
    assert_eq!((demo.ram, demo.limit, demo.keep, demo.json), (Some(64 << 20), 512 << 20, true, false));
}

#[test]
fn the_exit_codes_are_those_of_the_help() {
    for (exit, code) in [(Exit::Success, 0), (Exit::Failure, 1), (Exit::Usage, 2), (Exit::Refused, 3)] {
        assert_eq!(format!("{:?}", ExitCode::from(exit)), format!("{:?}", ExitCode::from(code)));
        assert!(EXIT_CODES.contains(&format!("  {code}  ")));
    }
}
