//! Which folder is chosen, and which is refused.

use std::os::unix::fs::symlink;

use super::super::fake::Fake;
use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn sockets_go_to_the_users_own_runtime_folder_if_there_is_one() {
    let fake = Fake::new();
    let own = fake.at("/run/user/1000");
    fs::create_dir_all(&own).unwrap();
    let fake = fake.env("XDG_RUNTIME_DIR", &own);
    assert_eq!(runtime(&fake.machine).0, Folder::named(own.join(NAME)));
}

#[test]
fn a_runtime_folder_that_is_missing_relative_or_somebody_elses_is_passed_over() {
    let system = |fake: &Fake| Folder::named(fake.at("/run/payload-manager"));
    let fake = Fake::new().env("XDG_RUNTIME_DIR", "run/user/1");
    assert_eq!(runtime(&fake.machine).0, system(&fake));
    let fake = Fake::new().env("XDG_RUNTIME_DIR", "/nowhere/at/all");
    assert_eq!(runtime(&fake.machine).0, system(&fake));
    let mut fake = Fake::new();
    let theirs = fake.at("/tmp");
    fake.machine.uid += 1;
    let fake = fake.env("XDG_RUNTIME_DIR", &theirs);
    assert_eq!(runtime(&fake.machine).0, system(&fake));
}

#[test]
fn sockets_go_to_a_private_folder_when_run_can_not_be_written_to() {
    let fake = Fake::new();
    fake.block("/run");
    let (folder, why) = runtime(&fake.machine);
    let name = format!("/tmp/payload-manager-{}", fake.machine.uid);
    assert_eq!(folder, Folder { path: fake.at(&name), private: true });
    assert!(why.contains("/run"));
}

#[test]
fn the_temporary_folder_is_the_one_that_the_environment_names() {
    let fake = Fake::new().env("TMPDIR", "/elsewhere");
    fake.block("/run");
    assert!(runtime(&fake.machine).0.path.starts_with("/elsewhere"));
}

#[test]
fn data_goes_to_state_then_system_then_home_then_temporary() {
    let fake = Fake::new();
    let (state, home) = (fake.at("/home/state"), fake.at("/home/me"));
    let fake = fake.env("XDG_STATE_HOME", &state).env("HOME", &home);
    assert_eq!(data(&fake.machine).0, Folder::named(state.join(NAME)));
    fake.write("/home/state", "in the way");
    assert_eq!(data(&fake.machine).0, Folder::named(fake.at("/var/lib/payload-manager")));
    fake.block("/var/lib");
    assert_eq!(data(&fake.machine).0, Folder::named(home.join(".local/state/payload-manager")));
    fake.write("/home/me", "in the way");
    let (folder, why) = data(&fake.machine);
    assert!(folder.private && folder.path.starts_with(fake.at("/tmp")));
    assert!(why.starts_with(TEMPORARY));
}

#[test]
fn choosing_a_folder_makes_nothing() {
    let fake = Fake::new();
    let chosen = [runtime(&fake.machine).0, data(&fake.machine).0];
    assert!(chosen.iter().all(|folder| !folder.path.exists()));
}

#[test]
fn a_folder_is_made_with_what_is_above_it_and_closed_to_strangers() {
    let fake = Fake::new();
    let named = Folder::named(fake.at("/a/b/c"));
    named.prepare(fake.machine.uid).unwrap();
    assert_eq!(mode(&named.path) & 0o027, 0);
    let private = Folder { path: fake.at("/tmp/own"), private: true };
    private.prepare(fake.machine.uid).unwrap();
    assert_eq!(mode(&private.path), 0o700);
    named.prepare(fake.machine.uid).unwrap();
    private.prepare(fake.machine.uid).unwrap();
}

#[test]
fn a_private_folder_that_was_open_is_closed() {
    let fake = Fake::new();
    let path = fake.at("/tmp/open");
    fs::create_dir(&path).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
    Folder { path: path.clone(), private: true }.prepare(fake.machine.uid).unwrap();
    assert_eq!(mode(&path), 0o700);
}

#[test]
fn a_private_folder_that_is_a_link_or_somebody_elses_is_refused() {
    let fake = Fake::new();
    let (real, link) = (fake.at("/tmp/real"), fake.at("/tmp/link"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    let refused = Folder { path: link.clone(), private: true }.prepare(fake.machine.uid);
    assert!(matches!(refused, Err(FolderError::Link(_))), "{refused:?}");
    Folder::named(link).prepare(fake.machine.uid).unwrap();
    let refused = Folder { path: real, private: true }.prepare(fake.machine.uid + 1);
    assert!(matches!(refused, Err(FolderError::Foreign { .. })), "{refused:?}");
}

#[test]
fn a_file_in_the_place_of_a_folder_is_refused() {
    let fake = Fake::new();
    let path = fake.write("/tmp/file", "");
    for private in [true, false] {
        let refused = Folder { path: path.clone(), private }.prepare(fake.machine.uid);
        assert!(matches!(refused, Err(FolderError::NotAFolder(_))), "{refused:?}");
    }
    let refused = Folder::named(path.join("below")).prepare(fake.machine.uid);
    assert!(matches!(refused, Err(FolderError::Io { .. })), "{refused:?}");
}
