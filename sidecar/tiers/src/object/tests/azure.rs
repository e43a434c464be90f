//! OBJECT on a server that speaks Azure's protocol: Azurite, for one test, on a port that the system chose, stopped when it
//! is dropped. It checks signatures.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;

use payload_manager_types::InstanceId;

use crate::TierError;
use crate::conformance::{ObjectRig, Rig, SUITE};
use crate::notes::tests::notes_come_back_whole_until_they_are_removed;
use crate::object::{ObjectOptions, Settings};

/// The account that every Azurite has, and its key, which Microsoft publishes.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
/// The container that is made, and the signature with that key of the request that makes it: HMAC-SHA256 of its verb, its
/// headers, account, path and query, which are always the same.
const CONTAINER: &str = "payloads";
const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";
const SIGNATURE: &str = "l7naEdvUZsfpQWTzIkzuNNZCOwsLvwJgpoj9dKEOgEU=";

struct Azurite {
    child: Child,
    host: String,
    _folder: tempfile::TempDir,
}

impl Azurite {
    /// A running server with an empty container; `None`, which only a machine without one may answer, if there is none.
    fn start(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("azurite-blob");
        command.args(["--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence"]);
        command.args(["--disableTelemetry", "--skipApiVersionCheck"]).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut child) = command.spawn() else {
            assert!(
                std::env::var_os("PAYLOAD_MANAGER_NO_SKIP").is_none(),
                "{test} may not be skipped: no azurite-blob"
            );
            eprintln!("SKIPPED {test}: there is no azurite-blob in the PATH (npm install azurite)");
            return None;
        };
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut azurite = Self { child, host: String::new(), _folder: folder };
        while azurite.host.is_empty() {
            let mut line = String::new();
            assert!(said.read_line(&mut line).unwrap() > 0, "azurite-blob ended");
            let host = line.split_once("listens on http://").map(|(_, host)| host.trim().to_owned());
            azurite.host = host.unwrap_or_default();
        }
        // It says every request; somebody has to listen, until it is stopped.
        thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        azurite.make_container();
        Some(azurite)
    }

    fn make_container(&self) {
        let mut connection = TcpStream::connect(&self.host).unwrap();
        write!(
            connection,
            "PUT /{ACCOUNT}/{CONTAINER}?restype=container HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n\
             x-ms-date: {DATE}\r\nx-ms-version: 2021-08-06\r\n\
             Authorization: SharedKey {ACCOUNT}:{SIGNATURE}\r\nConnection: close\r\n\r\n",
            self.host
        )
        .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }

    fn rig(&self, prefix: &str, key: &str) -> ObjectRig {
        let settings = [
            ("azure_storage_account_name", ACCOUNT.to_owned()),
            ("azure_storage_account_key", key.to_owned()),
            ("azure_storage_endpoint", format!("http://{}/{ACCOUNT}", self.host)),
        ];
        let settings = Settings(settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
        let options = ObjectOptions { settings, ..ObjectOptions::default() };
        ObjectRig::at(&format!("az://{CONTAINER}/{prefix}?scheme=http"), options)
    }
}

impl Drop for Azurite {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn every_promise_of_a_tier_holds_on_azure() {
    let Some(azurite) = Azurite::start("every_promise_of_a_tier_holds_on_azure") else { return };
    for (name, test) in SUITE {
        eprintln!("{name}");
        test(&azurite.rig(&format!("suite/{name}"), KEY));
    }
}

#[test]
fn a_prefix_on_azure_is_checked_and_claimed_and_a_wrong_key_is_said_to_be_that() {
    let name = "a_prefix_on_azure_is_checked_and_claimed_and_a_wrong_key_is_said_to_be_that";
    let Some(azurite) = Azurite::start(name) else { return };
    let rig = azurite.rig("some/prefix", KEY);
    rig.tier.check().unwrap();
    let (ours, other) = (InstanceId::from_bytes([1; 16]), InstanceId::from_bytes([2; 16]));
    rig.tier.claim(ours).unwrap();
    rig.tier.claim(ours).unwrap();
    assert!(rig.tier.claim(other).is_err());
    notes_come_back_whole_until_they_are_removed(&rig.tier);
    assert_eq!(rig.leftovers(), Vec::<String>::new());
    // Base64 of something else, as long.
    let error = azurite.rig("some/prefix", &KEY.replace('E', "F")).tier.check().unwrap_err();
    assert!(error.to_string().contains("credentials"), "{error}");
    let TierError::Io { source, .. } = error else { panic!("{error}") };
    assert_eq!(source.kind(), std::io::ErrorKind::PermissionDenied);
}
