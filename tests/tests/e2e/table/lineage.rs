//! Rows: what was made from what.

use payload_manager_api::Reason;
use payload_manager_api::catalog::v1::{
    AddLineageRequest, GetLineageRequest, GetLineageResponse, GetPayloadMetadataRequest, LineageEdge,
    ListPayloadMetadataEventsRequest,
};
use payload_manager_api::core::v1::{PayloadId, Tier};
use payload_manager_tests::rpc::id_of;
use prost::Message as _;
use tonic::Code;

use super::malformed::Good;
use super::row::{Row, good, refused};
use super::world::{Given, World};

const INVALID: Code = Code::InvalidArgument;
const UNKNOWN: (Code, Reason) = (Code::NotFound, Reason::PayloadNotFound);
const CYCLE: (Code, Reason) = (Code::FailedPrecondition, Reason::LineageCycle);

/// Somebody whom nobody knows.
fn stranger() -> PayloadId {
    PayloadId { value: vec![8; 16] }
}

fn from(parent: &PayloadId) -> LineageEdge {
    LineageEdge {
        parent: Some(parent.clone()),
        operation: "resize".into(),
        role: "input".into(),
        parameters: vec![0, 1, 0],
        child: None,
    }
}

impl World {
    /// What is said about the subject, as text.
    pub(super) async fn said(&mut self) -> String {
        let id = Some(self.subject.clone());
        let catalog = &mut self.rpc.catalog;
        let metadata = catalog.get_payload_metadata(GetPayloadMetadataRequest { id: id.clone() }).await;
        let events = ListPayloadMetadataEventsRequest { id: id.clone(), ..Default::default() };
        let events = catalog.list_payload_metadata_events(events).await;
        let mut lineage = Vec::new();
        for upstream in [true, false] {
            let found = catalog.get_lineage(GetLineageRequest { id: id.clone(), upstream, max_depth: 0 }).await;
            lineage.push(found.map(|answer| answer.into_inner()).map_err(|e| e.code()));
        }
        let metadata = metadata.map(|answer| answer.into_inner()).map_err(|e| e.code());
        let events = events.map(|answer| answer.into_inner()).map_err(|e| e.code());
        format!("{metadata:?} {events:?} {lineage:?}")
    }

    /// What rows find who ask for [`Given::Pinned`].
    pub(super) async fn pin(&mut self) {
        let request = payload_manager_api::runtime::v1::PinRequest { id: Some(self.subject.clone()), duration_ms: 0 };
        self.rpc.catalog.pin(request).await.unwrap();
    }

    /// What rows find who ask for [`Given::Descended`].
    pub(super) async fn descend(&mut self) {
        self.other = id_of(&self.rpc.allocate(Tier::Ram, 1).await.unwrap());
        let request = AddLineageRequest { child: Some(self.subject.clone()), parents: vec![from(&self.other)] };
        self.rpc.catalog.add_lineage(request).await.unwrap();
    }

    /// What rows find who ask for [`Given::TooMuchLineage`].
    pub(super) async fn descend_from_much(&mut self) {
        let parents = [1, 2, 3].map(|n| LineageEdge { parameters: vec![n; 1 << 20], ..from(&stranger()) });
        let request = AddLineageRequest { child: Some(self.subject.clone()), parents: parents.into() };
        self.rpc.catalog.add_lineage(request).await.unwrap();
    }
}

/// The subject was made from these.
fn add(parents: impl Fn(&World) -> Vec<LineageEdge> + Copy) -> impl Fn(&World) -> AddLineageRequest + Copy {
    move |world| AddLineageRequest { child: Some(world.subject.clone()), parents: parents(world) }
}

fn ask(upstream: bool, max_depth: u32) -> impl Fn(&World) -> GetLineageRequest + Copy {
    move |world| GetLineageRequest { id: Some(world.subject.clone()), upstream, max_depth }
}

/// A request that would go well.
pub(super) fn good_one(call: &str) -> (Given, Good) {
    match call {
        "AddLineage" => (Given::Active, |w| add(|_| vec![from(&stranger())])(w).encode_to_vec()),
        _ => (Given::Descended, |w| ask(true, 0)(w).encode_to_vec()),
    }
}

pub(super) fn rows() -> Vec<Row> {
    [additions(), refused_additions(), walks()].into_iter().flatten().collect()
}

