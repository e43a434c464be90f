//! Where lists go on, opaque to their readers: what a page token says, and whether it is one of ours.

use payload_manager_core::ledger::Cursor;
use payload_manager_types::{PayloadId, UnixMillis};
use tonic::Status;

use super::status::bad_page_token;

/// After the row of a listing of payloads that this is.
pub(super) fn after_row(cursor: Option<Cursor>) -> String {
    cursor.map(|c| format!("{:012x}{}", c.created.0, digits(c.id))).unwrap_or_default()
}

/// The inverse of [`after_row`].
pub(super) fn row(token: &str) -> Result<Option<Cursor>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let parse = || {
        let (created, id) = token.split_at_checked(12)?;
        let digits = created.bytes().all(|b| b.is_ascii_hexdigit()) && id.len() == 32;
        let created = u64::from_str_radix(created, 16).ok().filter(|_| digits)?;
        Some(Cursor { created: UnixMillis(created), id: id.parse().ok()? })
    };
    parse().map(Some).ok_or_else(bad_page_token)
}

/// At a number, in a list of one payload or of all.
pub(super) fn at_number(of: Option<PayloadId>, number: u64) -> String {
    format!("{number:016x}{}", of.map(digits).unwrap_or_default())
}

/// The inverse of [`at_number`], for a list of the same.
pub(super) fn number(of: Option<PayloadId>, token: &str) -> Result<Option<u64>, Status> {
    if token.is_empty() {
        return Ok(None);
    }
    let number = token.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    // Whatever else reads as that number is not what was given out.
    number.filter(|number| at_number(of, *number) == token).map(Some).ok_or_else(bad_page_token)
}

fn digits(id: PayloadId) -> String {
    id.to_string().replace('-', "")
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_page_token_is_read_back_and_garbage_is_refused() {
        let at = Cursor { created: UnixMillis(1_790_000_000_123), id: PayloadId::from_bytes(*b"0123456789abcdef") };
        assert_eq!(row(&after_row(Some(at))).unwrap(), Some(at));
        assert_eq!(row(&after_row(None)).unwrap(), None);
        let long = "z".repeat(100_000);
        for garbage in ["x", "0", "ä", "000000000000", &long, "+00000000000303132333435363738396162636465660"] {
            assert_eq!(row(garbage).unwrap_err().code(), Code::InvalidArgument, "{garbage:.20}");
        }
    }

    #[test]
    fn a_token_goes_on_with_its_own_list_and_with_no_other() {
        let (one, other) = (PayloadId::from_words(1, 2), PayloadId::from_words(1, 3));
        for of in [None, Some(one)] {
            for at in [0, 7, 77, u64::MAX] {
                assert_eq!(number(of, &at_number(of, at)).unwrap(), Some(at));
                assert!(number(of, &at_number(Some(other), at)).is_err());
            }
            assert_eq!(number(of, "").unwrap(), None);
        }
        assert!(number(Some(one), &at_number(None, 77)).is_err());
    }

    #[test]
    fn garbage_is_no_token_of_any_list() {
        let one = PayloadId::from_bytes([1; 16]);
        let (long, upper) = ("0".repeat(100_000), at_number(Some(one), 10).to_uppercase());
        let garbage = ["x", "0", "+000000000000001", "ääääääää0", "ääääääääääääääää", "00000000000000AB"];
        let longer = ["000000000000001 ", &upper, &long, &"f".repeat(100_000)];
        for garbage in garbage.into_iter().chain(longer) {
            for of in [None, Some(one)] {
                assert_eq!(number(of, garbage).unwrap_err().code(), Code::InvalidArgument, "{garbage:.20}");
            }
        }
    }
}
