//! Allocate and list.

use std::collections::HashMap;

use payload_manager_api::convert::{Allocate, ListPayloads, PAGE_DEFAULT, PAGE_LIMIT};
use payload_manager_api::core::v1 as core;
use payload_manager_api::reason::Reason;
use payload_manager_api::runtime::v1::{AllocatePayloadRequest, ListPayloadsRequest};
use payload_manager_types::{EvictionPolicy, Priority, Protection, SpillTarget, Tier};

use crate::refusal;

fn good() -> AllocatePayloadRequest {
    AllocatePayloadRequest { size_bytes: 1, preferred_tier: core::Tier::Ram as i32, ..Default::default() }
}

fn with_policy(policy: core::EvictionPolicy) -> AllocatePayloadRequest {
    AllocatePayloadRequest { eviction_policy: Some(policy), ..good() }
}

#[test]
fn what_is_unset_has_the_defaults_of_the_contract() {
    let plain = Allocate::try_from(good()).unwrap();
    assert_eq!((plain.size, plain.tier, plain.ttl_ms, plain.no_evict), (1, Tier::Ram, None, false));
    assert_eq!((plain.policy, plain.protection, plain.alignment), (Default::default(), Protection::Shared, None));
    assert_eq!(plain.policy.target(), SpillTarget::Tier(Tier::Disk));
    assert_eq!(Allocate::try_from(with_policy(core::EvictionPolicy::default())), Ok(plain));
}

#[test]
fn a_policy_may_name_void_as_target_but_not_as_floor() {
    let policy = core::EvictionPolicy { priority: 4, require_durable: true, spill_target: 5, min_residency_tier: 3 };
    let expected = EvictionPolicy {
        priority: Priority::Never,
        require_durable: true,
        spill_target: Some(SpillTarget::Void),
        min_residency: Some(Tier::Disk),
    };
    assert_eq!(Allocate::try_from(with_policy(policy)).unwrap().policy, expected);
    assert_eq!(core::EvictionPolicy::from(expected), policy);
    let floor = core::EvictionPolicy { min_residency_tier: 5, ..policy };
    let refused = refusal(Allocate::try_from(with_policy(floor)));
    assert_eq!(refused, (Reason::VoidIsNoPlace, "eviction_policy.min_residency_tier"));
}

#[test]
fn an_allocation_that_breaks_a_rule_is_refused_with_its_reason() {
    let policy = |priority, spill_target| core::EvictionPolicy { priority, spill_target, ..Default::default() };
    let tags = |bytes: usize| HashMap::from([("k".to_owned(), "v".repeat(bytes - 1))]);
    let cases = [
        (AllocatePayloadRequest { size_bytes: 0, ..good() }, Reason::SizeZero),
        (AllocatePayloadRequest { preferred_tier: 0, ..good() }, Reason::TierRequired),
        (AllocatePayloadRequest { preferred_tier: 5, ..good() }, Reason::VoidIsNoPlace),
        (AllocatePayloadRequest { preferred_tier: 6, ..good() }, Reason::UnknownEnum),
        (AllocatePayloadRequest { preferred_tier: -1, ..good() }, Reason::UnknownEnum),
        (AllocatePayloadRequest { protection: 4, ..good() }, Reason::UnknownEnum),
        (with_policy(policy(5, 0)), Reason::UnknownEnum),
        (with_policy(policy(0, 6)), Reason::UnknownEnum),
        (AllocatePayloadRequest { alignment_bytes: 3, ..good() }, Reason::BadAlignment),
        (AllocatePayloadRequest { alignment_bytes: 4 << 20, ..good() }, Reason::BadAlignment),
        (AllocatePayloadRequest { dataset: "d".repeat(1025), ..good() }, Reason::MetadataTooLarge),
        (AllocatePayloadRequest { producer: "p".repeat(1025), ..good() }, Reason::MetadataTooLarge),
        (AllocatePayloadRequest { tags: tags(65_537), ..good() }, Reason::MetadataTooLarge),
    ];
    for (request, reason) in cases {
        assert_eq!(refusal(Allocate::try_from(request)).0, reason);
    }
    let full = AllocatePayloadRequest { tags: tags(65_536), alignment_bytes: 2 << 20, size_bytes: 1 << 63, ..good() };
    assert!(Allocate::try_from(full).is_ok(), "the upper limit of a size is the ledger's to check");
}

#[test]
fn a_page_has_1_to_500_items_and_its_token_passes_unread() {
    for (asked, size) in [(i32::MIN, 50), (-1, 50), (0, PAGE_DEFAULT), (1, 1), (500, PAGE_LIMIT), (501, 500)] {
        let request = ListPayloadsRequest { tier_filter: 0, page_size: asked, page_token: "rubbish".into() };
        let list = ListPayloads::try_from(request).unwrap();
        assert_eq!((list.tier, list.page.size, list.page.token.as_str()), (None, size, "rubbish"));
    }
    let filter = |n| ListPayloads::try_from(ListPayloadsRequest { tier_filter: n, ..Default::default() });
    assert_eq!(filter(3).unwrap().tier, Some(Tier::Disk));
    assert_eq!(refusal(filter(5)), (Reason::VoidIsNoPlace, "tier_filter"));
    assert_eq!(refusal(filter(32)), (Reason::UnknownEnum, "tier_filter"));
}
