//! Lists that come in pages, and the admin's filters.

use payload_manager_types::PayloadId;

use super::field::payload_id;
use super::invalid::Invalid;
use crate::admin::v1 as admin;
use crate::runtime::v1::ListStreamsRequest;

/// Items on a page when the caller says nothing, and at most.
pub const PAGE_DEFAULT: u32 = 50;
/// See [`PAGE_DEFAULT`].
pub const PAGE_LIMIT: u32 = 500;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// 1 to [`PAGE_LIMIT`] items.
    pub size: u32,
    /// Where it starts, as the page before said; empty for the first. Only its maker can tell whether it is valid.
    pub token: String,
}

impl Page {
    /// The page that a request's two fields name; no size is an error.
    pub(super) fn new(page_size: i32, token: String) -> Self {
        let size = u32::try_from(page_size).ok().filter(|n| *n > 0).unwrap_or(PAGE_DEFAULT).min(PAGE_LIMIT);
        Self { size, token }
    }
}

/// Leases, of one payload or of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListLeases {
    /// Only those on this payload.
    pub id: Option<PayloadId>,
    /// Which page.
    pub page: Page,
}

impl TryFrom<admin::ListLeasesRequest> for ListLeases {
    type Error = Invalid;

    fn try_from(wire: admin::ListLeasesRequest) -> Result<Self, Invalid> {
        let id = wire.id.map(|id| payload_id(Some(id), "id")).transpose()?;
        Ok(Self { id, page: Page::new(wire.page_size, wire.page_token) })
    }
}

impl From<admin::ListSessionsRequest> for Page {
    fn from(wire: admin::ListSessionsRequest) -> Self {
        Self::new(wire.page_size, wire.page_token)
    }
}

impl From<ListStreamsRequest> for Page {
    fn from(wire: ListStreamsRequest) -> Self {
        Self::new(wire.page_size, wire.page_token)
    }
}
