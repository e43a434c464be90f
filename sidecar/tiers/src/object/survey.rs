//! What lies below the prefix, for start-up to compare with the catalog and for a rebuild. A page at a time, so that a
//! prefix with millions of objects takes no more memory than one page. Changes nothing.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{Error, ObjectMeta};
use payload_manager_types::PayloadId;

use super::fail;
use super::layout::{BIN, INSTANCE, Layout, META, PROBE, SET_ASIDE};
use super::remote::Remote;
use crate::TierError;
use crate::notes::NOTES;

/// How many objects are taken at a time; what S3 gives a page.
const PAGE: usize = 1000;

/// Objects as the store lists them.
type Listing = BoxStream<'static, Result<ObjectMeta, Error>>;

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The bytes of a payload, where they belong.
    Bin {
        /// Whose.
        id: PayloadId,
        /// How many.
        size: u64,
    },
    /// A metadata object, where it belongs.
    Meta {
        /// Whose.
        id: PayloadId,
    },
    /// Something that is not ours, or not where it belongs: leave it alone, and say so.
    Other {
        /// Its name below the prefix.
        name: String,
    },
}

/// Everything below the prefix, in the store's order. What was moved aside, the marker and the notes are not listed.
pub struct Survey {
    remote: Arc<Remote>,
    /// `None` once it has ended or failed.
    listing: Option<Listing>,
    /// The last object of the page.
    last: Option<Path>,
    page: std::vec::IntoIter<ObjectMeta>,
}

impl Survey {
    pub(super) fn new(remote: Arc<Remote>) -> Self {
        let mut survey = Self { remote, listing: None, last: None, page: Vec::new().into_iter() };
        survey.listing = Some(survey.begin());
        survey
    }

    /// The listing, after what was handed out.
    fn begin(&self) -> Listing {
        let (store, prefix) = (&self.remote.store, self.remote.layout.prefix());
        self.last.as_ref().map_or_else(|| store.list(prefix), |last| store.list_with_offset(prefix, last))
    }

    /// The next page; empty at the end. The client makes no second try of a page of which only a part came.
    fn turn(&mut self) -> Result<(), TierError> {
        let Some(listing) = self.listing.take() else { return Ok(()) };
        let (listing, page) = match self.read(listing) {
            Err(TierError::Unavailable { .. }) => self.read(self.begin())?,
            other => other?,
        };
        self.listing = (page.len() == PAGE).then_some(listing);
        self.last = page.last().map(|meta| meta.location.clone());
        self.page = page.into_iter();
        Ok(())
    }

    fn read(&self, mut listing: Listing) -> Result<(Listing, Vec<ObjectMeta>), TierError> {
        let doing = format!("listing {}", self.remote.layout.shown());
        self.remote.driver.run(async move {
            let mut page = Vec::with_capacity(PAGE);
            while page.len() < PAGE
                && let Some(found) = listing.next().await
            {
                page.push(found.map_err(|e| fail::failed(doing.clone(), &e))?);
            }
            Ok((listing, page))
        })
    }

    /// What it is; `None` for what is not listed.
    fn classify(layout: &Layout, meta: &ObjectMeta) -> Option<Found> {
        let name = layout.name(&meta.location);
        let id_before =
            |end: &str| name.strip_suffix(end)?.parse::<PayloadId>().ok().filter(|id| name == format!("{id}{end}"));
        let is_below = |folder: &str| name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
        if name == INSTANCE || name.starts_with(PROBE) || is_below(SET_ASIDE) || is_below(NOTES) {
            return None;
        }
        Some(if let Some(id) = id_before(BIN) {
            Found::Bin { id, size: meta.size }
        } else if let Some(id) = id_before(META) {
            Found::Meta { id }
        } else {
            Found::Other { name: name.to_owned() }
        })
    }
}

impl Iterator for Survey {
    type Item = Result<Found, TierError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            for meta in self.page.by_ref() {
                if let Some(found) = Self::classify(&self.remote.layout, &meta) {
                    return Some(Ok(found));
                }
            }
            self.listing.as_ref()?;
            if let Err(error) = self.turn() {
                return Some(Err(error));
            }
        }
    }
}

impl std::fmt::Debug for Survey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Survey({})", self.remote.layout.shown())
    }
}
