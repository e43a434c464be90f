//! What a row of the table is, and how one is written.

use prost::Message;
use tonic::Code;

use payload_manager_api::Reason;
use payload_manager_api::core::v1::CallStatus;
use payload_manager_api::runtime::v1::acquire_read_lease_result::Outcome;
use payload_manager_api::runtime::v1::{AcquireReadLeaseResult, AcquireReadLeasesResponse, SpillResponse};
use payload_manager_tests::Answer;

use super::world::{Given, World};

/// One row.
pub(super) struct Row {
    /// Which call.
    pub(super) call: &'static str,
    /// What is special about it.
    pub(super) case: String,
    /// What there is before.
    pub(super) given: Given,
    /// What is asked: the bytes of a message.
    pub(super) ask: Ask,
    /// The caller's deadline, in gRPC's form.
    pub(super) timeout: Option<&'static str>,
    /// What must come back.
    pub(super) expect: Expect,
    /// Whether a refusal is allowed to change something: what it found out about the bytes, what it has begun.
    pub(super) has_effects: bool,
}

/// Makes the bytes of a request.
pub(super) type Ask = Box<dyn Fn(&World) -> Vec<u8> + Send + Sync>;

type Check = Box<dyn Fn(&World, &Answer) + Send + Sync>;

/// What must come back.
pub(super) enum Expect {
    /// An answer that this check lets pass by not panicking.
    Good(Check),
    /// A refusal, with all of these words in its message.
    Refused(Code, Reason, Vec<&'static str>),
    /// The call is OK, and its one item is refused.
    ItemRefused(Code, Reason),
}

impl Expect {
    /// The code that the row is about.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Good(_) => Code::Ok,
            Self::Refused(code, ..) | Self::ItemRefused(code, _) => *code,
        }
    }
}

/// A call that goes well; `check` looks at its answer.
pub(super) fn good<M: Message, A: Message + Default>(
    call: &'static str,
    case: &str,
    given: Given,
    ask: impl Fn(&World) -> M + Send + Sync + 'static,
    check: impl Fn(&World, A) + Send + Sync + 'static,
) -> Row {
    let check: Check = Box::new(move |world, answer| check(world, answer.message()));
    row(call, case, given, ask, Expect::Good(check))
}

/// A call that is refused.
pub(super) fn refused<M: Message>(
    call: &'static str,
    case: &str,
    given: Given,
    ask: impl Fn(&World) -> M + Send + Sync + 'static,
    (code, reason): (Code, Reason),
) -> Row {
    row(call, case, given, ask, Expect::Refused(code, reason, Vec::new()))
}

/// A batch of one whose item is refused.
pub(super) fn item_refused<M: Message>(
    call: &'static str,
    case: &str,
    given: Given,
    ask: impl Fn(&World) -> M + Send + Sync + 'static,
    (code, reason): (Code, Reason),
) -> Row {
    row(call, case, given, ask, Expect::ItemRefused(code, reason))
}

fn row<M: Message>(
    call: &'static str,
    case: &str,
    given: Given,
    ask: impl Fn(&World) -> M + Send + Sync + 'static,
    expect: Expect,
) -> Row {
    let ask: Ask = Box::new(move |world: &World| ask(world).encode_to_vec());
    Row { call, case: case.to_owned(), given, ask, timeout: None, expect, has_effects: false }
}

impl Row {
    /// The same, with a deadline that is the daemon's to keep.
    pub(super) fn until(self, timeout: &'static str) -> Self {
        Self { timeout: Some(timeout), ..self }
    }

    /// The same, where a refusal changes what is known of the bytes, or begins work in the background.
    pub(super) fn with_effects(self) -> Self {
        Self { has_effects: true, ..self }
    }

    /// The same, with a message that says all of this.
    pub(super) fn saying(mut self, words: &[&'static str]) -> Self {
        if let Expect::Refused(_, _, says) = &mut self.expect {
            says.extend(words);
        }
        self
    }
}

/// What is wrong with an answer, but for its effect.
pub(super) fn judge(row: &Row, world: &World, answer: &Answer) -> Result<(), String> {
    match &row.expect {
        Expect::Good(check) => {
            let checked = std::panic::AssertUnwindSafe(|| check(world, answer));
            std::panic::catch_unwind(checked).map_err(|_| format!("not as it should be: {answer:?}"))
        }
        Expect::Refused(code, reason, says) => {
            let detail = answer.detail();
            let known = detail.as_ref().and_then(|detail| detail.known());
            let message = answer.status.message();
            let found = (answer.code(), known, detail.is_some_and(|detail| detail.retryable));
            let wanted = (*code, Some(*reason), reason.retryable());
            match says.iter().find(|words| !message.contains(**words)) {
                _ if found != wanted => Err(format!("{found:?} instead of {wanted:?}: {message}")),
                Some(words) => Err(format!("does not say {words:?}: {message}")),
                None if message.is_empty() => Err("says nothing".to_owned()),
                None => Ok(()),
            }
        }
        Expect::ItemRefused(code, reason) => {
            if answer.code() != Code::Ok {
                return Err(format!("the call itself failed: {:?}", answer.status));
            }
            let error = if row.call == "Spill" { spilled(answer, *code)? } else { leased(answer)? };
            let found = error.detail.as_ref().map(|detail| detail.reason.as_str()).unwrap_or_default();
            let right = error.code == *code as i32 && found == reason.as_str();
            if right { Ok(()) } else { Err(format!("{error:?} instead of {code:?} {reason:?}")) }
        }
    }
}

/// The error of the one item of a spill, which says it in words, too.
fn spilled(answer: &Answer, code: Code) -> Result<CallStatus, String> {
    let results = answer.message::<SpillResponse>().results;
    let [result] = results.as_slice() else { return Err(format!("not one result: {results:?}")) };
    let named = result.error_message.starts_with(&format!("{}: ", name(code)));
    if result.ok || !named {
        return Err(format!("{result:?} instead of {code:?}"));
    }
    Ok(result.error.clone().unwrap_or_default())
}

/// The error of the one lease of a batch.
fn leased(answer: &Answer) -> Result<CallStatus, String> {
    let results = answer.message::<AcquireReadLeasesResponse>().results;
    match results.as_slice() {
        [AcquireReadLeaseResult { outcome: Some(Outcome::Error(error)) }] => Ok(error.clone()),
        other => Err(format!("not one error: {other:?}")),
    }
}

/// The name of a code in the contract.
fn name(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::NotFound => "NOT_FOUND",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::DataLoss => "DATA_LOSS",
        Code::Unavailable => "UNAVAILABLE",
        _ => "?",
    }
}
