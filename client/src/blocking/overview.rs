//! Tiers, listings and figures: each call is the async one, waited for.

use super::client::Client;
use super::follow::Payloads;
use crate::descriptor::{Descriptor, PayloadId, Tier};
use crate::error::Result;
use crate::list::{ListOptions, Page};
use crate::read::Promotion;
use crate::stats::Stats;
use crate::tiering::SpillOptions;

impl Client {
    /// Makes a copy of a payload in a faster tier, and keeps the slower ones.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::Tier;
    ///
    /// client.spill(id)?;
    /// assert_eq!(client.promote(id, Tier::Ram)?.tier, Tier::Ram);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::promote).
    pub fn promote(&self, id: PayloadId, tier: Tier) -> Result<Descriptor> {
        self.wait(self.client.promote(id, tier))
    }

    /// Makes a copy in a faster tier, and waits for it or not.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::{Promotion, Tier};
    ///
    /// client.promote_with(id, Tier::Ram, Promotion::Background)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::promote_with).
    pub fn promote_with(&self, id: PayloadId, tier: Tier, promotion: Promotion) -> Result<Descriptor> {
        self.wait(self.client.promote_with(id, tier, promotion))
    }

    /// Makes a copy of a payload in its slower tier, then drops the faster ones. `None` if its target is VOID, so that it is
    /// deleted.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::Tier;
    ///
    /// client.spill(id)?;
    /// assert_eq!(client.resolve(id)?.tier, Tier::Disk);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::spill).
    pub fn spill(&self, id: PayloadId) -> Result<Option<Descriptor>> {
        self.wait(self.client.spill(id))
    }

    /// Spills many payloads in one call, as `options` say: one result each, in order.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::SpillOptions;
    ///
    /// let results = client.spill_with(&[id], SpillOptions::default())?;
    /// assert!(results[0].is_ok());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::spill_with).
    pub fn spill_with(&self, ids: &[PayloadId], options: SpillOptions) -> Result<Vec<Result<Option<Descriptor>>>> {
        self.wait(self.client.spill_with(ids, options))
    }

    /// Lists payloads, newest first, those not committed yet too.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::ListOptions;
    ///
    /// for payload in client.list(ListOptions::default()) {
    ///     println!("{}", payload?.id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list(&self, options: ListOptions) -> Payloads {
        Payloads { payloads: self.client.list(options), connection: self.connection.clone() }
    }

    /// One page of a listing: the first with an empty `token`, then with [`Page::next`] of the one before.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// # let id = client.create(4096)?.commit()?.id;
    /// use payload_manager_client::ListOptions;
    ///
    /// assert_eq!(client.list_page(ListOptions::default(), "")?.total, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::list_page).
    pub fn list_page(&self, options: ListOptions, token: &str) -> Result<Page> {
        self.wait(self.client.list_page(options, token))
    }

    /// What the daemon holds at this moment.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// println!("{} leases", client.stats()?.live_leases);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`the async one`](crate::Client::stats).
    pub fn stats(&self) -> Result<Stats> {
        self.wait(self.client.stats())
    }
}