fn additions() -> Vec<Row> {
    let done = |_: &World, (): ()| {};
    let one = |_: &World| vec![from(&stranger())];
    let long = |_: &World| {
        let (operation, role, parameters) = ("o".repeat(1024), "r".repeat(1024), vec![0; 1 << 20]);
        vec![LineageEdge { operation, role, parameters, ..from(&stranger()) }]
    };
    let named = |world: &World| vec![LineageEdge { child: Some(world.subject.clone()), ..from(&stranger()) }];
    vec![
        good("AddLineage", "a parent that nobody knows", Given::Active, add(one), done),
        good("AddLineage", "none", Given::Active, add(|_| Vec::new()), done),
        good("AddLineage", "the same twice", Given::Active, add(|_| vec![from(&stranger()); 2]), done),
        good("AddLineage", "what is there already", Given::Descended, add(|w| vec![from(&w.other)]), done),
        good("AddLineage", "as long as can be", Given::Active, add(long), done),
        good("AddLineage", "with the child's name", Given::Active, add(named), done),
        good("AddLineage", "to what is not committed", Given::Allocated(Tier::Ram), add(one), done),
    ]
}

fn refused_additions() -> Vec<Row> {
    let one = |_: &World| vec![from(&stranger())];
    let itself = |w: &World| vec![from(&stranger()), from(&w.subject)];
    let back = |w: &World| AddLineageRequest {
        child: Some(w.other.clone()),
        parents: vec![from(&stranger()), from(&w.subject)],
    };
    let other = |_: &World| vec![LineageEdge { child: Some(stranger()), ..from(&stranger()) }];
    let operation = |_: &World| vec![LineageEdge { operation: "o".repeat(1025), ..from(&stranger()) }];
    let role = |_: &World| vec![from(&stranger()), LineageEdge { role: "r".repeat(1025), ..from(&stranger()) }];
    let parameters = |_: &World| vec![LineageEdge { parameters: vec![0; (1 << 20) + 1], ..from(&stranger()) }];
    let large = (INVALID, Reason::MetadataTooLarge);
    vec![
        refused("AddLineage", "unknown", Given::Nothing, add(one), UNKNOWN),
        refused("AddLineage", "unknown, none", Given::Nothing, add(|_| Vec::new()), UNKNOWN),
        refused("AddLineage", "deleted", Given::Deleted, add(one), UNKNOWN),
        refused("AddLineage", "expired", Given::Expired, add(one), UNKNOWN),
        refused("AddLineage", "itself", Given::Active, add(itself), (INVALID, Reason::SelfParent)),
        refused("AddLineage", "a cycle", Given::Descended, back, CYCLE).saying(&["leave that parent out"]),
        refused("AddLineage", "another child", Given::Active, add(other), (INVALID, Reason::IdMismatch)),
        refused("AddLineage", "an operation too long", Given::Active, add(operation), large),
        refused("AddLineage", "a role too long", Given::Active, add(role), large),
        refused("AddLineage", "parameters too long", Given::Active, add(parameters), large),
    ]
}

fn walks() -> Vec<Row> {
    let none = |_: &World, answer: GetLineageResponse| assert_eq!(answer.edges, []);
    let one = |world: &World, answer: GetLineageResponse| {
        assert_eq!(answer.edges, [LineageEdge { child: Some(world.subject.clone()), ..from(&world.other) }]);
    };
    let of_other = |world: &World| GetLineageRequest { id: Some(world.other.clone()), ..ask(false, 0)(world) };
    let large = (Code::ResourceExhausted, Reason::AnswerTooLarge);
    vec![
        good("GetLineage", "unknown", Given::Nothing, ask(true, 0), none),
        good("GetLineage", "deleted", Given::Deleted, ask(false, 3), none),
        good("GetLineage", "none", Given::Active, ask(true, 0), none),
        good("GetLineage", "a parent", Given::Descended, ask(true, 0), one),
        good("GetLineage", "a parent, one step", Given::Descended, ask(true, 1), one),
        good("GetLineage", "as many steps as can be said", Given::Descended, ask(true, u32::MAX), one),
        good("GetLineage", "no children", Given::Descended, ask(false, 0), none),
        good("GetLineage", "a child", Given::Descended, of_other, one),
        refused("GetLineage", "too much", Given::TooMuchLineage, ask(true, 0), large).saying(&["max_depth", "3 MiB"]),
    ]
}
