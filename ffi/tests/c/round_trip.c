/* A payload made, published, read, renewed and deleted, with everything that is said about it on the way. */
#include "check.h"

static void writes_and_reads(const pm_client *client) {
    pm_create_options options = PM_CREATE_OPTIONS_INIT;
    pm_tag tag = { "frame", "7" };
    pm_payload *payload;
    pm_room room, again;
    pm_id id;
    pm_descriptor made, seen;
    pm_view *view;
    pm_bytes bytes;

    options.tier = PM_TIER_RAM;
    options.ttl_ms = 60000;
    options.priority = PM_PRIORITY_HIGH;
    options.dataset = "frames";
    options.tags = &tag;
    options.tags_len = 1;
    ANSWERS(PM_OK, pm_create(client, 5, &options, &payload, &room));
    ANSWERS(PM_OK, pm_payload_bytes(payload, &again));
    CHECK(room.size == 5 && room.data == again.data && room.device_kind == PM_DEVICE_HOST && room.device == 0);
    ANSWERS(PM_OK, pm_payload_id(payload, &id));
    memcpy(room.data, "hello", 5);
    ANSWERS(PM_OK, pm_payload_commit(payload, &made));
    CHECK(memcmp(&made.id, &id, sizeof id) == 0 && made.size == 5 && made.tier == PM_TIER_RAM);
    CHECK(made.state == PM_STATE_ACTIVE && made.copies == 1u << PM_TIER_RAM && made.expires_ms > made.created_ms);

    ANSWERS(PM_OK, pm_read(client, &id, NULL, &view, &bytes));
    CHECK(bytes.size == 5 && memcmp(bytes.data, "hello", 5) == 0 && bytes.device_kind == PM_DEVICE_HOST);
    CHECK(pm_view_is_valid(view) == 1 && pm_view_time_left_ms(view) > 0);
    ANSWERS(PM_OK, pm_view_renew(view));
    ANSWERS(PM_OK, pm_view_descriptor(view, &seen));
    CHECK(memcmp(&seen.id, &id, sizeof id) == 0);
    ANSWERS(PM_LEASED, pm_delete(client, &id, 0));
    CHECK(pm_last_error_is_retryable() == 1 && strlen(pm_last_error()) > 0);
    ANSWERS(PM_OK, pm_view_release(view));
    ANSWERS(PM_OK, pm_flush(client));

    ANSWERS(PM_OK, pm_resolve(client, &id, &seen));
    ANSWERS(PM_OK, pm_delete(client, &id, 0));
    ANSWERS(PM_PAYLOAD_NOT_FOUND, pm_resolve(client, &id, &seen));
    CHECK(pm_last_error_is_retryable() == 0);
}

static void names_are_text_and_back(const pm_client *client) {
    char text[PM_ID_TEXT_SIZE];
    pm_id id = make(client, "x"), back;
    ANSWERS(PM_OK, pm_id_format(&id, text));
    CHECK(strlen(text) == PM_ID_TEXT_SIZE - 1);
    ANSWERS(PM_OK, pm_id_parse(text, &back));
    CHECK(memcmp(&id, &back, sizeof id) == 0);
    ANSWERS(PM_BAD_ARGUMENT, pm_id_parse("no id", &back));
}

static void what_is_aborted_is_gone(const pm_client *client) {
    pm_payload *payload;
    pm_id id;
    pm_descriptor seen;
    ANSWERS(PM_OK, pm_create(client, 1 << 20, NULL, &payload, NULL));
    ANSWERS(PM_OK, pm_payload_id(payload, &id));
    ANSWERS(PM_OK, pm_payload_abort(payload));
    ANSWERS(PM_PAYLOAD_NOT_FOUND, pm_resolve(client, &id, &seen));
}

static void a_view_outlives_its_client(const char *address) {
    pm_client *client;
    pm_view *view;
    pm_bytes bytes;
    pm_id id;
    ANSWERS(PM_OK, pm_connect(address, NULL, &client));
    id = make(client, "kept");
    ANSWERS(PM_OK, pm_read(client, &id, NULL, &view, &bytes));
    ANSWERS(PM_OK, pm_client_close(client));
    CHECK(memcmp(bytes.data, "kept", 4) == 0 && pm_view_is_valid(view));
    ANSWERS(PM_OK, pm_view_release(view));
}

int main(int argc, char **argv) {
    pm_client *client;
    pm_connect_options options = PM_CONNECT_OPTIONS_INIT;
    CHECK(argc == 2 && pm_abi_version() == PM_ABI_VERSION && strlen(pm_version()) > 0);
    CHECK(strcmp(pm_status_name(PM_OK), "PM_OK") == 0 && pm_status_name(-1) == NULL);
    CHECK(strcmp(pm_last_error(), "") == 0);
    options.deadline_ms = 60000;
    ANSWERS(PM_OK, pm_connect(argv[1], &options, &client));
    CHECK(pm_client_has_session(client) == 1);
    writes_and_reads(client);
    names_are_text_and_back(client);
    what_is_aborted_is_gone(client);
    a_view_outlives_its_client(argv[1]);
    ANSWERS(PM_OK, pm_client_close(client));
    return 0;
}
