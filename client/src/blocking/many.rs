//! Making and committing many payloads at once: the async calls, waited for.

use super::client::Client;
use super::payload::PayloadMut;
use crate::descriptor::Descriptor;
use crate::error::Result;
use crate::write::CreateOptions;

impl Client {
    /// Allocates many payloads in RAM, of so many bytes each: one result each, in order, and one that fails does not stop
    /// the others.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// let mut payloads = client.create_many(&[5, 5]).into_iter().collect::<Result<Vec<_>, _>>()?;
    /// payloads[0].copy_from_slice(b"hello");
    /// payloads[1].copy_from_slice(b"world");
    /// for committed in client.commit_many(payloads) {
    ///     println!("made {}", committed?.id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn create_many(&self, lens: &[u64]) -> Vec<Result<PayloadMut>> {
        self.create_many_with(lens, CreateOptions::default())
    }

    /// Allocates many payloads, all as `options` say.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// use payload_manager_client::CreateOptions;
    ///
    /// let options = CreateOptions { no_evict: true, ..CreateOptions::default() };
    /// assert!(client.create_many_with(&[4096, 64], options).iter().all(Result::is_ok));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn create_many_with(&self, lens: &[u64], options: CreateOptions) -> Vec<Result<PayloadMut>> {
        let payloads = self.wait(self.client.create_many_with(lens, options)).into_iter();
        let payload = |payload| PayloadMut { payload, connection: self.connection.clone() };
        payloads.map(|made| made.map(payload)).collect()
    }

    /// Commits many payloads: one result each, in order. What could not be committed is deleted.
    ///
    /// ```
    /// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/doc.rs"));
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let daemon = daemon()?;
    /// # let client = payload_manager_client::blocking::Client::connect(daemon.socket())?;
    /// let payloads = vec![client.create(1)?, client.create(2)?];
    /// assert!(client.commit_many(payloads).iter().all(Result::is_ok));
    /// # Ok(())
    /// # }
    /// ```
    pub fn commit_many(&self, payloads: Vec<PayloadMut>) -> Vec<Result<Descriptor>> {
        let (payloads, connections): (Vec<_>, Vec<_>) =
            payloads.into_iter().map(|payload| (payload.payload, payload.connection)).unzip();
        let committed = self.wait(self.client.commit_many(payloads));
        // Each is kept by what was made of it, until that is told.
        drop(connections);
        committed
    }
}
