//! The object store that the demo was given: a prefix of this run's alone below it, and nothing left there.

use payload_manager_tiers::ObjectTier;
use payload_manager_tiers::object::Address;

use crate::bucket;

/// This run's prefix.
pub(super) struct Store {
    /// Where it is.
    pub(super) address: Address,
    tier: ObjectTier,
}

impl Store {
    /// A prefix below `given`, if that can be used.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn below(given: &Address) -> Result<Self, String> {
        let address = given.below(&format!("payload-manager-demo-{}", uuid::Uuid::now_v7().simple()));
        let tier = ObjectTier::open(address.clone(), bucket::options(false)).map_err(|error| error.to_string())?;
        tier.check().map_err(|error| error.to_string())?;
        Ok(Self { address, tier })
    }

    /// Removes everything that is there. The daemon must be gone.
    ///
    /// # Errors
    /// What is left behind, in words.
    pub(super) fn clear(self) -> Result<(), String> {
        self.tier.empty().map_err(|error| format!("{}: {error}", self.address))
    }
}
