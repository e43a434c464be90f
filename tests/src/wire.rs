//! A bare HTTP/2 connection: sends any bytes to any call, well formed or not, and sees exactly what comes back. It knows
//! nothing of the messages, and adds no deadline, retry or check of its own.

use std::net::SocketAddr;
use std::path::Path;

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use payload_manager_api::reason::{Detail, detail};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tonic::{Code, Status};

use crate::named;
use crate::wait::within;

/// A connection. Clones share it.
#[derive(Clone)]
pub struct Wire(SendRequest<Bytes>);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// How the call ended.
    pub status: Status,
    /// The messages before that.
    pub messages: Vec<Bytes>,
}

impl Answer {
    /// Its gRPC code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.status.code()
    }

    /// The machine-readable reason, and its facts.
    #[must_use]
    pub fn detail(&self) -> Option<Detail> {
        detail(&self.status)
    }

    /// The one message of a call that went well.
    ///
    /// # Panics
    /// If it failed, or its answer is no `M`.
    #[must_use]
    pub fn message<M: Message + Default>(&self) -> M {
        assert_eq!(self.code(), Code::Ok, "{}", self.status.message());
        M::decode(self.messages.first().unwrap().clone()).unwrap()
    }
}

impl Wire {
    /// Connects to a Unix socket.
    ///
    /// # Panics
    /// If nobody answers.
    pub async fn unix(socket: &Path) -> Self {
        Self::over(UnixStream::connect(socket).await.unwrap()).await
    }

    /// Connects over TCP.
    ///
    /// # Panics
    /// If nobody answers.
    pub async fn tcp(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    async fn over(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) = h2::client::handshake(io).await.unwrap();
        // It ends with the last clone of the sender, or with the daemon.
        tokio::spawn(async move { drop(connection.await) });
        Self(sender)
    }

    /// Calls a method of the contract, by its bare name, with one message.
    pub async fn call(&self, method: &str, message: &impl Message) -> Answer {
        self.send(&named::path(method), framed(&message.encode_to_vec()), &[]).await
    }

    /// As [`Self::call`], with a deadline such as `250m` that is the daemon's alone to keep.
    pub async fn call_until(&self, method: &str, message: &impl Message, timeout: &str) -> Answer {
        let headers = [("grpc-timeout", timeout)];
        self.send(&named::path(method), framed(&message.encode_to_vec()), &headers).await
    }

    /// Calls with the bytes of a message that need not be one.
    pub async fn call_bytes(&self, method: &str, message: &[u8]) -> Answer {
        self.send(&named::path(method), framed(message), &[]).await
    }

    /// Sends `body` as it is, and takes all that comes back. Of a stream without an end, that is for ever: see
    /// [`Self::open`].
    pub async fn send(&self, path: &str, body: Bytes, headers: &[(&str, &str)]) -> Answer {
        let mut open = self.open(path, body, headers).await;
        let mut messages = Vec::new();
        while let Some(message) = open.next().await {
            messages.push(message);
        }
        Answer { status: open.status().await, messages }
    }

    /// Sends `body` as it is, and leaves it to the caller how much of the answer to take.
    ///
    /// # Panics
    /// If the connection is lost.
    pub async fn open(&self, path: &str, body: Bytes, headers: &[(&str, &str)]) -> Open {
        let mut request = Request::post(format!("http://localhost{path}")).header("te", "trailers");
        request = request.header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut sender = within("a connection that takes calls", self.0.clone().ready()).await.unwrap();
        let (response, mut stream) = sender.send_request(request.body(()).unwrap(), false).unwrap();
        // Who is refused for the path alone may have the answer, and the end of the stream, before all of this is sent.
        let _ = stream.send_data(body, true);
        let response = within("an answer", response).await.unwrap();
        let (parts, body) = response.into_parts();
        Open { headers: parts.headers, body, buffer: BytesMut::new() }
    }
}

/// An answer that is still coming.
pub struct Open {
    headers: HeaderMap,
    body: h2::RecvStream,
    buffer: BytesMut,
}

impl Open {
    /// The next message; `None` at the end.
    ///
    /// # Panics
    /// If the connection is lost, or nothing comes for too long.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(message) = unframed(&mut self.buffer) {
                return Some(message);
            }
            let data = within("the next message", self.body.data()).await?.unwrap();
            self.body.flow_control().release_capacity(data.len()).unwrap();
            self.buffer.put(data);
        }
    }

    /// How the call ended, once there are no more messages.
    ///
    /// # Panics
    /// If the connection is lost, or there is no status.
    pub async fn status(&mut self) -> Status {
        if let Some(status) = Status::from_header_map(&self.headers) {
            return status;
        }
        let trailers = within("the end of a call", self.body.trailers()).await.unwrap().unwrap_or_default();
        Status::from_header_map(&trailers).expect("an answer without a status")
    }
}

/// A message with gRPC's five bytes in front.
///
/// # Panics
/// If it is larger than 4 GiB.
#[must_use]
pub fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(message.len().try_into().unwrap());
    frame.put_slice(message);
    frame.freeze()
}

fn unframed(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = u32::from_be_bytes(buffer.get(1..5)?.try_into().ok()?) as usize;
    if buffer.len() < length + 5 {
        return None;
    }
    let mut frame = buffer.split_to(length + 5).freeze();
    Some(frame.split_off(5))
}
