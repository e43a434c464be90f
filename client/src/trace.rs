//! Whose trace a request is part of, as W3C trace context says it (<https://www.w3.org/TR/trace-context/>).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest `tracestate` that everybody has to pass on, in bytes; and the longest `traceparent` that is sent, whatever later
/// versions add to it.
const STATE_LIMIT: usize = 512;
const PARENT_LIMIT: usize = 256;

/// The caller's place in its trace: what its tracing library would put into the headers of a request.
///
/// ```
/// use payload_manager_client::TraceContext;
///
/// let trace: TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
/// assert!("my trace".parse::<TraceContext>().is_err());
/// # Ok::<(), payload_manager_client::BadTrace>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TraceContext {
    parent: Arc<str>,
    state: Arc<str>,
}

/// What is no trace context, and why.
///
/// ```
/// use payload_manager_client::{BadTrace, TraceContext};
///
/// let error: BadTrace = "00-1-2-03".parse::<TraceContext>().unwrap_err();
/// assert!(error.to_string().contains("no traceparent"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTrace(String);

impl fmt::Display for BadTrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadTrace {}

impl TraceContext {
    /// The same with a `tracestate`: what tracing systems tell each other beside it.
    ///
    /// ```
    /// # use payload_manager_client::TraceContext;
    /// let trace: TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
    /// let trace = trace.with_state("rojo=00f067aa0ba902b7")?;
    /// assert_eq!(trace.state(), "rojo=00f067aa0ba902b7");
    /// # Ok::<(), payload_manager_client::BadTrace>(())
    /// ```
    ///
    /// # Errors
    /// It has more than 512 bytes, or others than printable ones of ASCII.
    pub fn with_state(self, tracestate: &str) -> Result<Self, BadTrace> {
        if tracestate.len() > STATE_LIMIT {
            return Err(BadTrace(format!("a tracestate has up to {STATE_LIMIT} bytes, not {}", tracestate.len())));
        }
        if !tracestate.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(BadTrace(format!("a tracestate is printable ASCII, which {tracestate:?} is not")));
        }
        Ok(Self { state: tracestate.into(), ..self })
    }

    /// As `traceparent` has it.
    ///
    /// ```
    /// # use payload_manager_client::TraceContext;
    /// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    /// assert_eq!(text.parse::<TraceContext>()?.parent(), text);
    /// # Ok::<(), payload_manager_client::BadTrace>(())
    /// ```
    #[must_use]
    pub fn parent(&self) -> &str {
        &self.parent
    }

    /// As `tracestate` has it; empty if there is none.
    ///
    /// ```
    /// # use payload_manager_client::TraceContext;
    /// let trace: TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
    /// assert_eq!(trace.state(), "");
    /// # Ok::<(), payload_manager_client::BadTrace>(())
    /// ```
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }
}

impl FromStr for TraceContext {
    type Err = BadTrace;

    /// Reads a `traceparent`.
    fn from_str(text: &str) -> Result<Self, BadTrace> {
        if is_parent(text) {
            return Ok(Self { parent: text.into(), state: "".into() });
        }
        Err(BadTrace(format!(
            "{text:?} is no traceparent: that is 00-TRACE-SPAN-FLAGS, of 32, 16 and 2 hexadecimal digits in lower case, \
             neither trace nor span all zero"
        )))
    }
}

/// Of version 00; later ones begin likewise.
fn is_parent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut next = |length| parts.next().filter(|part| part.len() == length && part.bytes().all(is_digit));
    let (Some(version), Some(trace), Some(span), Some(_flags)) = (next(2), next(32), next(16), next(2)) else {
        return false;
    };
    let is_some = |id: &str| id.bytes().any(|byte| byte != b'0');
    let ends = version != "00" || parts.next().is_none();
    text.len() <= PARENT_LIMIT && version != "ff" && ends && is_some(trace) && is_some(span)
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TraceContext").field(&self.parent).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn a_traceparent_is_what_the_standard_says() {
        let is = |text: String| text.parse::<TraceContext>().is_ok();
        assert!(is(format!("00-{TRACE}-{SPAN}-01")) && is(format!("00-{TRACE}-{SPAN}-00")));
        // A later version may have more.
        assert!(is(format!("01-{TRACE}-{SPAN}-01")) && is(format!("cc-{TRACE}-{SPAN}-01-what-comes")));
        for bad in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}-{SPAN}-0g"),
            format!("00-{TRACE}-{SPAN}-01\n"),
            format!("cc-{TRACE}-{SPAN}-01-{}", "0".repeat(PARENT_LIMIT)),
        ] {
            assert!(!is(bad.clone()), "{bad:?}");
        }
    }

    #[test]
    fn a_tracestate_is_short_and_can_be_a_header() {
        let trace: TraceContext = format!("00-{TRACE}-{SPAN}-01").parse().unwrap();
        assert_eq!(trace.clone().with_state("a=1,b=2").unwrap().state(), "a=1,b=2");
        for bad in ["a=1\r\nx: y", "é=1", &"a".repeat(513)] {
            assert!(trace.clone().with_state(bad).is_err(), "{bad:?}");
        }
    }
}
