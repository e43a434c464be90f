// What comes one after the other: streams, lists, lineage and events, and the calls around them. With exceptions.
#include "check.hpp"

#include <algorithm>
#include <thread>

using namespace std::chrono_literals;

namespace {

void streams_are_followed(const pm::Client &client) {
    const pm::Id id = make(client, "frame");
    pm_tag tag = {"camera", "left"};
    pm_entry tagged{};
    tagged.id = id;
    tagged.tags = &tag;
    tagged.tags_len = 1;
    client.create_stream("lab/frames", 100, 1h);
    CHECK(thrown([&] { client.create_stream("lab/frames"); }) == PM_STREAM_EXISTS);
    pm::Subscription all = client.subscribe("lab/frames");
    CHECK(!all.next(1ms));
    CHECK(client.append("lab/frames", id) == 0 && client.append("lab/frames", {tagged, tagged}) == 1);
    std::uint64_t seen = 0;
    for (const pm_entry &entry : all) {
        CHECK(entry.offset == seen && entry.id == id && entry.tags_len == (seen > 0 ? 1 : 0));
        CHECK(entry.tags_len == 0 || std::strcmp(entry.tags->value, "left") == 0);
        if (++seen == 3) break;
    }
    pm::Subscription moved = std::move(all);
    CHECK(thrown([&] { all.next(0ms); }) == PM_INVALID_HANDLE && thrown([&] { all.begin(); }) == PM_INVALID_HANDLE);
    std::thread later([&] { client.append("lab/frames", id); });
    const std::optional<pm_entry> next = moved.next();
    later.join();
    CHECK(next && next->offset == 3 && thrown([&] { moved.commit(3); }) == PM_BAD_ARGUMENT);
}

void groups_go_on(const pm::Client &client) {
    pm::SubscribeOptions options;
    options.group = "viewers";
    CHECK(!client.committed("lab/frames", "viewers"));
    client.subscribe("lab/frames", options).commit(1);
    CHECK(client.committed("lab/frames", "viewers") == 2u);
    pm::Subscription group = client.subscribe("lab/frames", options);
    CHECK(group.begin()->offset == 2);
    // A stream that is gone ends those who follow it with an error.
    client.remove_stream("lab/frames");
    CHECK(thrown([&] { for (const pm_entry &entry : group) CHECK(entry.offset == 3); }) == PM_STREAM_NOT_FOUND);
    CHECK(thrown([&] { client.subscribe("lab/frames"); }) == PM_STREAM_NOT_FOUND);
}

void the_rest_are_ranges_too(const pm::Client &client) {
    const pm::Id parent = make(client, "parent"), child = make(client, "child");
    pm::List list = client.list(PM_TIER_RAM);
    const auto is_child = [&](const pm_summary &row) { return row.id == child && row.size == 5; };
    CHECK(std::find_if(list.begin(), list.end(), is_child) != list.end());
    std::size_t rows = 0;
    for (const pm_summary &row : client.list()) rows += row.id == child || row.id == parent;
    CHECK(rows == 2);

    pm_edge edge{};
    edge.parent = parent;
    edge.operation = "crop";
    client.add_lineage(child, {edge});
    pm::Lineage made_from = client.ancestors(child, 1);
    const std::optional<pm_edge> first = made_from.next();
    CHECK(first && first->parent == parent && std::strcmp(first->operation, "crop") == 0 && !made_from.next());
    for (const pm_edge &made : client.descendants(parent)) CHECK(made.child == child);

    CHECK(!client.metadata(child));
    pm_metadata_info said{};
    said.data = "{}";
    said.data_len = 2;
    client.set_metadata(child, said);
    said.data_len = 0;
    said.schema = "json";
    client.merge_metadata(child, said);
    const std::optional<pm::Metadata> metadata = client.metadata(child);
    CHECK(metadata && (*metadata)->data_len == 2 && std::strcmp((*metadata)->schema, "json") == 0);
    client.append_event(child, said);
    for (const pm_metadata_info &event : client.events(child)) CHECK(std::strcmp(event.schema, "json") == 0);
}

void payloads_are_moved(const pm::Client &client) {
    pm::CreateOptions how;
    how.ttl_ms = 60000;
    pm::Payload payload = client.create(6, how);
    std::memcpy(payload.data(), "travel", 6);
    const pm_descriptor made = std::move(payload).commit();
    CHECK(made.expires_ms > made.created_ms);
    client.pin(made.id, 1min);
    CHECK(thrown([&] { client.spill(made.id); }) == PM_PINNED);
    client.unpin(made.id);
    CHECK(client.spill(made.id)->tier == PM_TIER_DISK);
    CHECK(client.promote(made.id, PM_TIER_RAM).tier == PM_TIER_RAM && client.resolve(made.id).tier == PM_TIER_RAM);
    client.prefetch(made.id, PM_TIER_RAM);
    pm::SpillOptions away;
    away.target = PM_TIER_VOID;
    CHECK(!client.spill(made.id, away) && !client.try_resolve(made.id));
    const pm::Id read = make(client, "read");
    const pm::View view = client.read(read);
    client.remove_by_force(read);
    CHECK(!client.try_read(read) && holds(view, "read"));
}

} // namespace

int main(int argc, char **argv) {
    CHECK(argc == 2);
    const pm::Client client = pm::Client::connect(argv[1]);
    streams_are_followed(client);
    groups_go_on(client);
    the_rest_are_ranges_too(client);
    payloads_are_moved(client);
    CHECK(client.stats().tiers[PM_TIER_RAM].capacity > 0);
}
