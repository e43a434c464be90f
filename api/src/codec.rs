//! How messages become bytes and back: protobuf, with the contract's word on what cannot be decoded.
//!
//! tonic's own codec answers INTERNAL to bytes that are no message; the contract says that input is never a bug of
//! the daemon's, so this one answers INVALID_ARGUMENT. Framing and compression stay tonic's.

use std::marker::PhantomData;

use prost::Message;
use tonic::codec::{Codec, DecodeBuf, Decoder};
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
