//! Calls about what is said of payloads: metadata, its history, lineage.

use std::collections::BTreeSet;

use payload_manager_api::Reason;
use payload_manager_api::catalog::v1::{
    AddLineageRequest, AppendPayloadMetadataEventRequest, GetLineageRequest, GetPayloadMetadataRequest, LineageEdge,
    ListPayloadMetadataEventsRequest, PayloadMetadata, UpdatePayloadMetadataRequest,
};
use payload_manager_api::core::v1::{MetadataUpdateMode, PayloadId};
use payload_manager_tests::crash::Dice;
use tonic::Code;

use super::model::{Edge, NOT_FOUND, Whom, World, held};

impl World {
    pub(super) async fn set_metadata(&mut self, dice: &mut Dice) {
        let whom = self.whom(dice);
        let replace = dice.one_in(2);
        let mode = if replace { MetadataUpdateMode::Replace } else { MetadataUpdateMode::Merge };
        let (data, schema) = (some_bytes(dice), dice.pick(&["", "text", "tensor/v2"]).unwrap().to_owned());
        let request = UpdatePayloadMetadataRequest {
            id: Some(self.id(&whom)),
            mode: mode as i32,
            metadata: Some(PayloadMetadata { id: None, data: data.clone(), schema: schema.clone() }),
            ..Default::default()
        };
        let answer = self.rpc.catalog.update_payload_metadata(request).await;
        let Some(answer) = held("UpdatePayloadMetadata", there(&whom), answer) else { return };
        let Whom::There(at) = whom else { return };
        let payload = &mut self.model.payloads[at];
        let (old_data, old_schema) = payload.metadata.take().unwrap_or_default();
        let keep = |new_is_empty: bool| !replace && new_is_empty;
        let data = if keep(data.is_empty()) { old_data } else { data };
        let schema = if keep(schema.is_empty()) { old_schema } else { schema };
        let stored = answer.into_inner().metadata.unwrap();
        assert_eq!((&stored.data, &stored.schema), (&data, &schema));
        payload.metadata = Some((data, schema));
    }

    pub(super) async fn append_event(&mut self, dice: &mut Dice) {
        let whom = self.whom(dice);
        let (data, source) = (some_bytes(dice), format!("source {}", dice.below(3)));
        let request = AppendPayloadMetadataEventRequest {
            id: Some(self.id(&whom)),
            metadata: Some(PayloadMetadata { id: None, data: data.clone(), schema: String::new() }),
            source: source.clone(),
            version: "1".to_owned(),
        };
        let answer = self.rpc.catalog.append_payload_metadata_event(request).await;
        if let (Some(_), Whom::There(at)) = (held("AppendPayloadMetadataEvent", there(&whom), answer), whom) {
            self.model.payloads[at].events.push((data, source));
        }
    }

    pub(super) async fn add_lineage(&mut self, dice: &mut Dice) {
        let (child, parents) = (self.whom(dice), (0..1 + dice.below(3)).map(|_| self.whom(dice)).collect::<Vec<_>>());
        let (child_id, parents) = (self.id(&child), parents.iter().map(|p| self.id(p)).collect::<Vec<_>>());
        let operation = format!("op {}", dice.below(2));
        let edge = |parent: &PayloadId| (child_id.value.clone(), parent.value.clone(), operation.clone());
        let with: BTreeSet<Edge> = self.model.edges.iter().cloned().chain(parents.iter().map(edge)).collect();
        let expected = match () {
            () if parents.contains(&child_id) => Err((Code::InvalidArgument, Reason::SelfParent)),
            () => there(&child).and_then(|()| match ancestors(&with, &child_id.value).contains(&child_id.value) {
                true => Err((Code::FailedPrecondition, Reason::LineageCycle)),
                false => Ok(()),
            }),
        };
        let parents = parents.iter().map(|parent| LineageEdge {
            parent: Some(parent.clone()),
            operation: operation.clone(),
            ..Default::default()
        });
        let request = AddLineageRequest { child: Some(child_id.clone()), parents: parents.collect() };
        if held("AddLineage", expected, self.rpc.catalog.add_lineage(request).await).is_some() {
            self.model.edges = with;
        }
    }

    /// What is stored about one payload that is there.
    pub(super) async fn look_at_catalog(&mut self, at: usize) {
        let payload = self.model.payloads[at].clone();
        let id = Some(payload.id.clone());
        let request = GetPayloadMetadataRequest { id: id.clone() };
        let stored = self.rpc.catalog.get_payload_metadata(request).await.unwrap().into_inner().metadata;
        let stored = stored.map(|m| (m.data, m.schema)).filter(|m| *m != Default::default());
        assert_eq!(stored, payload.metadata.filter(|m| *m != Default::default()), "{id:?}");
        let (mut events, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListPayloadMetadataEventsRequest { id: id.clone(), page_size: 2, page_token };
            let page = self.rpc.catalog.list_payload_metadata_events(request).await.unwrap().into_inner();
            events.extend(page.events.into_iter().map(|e| (e.data, e.source)));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(events, payload.events, "{id:?}");
    }

    /// The lineage of anything that was ever named, both ways.
    pub(super) async fn look_at_lineage(&mut self, id: &PayloadId) {
        for upstream in [true, false] {
            let request = GetLineageRequest { id: Some(id.clone()), upstream, max_depth: 0 };
            let edges = self.rpc.catalog.get_lineage(request).await.unwrap().into_inner().edges;
            let told: Vec<Edge> =
                edges.into_iter().map(|e| (e.child.unwrap().value, e.parent.unwrap().value, e.operation)).collect();
            let set: BTreeSet<Edge> = told.iter().cloned().collect();
            assert_eq!(told.len(), set.len(), "an edge was told twice");
            let reached = if upstream {
                ancestors(&self.model.edges, &id.value)
            } else {
                let turned = self.model.edges.iter().map(|(c, p, o)| (p.clone(), c.clone(), o.clone())).collect();
                ancestors(&turned, &id.value)
            };
            let near = |id: &Vec<u8>, own: &Vec<u8>| id == own || reached.contains(id);
            let expected = self.model.edges.iter().filter(|(c, p, _)| near(if upstream { c } else { p }, &id.value));
            assert_eq!(set, expected.cloned().collect(), "upstream {upstream} of {id:?}");
        }
    }
}

fn there(whom: &Whom) -> Result<(), super::model::Refusal> {
    match whom {
        Whom::There(_) => Ok(()),
        Whom::Nobody(_) => Err(NOT_FOUND),
    }
}

/// All that `id` comes from, by these edges from child to parent; itself only if there is a cycle.
fn ancestors(edges: &BTreeSet<Edge>, id: &[u8]) -> BTreeSet<Vec<u8>> {
    let (mut found, mut ask) = (BTreeSet::new(), vec![id.to_vec()]);
    while let Some(child) = ask.pop() {
        for (_, parent, _) in edges.iter().filter(|(c, ..)| *c == child) {
            if found.insert(parent.clone()) {
                ask.push(parent.clone());
            }
        }
    }
    found
}

fn some_bytes(dice: &mut Dice) -> Vec<u8> {
    let length = usize::try_from(dice.below(40)).unwrap();
    std::iter::repeat_with(|| dice.throw().to_le_bytes()[0]).take(length).collect()
}
