//! Promote, prefetch, spill, pin.

use payload_manager_api::convert::{Pin, Promote, Spill};
use payload_manager_api::reason::Reason;
use payload_manager_api::runtime::v1::{PinRequest, PrefetchRequest, PromoteRequest, SpillRequest};
use payload_manager_types::{DeviceUuid, SpillTarget, Tier};

use crate::{id, refusal};

#[test]
fn a_promotion_needs_a_place_and_waits_unless_told_not_to() {
    let promote = |target_tier, policy| {
        Promote::try_from(PromoteRequest { id: id(16), target_tier, policy, ..Default::default() })
    };
    for (policy, wait) in [(0, true), (1, false), (2, true)] {
        let promote = promote(2, policy).unwrap();
        assert_eq!((promote.target, promote.wait), (Tier::Ram, wait));
    }
    assert_eq!(refusal(promote(0, 0)), (Reason::TierRequired, "target_tier"));
    assert_eq!(refusal(promote(5, 0)), (Reason::VoidIsNoPlace, "target_tier"));
    assert_eq!(refusal(promote(6, 0)), (Reason::UnknownEnum, "target_tier"));
    assert_eq!(refusal(promote(2, 3)), (Reason::UnknownEnum, "policy"));
    let prefetch = |target_tier| Promote::try_from(PrefetchRequest { id: id(16), target_tier, ..Default::default() });
    assert!(!prefetch(1).unwrap().wait);
    assert_eq!(refusal(prefetch(0)), (Reason::TierRequired, "target_tier"));
    let on = |devices: &[&[u8]]| {
        let devices = devices.iter().map(|uuid| uuid.to_vec()).collect();
        Promote::try_from(PromoteRequest { id: id(16), target_tier: 1, devices, ..Default::default() })
    };
    let both = [DeviceUuid([7; 16]), DeviceUuid([3; 16])];
    assert_eq!(on(&[&[7; 16], &[3; 16]]).unwrap().devices, both);
    assert_eq!(refusal(on(&[&[7; 16], &[3; 15]])), (Reason::IdLength, "devices"));
    assert_eq!(on(&[[7; 16].as_slice(); 64]).unwrap().devices.len(), 64);
    assert_eq!(refusal(on(&[[7; 16].as_slice(); 65])), (Reason::BatchTooLarge, "devices"));
}

#[test]
fn a_spill_fails_as_a_whole_for_its_own_fields_and_in_part_for_an_id() {
    let ids = || [16, 3, 16].into_iter().map(|n| id(n).unwrap()).collect::<Vec<_>>();
    let spill =
        |target_tier, policy| Spill::try_from(SpillRequest { ids: ids(), policy, target_tier, ..Default::default() });
    let good = spill(0, 0).unwrap();
    assert_eq!((good.target, good.wait), (None, true));
    let fates: Vec<_> = good.ids.iter().map(|id| id.as_ref().map(drop).map_err(|e| e.reason)).collect();
    assert_eq!(fates, [Ok(()), Err(Reason::IdLength), Ok(())]);
    assert_eq!(spill(5, 1).unwrap().target, Some(SpillTarget::Void));
    assert_eq!(spill(3, 1).unwrap().target, Some(SpillTarget::Tier(Tier::Disk)));
    assert!(!spill(0, 1).unwrap().wait);
    assert_eq!(refusal(spill(6, 0)), (Reason::UnknownEnum, "target_tier"));
    assert_eq!(refusal(spill(0, 3)), (Reason::UnknownEnum, "policy"));
}

#[test]
fn a_pin_of_no_milliseconds_holds_until_unpin() {
    let pin = |duration_ms| Pin::try_from(PinRequest { id: id(16), duration_ms }).unwrap().duration_ms;
    assert_eq!((pin(0), pin(1)), (None, Some(1)));
}
