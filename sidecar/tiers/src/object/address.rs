//! Where a prefix in an object store is, read from its URI, and the URIs of what lies in it. Not credentials: those never
//! stand in a URI, because clients are handed it.
//!
//! ```text
//! s3://bucket/some/prefix?endpoint_override=127.0.0.1%3A9000&scheme=http
//! ^^   ^^^^^^ ^^^^^^^^^^^ ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
//! scheme bucket  prefix   how to reach it, handed on to clients as it is
//! ```

use std::fmt;
use std::path::PathBuf;

use payload_manager_types::PayloadId;

/// Which protocol a store speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `s3://bucket/prefix`
    S3,
    /// `gs://bucket/prefix`
    Gs,
    /// `az://container/prefix`
    Az,
    /// `file:///absolute/path`
    File,
}

/// A prefix in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    scheme: Scheme,
    bucket: String,
    prefix: String,
    query: String,
    endpoint: Option<String>,
    plain_http: bool,
}

/// Why a URI names no prefix in a store; its text is for the person who wrote the URI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not one of the four schemes.
    #[error("an object store is s3://bucket/prefix, gs://…, az://container/prefix or file:///path, not '{0}'")]
    Scheme(String),
    /// No bucket, or for `file` no absolute path.
    #[error("{0} needs {1}")]
    Place(Scheme, &'static str),
    /// Credentials in the URI. It is not repeated, so that they reach no log.
    #[error("a URI must hold no credentials, because clients are handed it; give them by environment or profile")]
    Credentials,
    /// Characters, or steps such as `..`, that stores do not agree on.
    #[error("'{0}' is no part of a prefix: letters, digits and -_.=+ only, and no '.' or '..' or empty step")]
    Step(String),
    /// An option that is unknown, given twice or has no such value.
    #[error(
        "'{0}' is no option of this URI: endpoint_override=HOST[:PORT] (not for file) and scheme=http|https, each once"
    )]
    Option(String),
}

impl Address {
    /// Reads a URI. Slashes at the end of the prefix do not matter.
    ///
    /// # Errors
    /// [`AddressError`], which says what to write instead.
    pub fn parse(uri: &str) -> Result<Self, AddressError> {
        let (scheme, rest) = scheme(uri)?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        // Secrets have slashes in them too, so that any '@' may end one.
        if place.contains('@') {
            return Err(AddressError::Credentials);
        }
        let prefix = prefix.trim_end_matches('/');
        check_place(scheme, bucket, prefix)?;
        let mut address = Self {
            scheme,
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            query: query.to_owned(),
            endpoint: None,
            plain_http: false,
        };
        address.take_options()?;
        Ok(address)
    }

    fn take_options(&mut self) -> Result<(), AddressError> {
        let mut scheme_given = false;
        for option in self.query.split('&').filter(|option| !option.is_empty()) {
            let wrong = || AddressError::Option(option.split('=').next().unwrap_or_default().to_owned());
            match option.split_once('=').ok_or_else(wrong)? {
                ("endpoint_override", host) if self.endpoint.is_none() && self.scheme != Scheme::File => {
                    self.endpoint = Some(decode(host).filter(|host| is_host(host)).ok_or_else(wrong)?);
                }
                ("scheme", value @ ("http" | "https")) if !scheme_given => {
                    scheme_given = true;
                    self.plain_http = value == "http";
                }
                _ => return Err(wrong()),
            }
        }
        Ok(())
    }

    /// Which protocol.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The bucket or container; empty for `file`.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The steps below it, without slashes at the ends; empty for the bucket itself.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// `HOST[:PORT]` of a custom endpoint.
    pub fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref()
    }

    /// Whether the store is spoken to without TLS.
    pub const fn is_plain_http(&self) -> bool {
        self.plain_http
    }

    /// The prefix of that name below this one. The name is one step of letters, digits and `-`.
    #[must_use]
    pub fn below(&self, name: &str) -> Self {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        Self { prefix: format!("{}{slash}{name}", self.prefix), ..self.clone() }
    }

    /// The folder of a `file://` address.
    pub fn folder(&self) -> Option<PathBuf> {
        (self.scheme == Scheme::File).then(|| PathBuf::from(format!("/{}", self.prefix)))
    }

    /// The full URI of a payload's bytes, with what a reader needs to reach a custom endpoint.
    pub fn bin(&self, id: PayloadId) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        let question = if self.query.is_empty() { "" } else { "?" };
        format!("{}://{}/{}{slash}{id}.bin{question}{}", self.scheme, self.bucket, self.prefix, self.query)
    }
}

/// The URI as it was written, without slashes at its end.
impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}://{}", self.scheme, self.bucket)?;
        if !self.prefix.is_empty() {
            write!(out, "/{}", self.prefix)?;
        }
        if self.query.is_empty() { Ok(()) } else { write!(out, "?{}", self.query) }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::S3 => "s3",
            Self::Gs => "gs",
            Self::Az => "az",
            Self::File => "file",
        })
    }
}

fn scheme(uri: &str) -> Result<(Scheme, &str), AddressError> {
    let (name, rest) = uri.split_once("://").ok_or_else(|| AddressError::Scheme("no scheme".to_owned()))?;
    let scheme =
        [Scheme::S3, Scheme::Gs, Scheme::Az, Scheme::File].into_iter().find(|scheme| scheme.to_string() == name);
    scheme.map(|scheme| (scheme, rest)).ok_or_else(|| AddressError::Scheme(name.to_owned()))
}

fn check_place(scheme: Scheme, bucket: &str, prefix: &str) -> Result<(), AddressError> {
    match scheme {
        Scheme::File if !bucket.is_empty() || prefix.is_empty() => {
            return Err(AddressError::Place(scheme, "an absolute path, as in file:///path"));
        }
        Scheme::S3 | Scheme::Gs | Scheme::Az if bucket.is_empty() => {
            return Err(AddressError::Place(scheme, "a bucket or container"));
        }
        _ => {}
    }
    let steps = (!prefix.is_empty()).then(|| prefix.split('/')).into_iter().flatten();
    let bucket = (!bucket.is_empty()).then_some(bucket);
    let wrong = bucket.into_iter().chain(steps).find(|step| !is_step(step));
    wrong.map_or(Ok(()), |step| Err(AddressError::Step(step.to_owned())))
}

/// What every store takes as it is, without escapes.
fn is_step(step: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.=+".contains(&byte);
    !matches!(step, "" | "." | "..") && step.bytes().all(plain)
}

fn is_host(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte);
    !host.is_empty() && host.bytes().all(plain)
}

/// Undoes `%XX`; `None` if what follows a `%` is not two hexadecimal digits, or the result is no UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        out.push(if byte == b'%' { digit(bytes.next())? << 4 | digit(bytes.next())? } else { byte });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests;
