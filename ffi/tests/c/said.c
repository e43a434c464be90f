/* Tiers, pins, metadata, lineage, lists and figures. */
#include "check.h"

static void moves(const pm_client *client) {
    pm_spill_options options = PM_SPILL_OPTIONS_INIT;
    pm_id id = make(client, "moved");
    pm_descriptor at;
    pm_stats_info stats;
    options.target = PM_TIER_DISK;
    ANSWERS(PM_OK, pm_spill(client, &id, &options, &at));
    CHECK(at.tier == PM_TIER_DISK && at.copies & 1u << PM_TIER_DISK && at.state == PM_STATE_DURABLE);
    ANSWERS(PM_OK, pm_promote(client, &id, PM_TIER_RAM, 0, &at));
    CHECK(at.tier == PM_TIER_RAM);
    ANSWERS(PM_OK, pm_prefetch(client, &id, PM_TIER_RAM));
    ANSWERS(PM_BAD_ARGUMENT, pm_prefetch(client, &id, 99));
    ANSWERS(PM_OK, pm_pin(client, &id, 0));
    ANSWERS(PM_PINNED, pm_spill(client, &id, &options, NULL));
    ANSWERS(PM_OK, pm_unpin(client, &id));
    ANSWERS(PM_OK, pm_spill(client, &id, NULL, NULL));
    ANSWERS(PM_OK, pm_stats(client, &stats));
    CHECK(stats.tiers[PM_TIER_DISK].payloads >= 1 && stats.tiers[PM_TIER_RAM].capacity > 0 && stats.sessions >= 1);
    CHECK(stats.tiers[PM_TIER_GPU].capacity == 0);
}

static void says(const pm_client *client) {
    pm_id id = make(client, "said");
    pm_metadata_info info = { "{\"a\":1}", 7, "json", NULL, NULL, 0 }, seen;
    pm_metadata *owner;
    pm_metadata_cursor *events;
    ANSWERS(PM_NOTHING, pm_metadata_get(client, &id, &owner, &seen));
    CHECK(owner == NULL);
    ANSWERS(PM_OK, pm_metadata_set(client, &id, &info, 0));
    ANSWERS(PM_OK, pm_metadata_get(client, &id, &owner, &seen));
    CHECK(seen.data_len == 7 && memcmp(seen.data, info.data, 7) == 0 && strcmp(seen.schema, "json") == 0);
    CHECK(seen.at_ms > 0);
    ANSWERS(PM_OK, pm_metadata_close(owner));
    ANSWERS(PM_INVALID_HANDLE, pm_metadata_close(owner));
    info.source = "camera";
    ANSWERS(PM_OK, pm_metadata_append_event(client, &id, &info));
    ANSWERS(PM_OK, pm_metadata_events(client, &id, &events));
    ANSWERS(PM_OK, pm_metadata_events_next(events, &seen));
    CHECK(strcmp(seen.source, "camera") == 0 && strcmp(seen.version, "") == 0 && seen.data_len == 7);
    ANSWERS(PM_END, pm_metadata_events_next(events, &seen));
    ANSWERS(PM_OK, pm_metadata_events_close(events));
    ANSWERS(PM_INVALID_HANDLE, pm_metadata_events_next(events, &seen));
    ANSWERS(PM_NULL_ARGUMENT, pm_metadata_set(client, &id, NULL, 0));
}

static void descends(const pm_client *client) {
    pm_id parent = make(client, "parent"), child = make(client, "child");
    pm_edge edge, seen;
    pm_lineage *lineage;
    memset(&edge, 0, sizeof edge);
    edge.parent = parent;
    edge.operation = "crop";
    edge.parameters = "xy";
    edge.parameters_len = 2;
    ANSWERS(PM_OK, pm_lineage_add(client, &child, &edge, 1));
    ANSWERS(PM_OK, pm_lineage_get(client, &child, 0, 0, &lineage));
    ANSWERS(PM_OK, pm_lineage_next(lineage, &seen));
    CHECK(memcmp(&seen.parent, &parent, sizeof parent) == 0 && memcmp(&seen.child, &child, sizeof child) == 0);
    CHECK(strcmp(seen.operation, "crop") == 0 && strcmp(seen.role, "") == 0 && memcmp(seen.parameters, "xy", 2) == 0);
    ANSWERS(PM_END, pm_lineage_next(lineage, &seen));
    ANSWERS(PM_OK, pm_lineage_close(lineage));
    edge.parent = child;
    ANSWERS(PM_SELF_PARENT, pm_lineage_add(client, &child, &edge, 1));
    ANSWERS(PM_NULL_ARGUMENT, pm_lineage_add(client, &child, NULL, 1));
}

static void lists(const pm_client *client) {
    pm_id id = make(client, "listed");
    pm_list *list;
    pm_summary row;
    int found = 0;
    pm_status status;
    ANSWERS(PM_OK, pm_list_open(client, PM_TIER_ANY, &list));
    while ((status = pm_list_next(list, &row)) == PM_OK) {
        found += memcmp(&row.id, &id, sizeof id) == 0 && row.size == 6 && row.tier == PM_TIER_RAM;
    }
    ANSWERS(PM_END, status);
    CHECK(found == 1);
    ANSWERS(PM_OK, pm_list_close(list));
    ANSWERS(PM_INVALID_HANDLE, pm_list_next(list, &row));
    ANSWERS(PM_INVALID_HANDLE, pm_list_close(list));
}

int main(int argc, char **argv) {
    pm_client *client;
    CHECK(argc == 2);
    ANSWERS(PM_OK, pm_connect(argv[1], NULL, &client));
    moves(client);
    says(client);
    descends(client);
    lists(client);
    ANSWERS(PM_OK, pm_client_close(client));
    return 0;
}
