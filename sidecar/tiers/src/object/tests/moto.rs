//! A server that speaks S3, moto, for one test: started on a port that the system chose, stopped when it is dropped. It
//! checks no signatures. The whole-system tests use this file, too, so it knows nothing of this crate.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;

/// The bucket that is there.
pub const BUCKET: &str = "payloads";

/// The server.
#[derive(Debug)]
pub struct Moto {
    child: Child,
    /// `HOST:PORT`
    pub host: String,
}

impl Moto {
    /// A running server with an empty bucket; `None`, which only a machine without moto may answer, if there is none.
    ///
    /// # Panics
    /// If one may not be missing, or it does not come up.
    #[must_use]
    pub fn start(test: &str) -> Option<Self> {
        let mut command = Command::new("moto_server");
        command.args(["-H", "127.0.0.1", "-p", "0"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            assert!(std::env::var_os("PAYLOAD_MANAGER_NO_SKIP").is_none(), "{test} may not be skipped: no moto_server");
            eprintln!("SKIPPED {test}: there is no moto_server in the PATH (pip install 'moto[server]')");
            return None;
        };
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut moto = Self { child, host: String::new() };
        while moto.host.is_empty() {
            let mut line = String::new();
            assert!(said.read_line(&mut line).unwrap() > 0, "moto_server ended");
            let host = line.split_once("Running on http://").map(|(_, host)| host.trim().to_owned());
            moto.host = host.unwrap_or_default();
        }
        // It says every request; somebody has to listen, until it is stopped.
        thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let made = request(&moto.host, "PUT", &format!("/{BUCKET}"));
        assert!(made.starts_with("HTTP/1.1 200"), "{made}");
        Some(moto)
    }

    /// What the server says is in the bucket, as XML.
    ///
    /// # Panics
    /// If it does not say.
    #[must_use]
    pub fn listing(&self) -> String {
        let listed = request(&self.host, "GET", &format!("/{BUCKET}"));
        assert!(listed.contains("ListBucketResult"), "{listed}");
        listed
    }

    /// How many uploads in parts are neither finished nor given up.
    ///
    /// # Panics
    /// If it does not say.
    #[must_use]
    pub fn unfinished_uploads(&self) -> usize {
        let listed = request(&self.host, "GET", &format!("/{BUCKET}?uploads"));
        assert!(listed.contains("ListMultipartUploadsResult"), "{listed}");
        listed.matches("<UploadId>").count()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole answer to a request without a body.
fn request(host: &str, method: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(host).unwrap();
    write!(connection, "{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}
