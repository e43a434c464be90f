//! Calls about streams.

use payload_manager_api::Reason;
use payload_manager_api::core::v1::PayloadId;
use payload_manager_api::runtime::v1::{
    CommitRequest, CreateStreamRequest, DeleteStreamRequest, GetCommittedRequest, GetRangeRequest, GetStreamRequest,
    ListStreamsRequest, ReadRequest, StreamEntry,
};
use payload_manager_tests::crash::Dice;
use payload_manager_tests::rpc::stream;
use tonic::Code;

use super::model::{Refusal, Stream, World, held};

const NAMES: [&str; 4] = ["frames", "a stream with spaces", "größe/2", "x"];
const GROUPS: [&str; 3] = ["one", "two", "three"];
const NO_STREAM: Refusal = (Code::NotFound, Reason::StreamNotFound);

impl World {
    pub(super) async fn create_or_delete_stream(&mut self, dice: &mut Dice) {
        let name = dice.pick(&NAMES).unwrap();
        if dice.one_in(4) {
            let request = DeleteStreamRequest { stream: Some(stream(name)) };
            held("DeleteStream", Ok(()), self.rpc.stream.delete_stream(request).await);
            self.model.streams.remove(name);
            return;
        }
        let keep = dice.pick(&[0, 0, 3, 10]).unwrap();
        let exists = self.model.streams.contains_key(name);
        let expected = if exists { Err((Code::AlreadyExists, Reason::StreamExists)) } else { Ok(()) };
        let request =
            CreateStreamRequest { stream: Some(stream(name)), retention_max_entries: keep, ..Default::default() };
        if held("CreateStream", expected, self.rpc.stream.create_stream(request).await).is_some() {
            self.model.streams.insert(name.to_owned(), Stream { keep, ..Stream::default() });
        }
    }

    pub(super) async fn append(&mut self, dice: &mut Dice) {
        let name = dice.pick(&NAMES).unwrap();
        let items: Vec<_> = (0..dice.below(5)).map(|_| self.whom(dice)).collect();
        let ids: Vec<PayloadId> = items.iter().map(|whom| self.id(whom)).collect();
        let bad = items.iter().find_map(|whom| self.committed(whom).err());
        let expected = match self.model.streams.get(name) {
            None => Err(NO_STREAM),
            Some(_) => bad.map_or(Ok(()), Err),
        };
        let answer = held("Append", expected, self.rpc.append(name, &ids).await);
        let (Some((first, last)), Some(known)) = (answer, self.model.streams.get_mut(name)) else { return };
        if ids.is_empty() {
            return;
        }
        assert_eq!(first, known.next());
        known.entries.extend(ids);
        assert_eq!(last + 1, known.next());
        if known.keep > 0 {
            known.first = known.first.max(known.next().saturating_sub(known.keep));
        }
    }

    pub(super) async fn commit_offset(&mut self, dice: &mut Dice) {
        let (name, group) = (dice.pick(&NAMES).unwrap(), dice.pick(&GROUPS).unwrap().to_owned());
        let known = self.model.streams.get(name);
        let offset = dice.below(known.map_or(0, Stream::next) + 3);
        let expected = match known {
            None => Err(NO_STREAM),
            Some(known) if offset > known.next() => Err((Code::OutOfRange, Reason::OffsetBeyondEnd)),
            Some(_) => Ok(()),
        };
        let request = CommitRequest { stream: Some(stream(name)), consumer_group: group.clone(), offset };
        if held("Commit", expected, self.rpc.stream.commit(request).await).is_some() {
            self.model.streams.get_mut(name).unwrap().groups.insert(group, offset);
        }
    }

    pub(super) async fn read(&mut self, dice: &mut Dice) {
        let name = dice.pick(&NAMES).unwrap();
        let known = self.model.streams.get(name).cloned();
        let next = known.as_ref().map_or(0, Stream::next);
        let (start, end) = (dice.below(next + 3), dice.below(next + 3));
        if dice.one_in(2) {
            self.range(name, known, start, end).await;
            return;
        }
        let most = dice.below(6);
        let expected = match &known {
            None => Err(NO_STREAM),
            // 0 is also the oldest kept one.
            Some(s) if start > 0 && start < s.first => Err((Code::OutOfRange, Reason::OffsetRemoved)),
            Some(s) if start > s.next() => Err((Code::OutOfRange, Reason::OffsetBeyondEnd)),
            Some(_) => Ok(()),
        };
        let request =
            ReadRequest { stream: Some(stream(name)), start_offset: start, max_entries: most, ..Default::default() };
        let answer = held("Read", expected, self.rpc.stream.read(request).await);
        if let (Some(answer), Some(known)) = (answer, known) {
            let from = start.max(known.first);
            let to = if most == 0 { known.next() } else { known.next().min(from + most) };
            same(&known, from..to, answer.into_inner().entries);
        }
    }

    async fn range(&mut self, name: &str, known: Option<Stream>, start: u64, end: u64) {
        let expected = match &known {
            _ if end < start => Err((Code::InvalidArgument, Reason::BadRange)),
            None => Err(NO_STREAM),
            Some(s) if start < s.first => Err((Code::FailedPrecondition, Reason::RangeCut)),
            Some(_) => Ok(()),
        };
        let request = GetRangeRequest { stream: Some(stream(name)), start_offset: start, end_offset: end };
        let answer = held("GetRange", expected, self.rpc.stream.get_range(request).await);
        if let (Some(answer), Some(known)) = (answer, known) {
            same(&known, start..known.next().min(end + 1), answer.into_inner().entries);
        }
    }

    /// Every stream, with its bounds, entries and groups.
    pub(super) async fn look_at_streams(&mut self) {
        let listed = self.rpc.stream.list_streams(ListStreamsRequest::default()).await.unwrap().into_inner();
        let names: Vec<String> = listed.streams.into_iter().map(|s| s.stream.unwrap().name).collect();
        assert_eq!(names, self.model.streams.keys().cloned().collect::<Vec<_>>());
        for (name, known) in self.model.streams.clone() {
            let request = GetStreamRequest { stream: Some(stream(&name)) };
            let found = self.rpc.stream.get_stream(request).await.unwrap().into_inner();
            let info = found.info.unwrap();
            assert_eq!((info.first_offset, info.next_offset), (known.first, known.next()), "{name}");
            assert_eq!(info.retention_max_entries, known.keep);
            let groups: Vec<(String, u64)> = found.groups.into_iter().map(|g| (g.name, g.committed_offset)).collect();
            assert_eq!(groups, known.groups.clone().into_iter().collect::<Vec<_>>(), "{name}");
            for group in GROUPS {
                let request = GetCommittedRequest { stream: Some(stream(&name)), consumer_group: group.to_owned() };
                let said = self.rpc.stream.get_committed(request).await.unwrap().into_inner();
                assert_eq!(said.has_commit.then_some(said.offset), known.groups.get(group).copied(), "{name} {group}");
            }
            let request = ReadRequest { stream: Some(stream(&name)), ..Default::default() };
            let entries = self.rpc.stream.read(request).await.unwrap().into_inner().entries;
            same(&known, known.first..known.next(), entries);
        }
    }
}

/// These are the entries at these offsets.
fn same(known: &Stream, offsets: std::ops::Range<u64>, entries: Vec<StreamEntry>) {
    let expected = offsets.map(|offset| (offset, known.entries[usize::try_from(offset).unwrap()].clone()));
    let told = entries.into_iter().map(|entry| (entry.offset, entry.payload_id.unwrap()));
    assert_eq!(told.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}
