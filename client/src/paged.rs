//! Listings as streams: page after page is asked for as the stream is polled. What a page holds is its caller's.

use std::future::Future;
use std::pin::Pin;

use futures_core::Stream;
use futures_util::{TryStreamExt as _, stream};

use crate::client::Client;
use crate::error::{Error, Result};

/// Asked for at once, if nobody says: few calls, and an answer of some 50 KiB. The daemon answers with fewer where they
/// are large.
pub(crate) const PAGE: i32 = 500;

/// What stands behind a listing.
pub(crate) type Paged<T> = Pin<Box<dyn Stream<Item = Result<T>> + Send>>;

/// Asks for page after page, each with the token of the one before; an empty page need not be the last.
pub(crate) fn pages<T: Send + 'static, F>(
    client: &Client,
    ask: impl Fn(Client, String) -> F + Send + 'static,
) -> Paged<T>
where
    F: Future<Output = Result<(Vec<Result<T>>, String)>> + Send,
{
    let start = (client.clone(), ask, Some(String::new()));
    let pages = stream::try_unfold(start, |(client, ask, token)| async move {
        let Some(token) = token else { return Ok::<_, Error>(None) };
        let (items, next) = ask(client.clone(), token).await?;
        let next = Some(next).filter(|token| !token.is_empty());
        Ok(Some((stream::iter(items), (client, ask, next))))
    });
    Box::pin(pages.try_flatten())
}

/// Makes a stream of the type that a listing is told by.
macro_rules! listed {
    ($list:ident of $item:ident) => {
        impl futures_core::Stream for $list {
            type Item = $crate::error::Result<$item>;

            fn poll_next(
                mut self: std::pin::Pin<&mut Self>,
                context: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Self::Item>> {
                self.0.as_mut().poll_next(context)
            }
        }

        impl std::fmt::Debug for $list {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($list)).finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use listed;
