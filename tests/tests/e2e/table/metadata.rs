//! Rows: what users say about a payload, and its history.

use payload_manager_api::Reason;
use payload_manager_api::catalog::v1::{
    AppendPayloadMetadataEventRequest, AppendPayloadMetadataEventResponse, GetPayloadMetadataRequest,
    GetPayloadMetadataResponse, ListPayloadMetadataEventsRequest, ListPayloadMetadataEventsResponse, PayloadMetadata,
    UpdatePayloadMetadataRequest, UpdatePayloadMetadataResponse,
};
use payload_manager_api::core::v1::{MetadataUpdateMode, PayloadId, Tier};
use prost::Message as _;
use tonic::Code;

use super::malformed::Good;
use super::row::{Row, good, refused};
use super::world::{Given, World};

const UNKNOWN: (Code, Reason) = (Code::NotFound, Reason::PayloadNotFound);
const TOO_LARGE: (Code, Reason) = (Code::InvalidArgument, Reason::MetadataTooLarge);

const KIB: usize = 1024;

impl World {
    /// What rows find who ask for [`Given::Told`].
    pub(super) async fn tell(&mut self) {
        let request = update(b"data", "schema", MetadataUpdateMode::Replace)(self);
        self.rpc.catalog.update_payload_metadata(request).await.unwrap();
        for data in [b"0", b"1", b"2"] {
            let request = event(data, "schema")(self);
            self.rpc.catalog.append_payload_metadata_event(request).await.unwrap();
        }
    }
}

fn about(data: &[u8], schema: &str) -> Option<PayloadMetadata> {
    Some(PayloadMetadata { id: None, data: data.to_vec(), schema: schema.to_owned() })
}

fn update(
    data: &[u8],
    schema: &str,
    mode: MetadataUpdateMode,
) -> impl Fn(&World) -> UpdatePayloadMetadataRequest + use<> {
    let metadata = about(data, schema);
    move |world| UpdatePayloadMetadataRequest {
        id: Some(world.subject.clone()),
        mode: mode as i32,
        metadata: metadata.clone(),
        actor: "tests".into(),
        reason: String::new(),
    }
}

fn event(data: &[u8], schema: &str) -> impl Fn(&World) -> AppendPayloadMetadataEventRequest + use<> {
    let metadata = about(data, schema);
    move |world| AppendPayloadMetadataEventRequest {
        id: Some(world.subject.clone()),
        metadata: metadata.clone(),
        source: "tests".into(),
        version: "1".into(),
    }
}

fn get(world: &World) -> GetPayloadMetadataRequest {
    GetPayloadMetadataRequest { id: Some(world.subject.clone()) }
}

fn events(page_size: i32, page_token: &str) -> impl Fn(&World) -> ListPayloadMetadataEventsRequest + use<> {
    let page_token = page_token.to_owned();
    move |world| ListPayloadMetadataEventsRequest {
        id: Some(world.subject.clone()),
        page_size,
        page_token: page_token.clone(),
    }
}

/// A request that would go well.
pub(super) fn good_one(call: &str) -> (Given, Good) {
    match call {
        "UpdatePayloadMetadata" => {
            (Given::Active, |w| update(b"x", "y", MetadataUpdateMode::Replace)(w).encode_to_vec())
        }
        "AppendPayloadMetadataEvent" => (Given::Active, |w| event(b"x", "y")(w).encode_to_vec()),
        "GetPayloadMetadata" => (Given::Active, |w| get(w).encode_to_vec()),
        _ => (Given::Told, |w| events(0, "")(w).encode_to_vec()),
    }
}

pub(super) fn rows() -> Vec<Row> {
    [updates(), refused_updates(), appends(), refused_appends(), reads(), histories()].into_iter().flatten().collect()
}

/// An update after which this is stored.
fn stored(
    case: &str,
    given: Given,
    ask: impl Fn(&World) -> UpdatePayloadMetadataRequest + Send + Sync + 'static,
    (data, schema): (&[u8], &str),
) -> Row {
    let (data, schema) = (data.to_vec(), schema.to_owned());
    good("UpdatePayloadMetadata", case, given, ask, move |world, answer: UpdatePayloadMetadataResponse| {
        let now = answer.metadata.unwrap();
        assert_eq!((answer.id.as_ref(), now.id.as_ref()), (Some(&world.subject), Some(&world.subject)));
        assert!((&now.data, &now.schema) == (&data, &schema) && answer.updated_at.is_some());
    })
}

