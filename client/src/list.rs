//! Listing payloads, page by page or as one stream.

use payload_manager_api::convert::tier_number;
use payload_manager_api::runtime::v1;

use crate::client::Client;
use crate::descriptor::{Summary, Tier};
use crate::error::Result;
use crate::paged::{PAGE, Paged, listed, pages};

/// What to list: the default is everything.
///
/// ```
/// use payload_manager_client::{ListOptions, Tier};
///
/// let on_disk = ListOptions { tier: Some(Tier::Disk), ..ListOptions::default() };
/// assert_eq!(on_disk.page_size, 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListOptions {
    /// Only those whose fastest copy is here.
    pub tier: Option<Tier>,
    /// How many to ask for at once, 500 at most; 0 leaves it to the client.
    pub page_size: u32,
}

/// What one call of a listing answers.
///
/// ```
/// use payload_manager_client::Page;
///
/// fn is_last(page: &Page) -> bool {
///     page.next.is_none()
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page {
    /// The payloads, newest first.
    pub payloads: Vec<Summary>,
    /// How to ask for the rest; `None` when there is none.
    pub next: Option<String>,
    /// How many there are in all, on every page.
    pub total: u64,
}

/// Payloads, newest first: [`Client::list`].
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let daemon = daemon()?;
/// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
/// use futures_util::TryStreamExt;
/// use payload_manager_client::{ListOptions, Payloads};
///
/// let payloads: Payloads = client.list(ListOptions::default());
/// assert_eq!(payloads.try_collect::<Vec<_>>().await?.len(), 0);
/// # Ok(())
/// # }
/// ```
#[must_use = "a stream asks for nothing until it is polled"]
pub struct Payloads(Paged<Summary>);

listed!(Payloads of Summary);

impl Client {
    /// Lists payloads, newest first, those not committed yet too. What exists throughout comes once; what comes and goes
    /// meanwhile may or may not. Asks for page after page as it is polled, and ends after the first error.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # client.create(4096).await?.commit().await?;
    /// use futures_util::TryStreamExt;
    /// use payload_manager_client::ListOptions;
    ///
    /// let mut payloads = client.list(ListOptions::default());
    /// while let Some(payload) = payloads.try_next().await? {
    ///     println!("{} {}", payload.id, payload.size);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list(&self, options: ListOptions) -> Payloads {
        Payloads(pages(self, move |client, token| async move {
            let page = client.list_page(options, &token).await?;
            Ok((page.payloads.into_iter().map(Ok).collect(), page.next.unwrap_or_default()))
        }))
    }

    /// One page of a listing: the first with an empty `token`, then with [`Page::next`] of the one before.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::Client::connect(daemon.socket()).await?;
    /// # client.create(4096).await?.commit().await?;
    /// use payload_manager_client::ListOptions;
    ///
    /// let page = client.list_page(ListOptions::default(), "").await?;
    /// assert_eq!((page.payloads.len(), page.total), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Reason::BadPageToken`](crate::Reason::BadPageToken) for a token of another listing.
    pub async fn list_page(&self, options: ListOptions, token: &str) -> Result<Page> {
        let request = self.rpc().request(v1::ListPayloadsRequest {
            tier_filter: tier_number(options.tier),
            page_size: match options.page_size {
                0 => PAGE,
                size => i32::try_from(size).unwrap_or(i32::MAX),
            },
            page_token: token.to_owned(),
        });
        let answer = self.rpc().outcome(self.rpc().catalog().list_payloads(request)).await?;
        Ok(Page {
            payloads: answer.payloads.into_iter().map(|row| Ok(row.try_into()?)).collect::<Result<_>>()?,
            next: Some(answer.next_page_token).filter(|token| !token.is_empty()),
            total: u64::try_from(answer.total_count).unwrap_or_default(),
        })
    }
}
