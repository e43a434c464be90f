//! Stands between the tier and a server and does what networks and busy servers do, request by request. One request a
//! connection; plain HTTP with a `Content-Length`, which is what the tier sends. The whole-system tests use this file, too.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is carried out and answered.
    Pass,
    /// The connection is cut before the server has seen it.
    CutBefore,
    /// It is carried out, and the connection is cut instead of an answer.
    CutAfter,
    /// It is answered with this status, and not carried out.
    Status(u16),
    /// Nothing ever comes back.
    Stall,
    /// Half of the answer's body comes, and then the connection is cut.
    Half,
    /// Half of the body comes, and its length is said to be that.
    Short,
    /// One bit of the body is another.
    Flip,
}

/// Says what becomes of a request by its first line, as in `PUT /bucket/key?partNumber=1 HTTP/1.1`.
type Rule = dyn Fn(&str) -> Fault + Send + Sync;

/// One that stands there.
#[derive(Debug)]
pub struct Proxy {
    /// `HOST:PORT`
    pub host: String,
    ends: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

impl Proxy {
    /// In front of the server at `to`.
    ///
    /// # Panics
    /// If it can't listen.
    #[must_use]
    pub fn start(to: &str, rule: impl Fn(&str) -> Fault + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let (ends, to, rule): (Arc<AtomicBool>, String, Arc<Rule>) = (Arc::default(), to.to_owned(), Arc::new(rule));
        let over = Arc::clone(&ends);
        let listening = thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (to, rule) = (to.clone(), Arc::clone(&rule));
                // It ends when either side closes, which both do in the end.
                thread::spawn(move || serve(connection, &to, &*rule));
            }
        });
        Self { host, ends, listening: Some(listening) }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let woken = TcpStream::connect(&self.host);
        if let Some(listening) = self.listening.take().filter(|_| woken.is_ok()) {
            let _ = listening.join();
        }
    }
}

/// One request. `None` if a side went away, which ends it as well as anything.
fn serve(mut client: TcpStream, to: &str, rule: &Rule) -> Option<()> {
    let (head, body) = read_request(&mut client)?;
    let line = head.lines().next()?;
    let fault = rule(line);
    match fault {
        Fault::CutBefore => return None,
        Fault::Stall => return client.read_to_end(&mut Vec::new()).ok().map(drop),
        Fault::Status(status) => {
            let answer = format!("HTTP/1.1 {status} Injected\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return client.write_all(answer.as_bytes()).ok();
        }
        Fault::Pass | Fault::CutAfter | Fault::Half | Fault::Short | Fault::Flip => {}
    }
    let mut answer = Vec::new();
    let mut server = TcpStream::connect(to).ok()?;
    server.write_all(with_close(&head).as_bytes()).ok()?;
    server.write_all(&body).ok()?;
    server.read_to_end(&mut answer).ok()?;
    let body_at = end_of_head(&answer)?;
    let half = body_at + (answer.len() - body_at) / 2;
    match fault {
        Fault::CutAfter => return None,
        Fault::Half => answer.truncate(half),
        Fault::Short => answer = shortened(&answer, body_at, half),
        Fault::Flip => answer.get_mut(half).into_iter().for_each(|byte| *byte ^= 1),
        Fault::Pass | Fault::CutBefore | Fault::Stall | Fault::Status(_) => {}
    }
    client.write_all(&answer).ok()
}

fn read_request(client: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 1 << 16]);
    let at = loop {
        if let Some(at) = end_of_head(&bytes) {
            break at;
        }
        let got = client.read(&mut piece).ok().filter(|got| *got > 0)?;
        bytes.extend_from_slice(&piece[..got]);
    };
    let mut body = bytes.split_off(at);
    let head = String::from_utf8(bytes).ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let have = body.len();
    body.resize(length.unwrap_or(0), 0);
    client.read_exact(body.get_mut(have..)?).ok()?;
    Some((head, body))
}

/// Where the body begins.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The head, asking for an answer that ends with its connection.
fn with_close(head: &str) -> String {
    let kept = head.trim_end().lines().filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    kept.chain(["Connection: close", "", ""]).collect::<Vec<_>>().join("\r\n")
}

/// The answer with its body cut at `half`, and a length that says so.
fn shortened(answer: &[u8], body_at: usize, half: usize) -> Vec<u8> {
    let head = String::from_utf8_lossy(&answer[..body_at]);
    let kept = head.trim_end().lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
    let length = format!("Content-Length: {}", half - body_at);
    let mut short = kept.chain([length.as_str(), "", ""]).collect::<Vec<_>>().join("\r\n").into_bytes();
    short.extend_from_slice(&answer[body_at..half]);
    short
}