fn updates() -> Vec<Row> {
    use MetadataUpdateMode::{Merge, Replace, Unspecified};
    let nuls = [0, 0, 255, 0, 128];
    let mut rows = vec![
        stored("NUL and other bytes", Given::Active, update(&nuls, "", Replace), (&nuls, "")),
        stored("nothing", Given::Told, update(b"", "", Replace), (b"", "")),
        stored("the data only", Given::Told, update(b"new", "", Replace), (b"new", "")),
        stored("not committed", Given::Allocated(Tier::Ram), update(b"x", "", Replace), (b"x", "")),
        stored("not committed, DISK", Given::Allocated(Tier::Disk), update(b"x", "", Replace), (b"x", "")),
        stored("in DISK", Given::Durable, update(b"x", "y", Unspecified), (b"x", "y")),
        stored("while leased", Given::Leased, update(b"x", "y", Merge), (b"x", "y")),
        stored("of a lost one", Given::Lost, update(b"x", "y", Merge), (b"x", "y")),
    ];
    for mode in [Merge, Unspecified] {
        rows.extend([
            stored("merge into nothing", Given::Active, update(b"x", "", mode), (b"x", "")),
            stored("merge the data", Given::Told, update(b"new", "", mode), (b"new", "schema")),
            stored("merge the schema", Given::Told, update(b"", "new", mode), (b"data", "new")),
            stored("merge nothing", Given::Told, update(b"", "", mode), (b"data", "schema")),
        ]);
    }
    let (most, name) = (vec![7; 64 * KIB], "s".repeat(KIB));
    rows.push(stored("as large as can be", Given::Active, update(&most, &name, Replace), (&most, &name)));
    let with_id = |world: &World| {
        let request = update(b"x", "", Replace)(world);
        let metadata = request.metadata.map(|m| PayloadMetadata { id: Some(world.subject.clone()), ..m });
        UpdatePayloadMetadataRequest { metadata, ..request }
    };
    rows.push(stored("its own id inside", Given::Active, with_id, (b"x", "")));
    let without = |world: &World| UpdatePayloadMetadataRequest { metadata: None, ..update(b"", "", Merge)(world) };
    rows.push(stored("no metadata at all", Given::Told, without, (b"data", "schema")));
    rows
}

fn refused_updates() -> Vec<Row> {
    use MetadataUpdateMode::Replace;
    let call = "UpdatePayloadMetadata";
    let (data, name) = (vec![7; 64 * KIB + 1], "s".repeat(KIB + 1));
    let (actor, reason) = (name.clone(), name.clone());
    let other = |world: &World| {
        let request = update(b"x", "", Replace)(world);
        let metadata = request.metadata.map(|m| PayloadMetadata { id: Some(PayloadId { value: vec![8; 16] }), ..m });
        UpdatePayloadMetadataRequest { metadata, ..request }
    };
    let mismatch = (Code::InvalidArgument, Reason::IdMismatch);
    vec![
        refused(call, "unknown", Given::Nothing, update(b"x", "", Replace), UNKNOWN).saying(&["09090909-0909"]),
        refused(call, "deleted", Given::Deleted, update(b"x", "", Replace), UNKNOWN),
        refused(call, "expired", Given::Expired, update(b"x", "", Replace), UNKNOWN),
        refused(call, "a byte too many", Given::Told, update(&data, "", Replace), TOO_LARGE).saying(&["65536"]),
        refused(call, "a schema too long", Given::Told, update(b"", &name, Replace), TOO_LARGE).saying(&["1024"]),
        refused(
            call,
            "an actor too long",
            Given::Told,
            move |w: &World| UpdatePayloadMetadataRequest { actor: actor.clone(), ..update(b"", "", Replace)(w) },
            TOO_LARGE,
        ),
        refused(
            call,
            "a reason too long",
            Given::Told,
            move |w: &World| UpdatePayloadMetadataRequest { reason: reason.clone(), ..update(b"", "", Replace)(w) },
            TOO_LARGE,
        ),
        refused(call, "another's id inside", Given::Told, other, mismatch),
    ]
}

fn appends() -> Vec<Row> {
    let call = "AppendPayloadMetadataEvent";
    let at = |world: &World, answer: AppendPayloadMetadataEventResponse| {
        assert!(answer.id.as_ref() == Some(&world.subject) && answer.event_time.is_some());
    };
    vec![
        good(call, "the first", Given::Active, event(&[0, 1, 0], "s"), at),
        good(call, "one more", Given::Told, event(b"3", ""), at),
        good(call, "as large as can be", Given::Active, event(&[7; 64 * KIB], &"s".repeat(KIB)), at),
        good(call, "nothing", Given::Active, event(b"", ""), at),
        good(call, "not committed", Given::Allocated(Tier::Ram), event(b"x", ""), at),
        good(call, "in DISK", Given::Durable, event(b"x", ""), at),
    ]
}

