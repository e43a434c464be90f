//! Keeps the deadline that a caller sends along: DEADLINE_EXCEEDED when it comes first.
//!
//! tonic keeps it too and says CANCELLED, which tells a caller nothing; so this looks at the clock a little earlier.
//! What the call has begun goes on: the engine's work is not the call's.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tonic::codegen::http::{HeaderMap, Request, Response};
use tower::{Layer, Service};

use super::status::too_late;

/// How much earlier than tonic: two ticks of the timer that both use.
const AHEAD: Duration = Duration::from_millis(2);

/// Wraps a service so that it keeps its callers' deadlines.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeepDeadline;

impl<S> Layer<S> for KeepDeadline {
    type Service = Punctual<S>;

    fn layer(&self, inner: S) -> Punctual<S> {
        Punctual(inner)
    }
}

/// A service that keeps its callers' deadlines.
#[derive(Debug, Clone)]
pub(super) struct Punctual<S>(S);

impl<S, B, R> Service<Request<B>> for Punctual<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let left = timeout(request.headers()).map(|left| left.saturating_sub(AHEAD.min(left / 2)));
        let work = self.0.call(request);
        Box::pin(async move {
            match left {
                Some(left) => tokio::time::timeout(left, work).await.unwrap_or_else(|_| Ok(too_late().into_http())),
                None => work.await,
            }
        })
    }
}

/// The time that `grpc-timeout` leaves: up to eight digits and a unit. What can't be read is no deadline, as in tonic.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_in_every_unit_and_garbage_is_none() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            timeout(&headers)
        };
        assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(read("3M"), Some(Duration::from_secs(180)));
        assert_eq!(read("4S"), Some(Duration::from_secs(4)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("99999999u"), Some(Duration::from_micros(99_999_999)));
        assert_eq!(read("1n"), Some(Duration::from_nanos(1)));
        for garbage in ["", "m", "1", "-1m", "1.5S", "100000000n", "5d", "+5S", "5 S"] {
            assert_eq!(read(garbage), None, "{garbage:?}");
        }
        assert_eq!(timeout(&HeaderMap::new()), None);
    }
}
