//! How messages become bytes and back: protobuf, with the contract's word on what cannot be decoded.
//!
//! tonic's own codec answers INTERNAL to bytes that are no message; the contract says that input is never a bug of
//! the daemon's, so this one answers INVALID_ARGUMENT. Framing and compression stay tonic's; what it says about them
//! never reaches a codec, and [`blame_the_caller`] puts it right on the way out.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic::codegen::http::HeaderMap;
use tonic::{Code, Status};
use tonic_prost::{ProstCodec, ProstEncoder};

use crate::reason::{self, Reason};

/// The codec of every generated client and server: sends `T`, receives `U`.
#[derive(Debug, Clone)]
pub struct StrictCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for StrictCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for StrictCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = StrictDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> Self::Decoder {
        StrictDecoder(PhantomData)
    }
}

/// Decodes `U`, or says INVALID_ARGUMENT with [`Reason::MessageUndecodable`].
#[derive(Debug, Clone)]
pub struct StrictDecoder<U>(PhantomData<U>);

impl<U: Message + Default> Decoder for StrictDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        U::decode(buf).map(Some).map_err(|e| undecodable(&e))
    }
}

/// The status for bytes that are no message of the expected type.
fn undecodable(error: &prost::DecodeError) -> Status {
    let message = format!("the message cannot be decoded ({error}): send the protobuf form of this call's message");
    reason::status(Code::InvalidArgument, Reason::MessageUndecodable, message, [])
}

/// Turns tonic's own INTERNAL, in the headers of a server's answer, into INVALID_ARGUMENT.
///
/// Every error of ours carries a detail, a bug's too. An INTERNAL without one is tonic's complaint about the request's
/// framing: no message, a frame cut short, a flag that does not exist. For servers, as the outermost layer.
pub fn blame_the_caller(answer: &mut HeaderMap) {
    let Some(status) = Status::from_header_map(answer) else { return };
    if status.code() != Code::Internal || reason::detail(&status).is_some() {
        return;
    }
    let message = format!("the request is not one gRPC message ({}): send exactly one", status.message());
    let blame = reason::status(Code::InvalidArgument, Reason::MessageUndecodable, message, []);
    // An error means that the status fits no header; then tonic's own stays.
    let _ = blame.add_header(answer);
}