fn refused_appends() -> Vec<Row> {
    let call = "AppendPayloadMetadataEvent";
    let long = "s".repeat(KIB + 1);
    let (source, version) = (long.clone(), long.clone());
    vec![
        refused(call, "unknown", Given::Nothing, event(b"x", ""), UNKNOWN),
        refused(call, "deleted", Given::Deleted, event(b"x", ""), UNKNOWN),
        refused(call, "expired", Given::Expired, event(b"x", ""), UNKNOWN),
        refused(call, "a byte too many", Given::Told, event(&[7; 64 * KIB + 1], ""), TOO_LARGE),
        refused(call, "a schema too long", Given::Told, event(b"", &long), TOO_LARGE),
        refused(
            call,
            "a source too long",
            Given::Told,
            move |w: &World| AppendPayloadMetadataEventRequest { source: source.clone(), ..event(b"", "")(w) },
            TOO_LARGE,
        ),
        refused(
            call,
            "a version too long",
            Given::Told,
            move |w: &World| AppendPayloadMetadataEventRequest { version: version.clone(), ..event(b"", "")(w) },
            TOO_LARGE,
        ),
    ]
}

fn reads() -> Vec<Row> {
    let call = "GetPayloadMetadata";
    let none = |world: &World, answer: GetPayloadMetadataResponse| {
        assert_eq!(answer, GetPayloadMetadataResponse { id: Some(world.subject.clone()), ..Default::default() });
    };
    vec![
        good(call, "never set", Given::Active, get, none),
        good(call, "not committed", Given::Allocated(Tier::Ram), get, none),
        good(call, "set", Given::Told, get, |world, answer: GetPayloadMetadataResponse| {
            let now = answer.metadata.unwrap();
            assert_eq!(now.id.as_ref(), Some(&world.subject));
            assert_eq!((now.data.as_slice(), now.schema.as_str()), (&b"data"[..], "schema"));
            assert!(answer.updated_at.is_some());
        }),
        refused(call, "unknown", Given::Nothing, get, UNKNOWN),
        refused(call, "deleted", Given::Deleted, get, UNKNOWN),
        refused(call, "expired", Given::Expired, get, UNKNOWN),
    ]
}

fn histories() -> Vec<Row> {
    let call = "ListPayloadMetadataEvents";
    let is = |data: &'static [&'static [u8]], more: bool| {
        move |world: &World, answer: ListPayloadMetadataEventsResponse| {
            let found: Vec<&[u8]> = answer.events.iter().map(|event| event.data.as_slice()).collect();
            assert_eq!((found.as_slice(), answer.next_page_token.is_empty()), (data, !more));
            for event in &answer.events {
                assert_eq!(event.id.as_ref(), Some(&world.subject));
                assert_eq!(
                    (event.source.as_str(), event.version.as_str(), event.schema.as_str()),
                    ("tests", "1", "schema")
                );
                assert!(event.ts.is_some());
            }
        }
    };
    let bad = (Code::InvalidArgument, Reason::BadPageToken);
    let of_another = format!("{:016x}{}", 0, "0a".repeat(16));
    let mut rows = vec![
        good(call, "none", Given::Active, events(0, ""), is(&[], false)),
        good(call, "all", Given::Told, events(0, ""), is(&[b"0", b"1", b"2"], false)),
        good(call, "the first ones", Given::Told, events(2, ""), is(&[b"0", b"1"], true)),
        good(call, "as many as can be said", Given::Told, events(i32::MAX, ""), is(&[b"0", b"1", b"2"], false)),
        good(call, "fewer than none", Given::Told, events(-5, ""), is(&[b"0", b"1", b"2"], false)),
        good(call, "not committed", Given::Allocated(Tier::Disk), events(0, ""), is(&[], false)),
        refused(call, "unknown", Given::Nothing, events(0, ""), UNKNOWN),
        refused(call, "deleted", Given::Deleted, events(0, ""), UNKNOWN),
        refused(call, "expired", Given::Expired, events(0, ""), UNKNOWN),
        refused(call, "another payload's token", Given::Told, events(0, &of_another), bad),
    ];
    for garbage in ["x", "00000000000", "\u{0}", &"f".repeat(48), &"z".repeat(100_000)] {
        rows.push(refused(call, "no token", Given::Told, events(0, garbage), bad));
    }
    rows
}
