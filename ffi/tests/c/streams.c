/* Streams: appended to, followed with and without patience, and gone on with after what a group has committed. */
#include <pthread.h>

#include "check.h"

static void *waits(void *given) {
    pm_entry entry;
    ANSWERS(PM_OK, pm_subscription_next(given, PM_FOREVER, &entry));
    CHECK(entry.offset == 2);
    return NULL;
}

static void follows(const pm_client *client, pm_id id) {
    pm_tag tag = { "camera", "left" };
    pm_entry entries[2], seen;
    pm_subscription *all;
    pthread_t thread;
    uint64_t first = 7;
    memset(entries, 0, sizeof entries);
    entries[0].id = entries[1].id = id;
    entries[1].tags = &tag;
    entries[1].tags_len = 1;
    entries[1].has_event_time = 1;
    entries[1].event_seconds = 1700000000;
    ANSWERS(PM_OK, pm_subscribe(client, "lab/frames", NULL, &all));
    ANSWERS(PM_TIMEOUT, pm_subscription_next(all, 1, &seen));
    ANSWERS(PM_OK, pm_stream_append(client, "lab/frames", entries, 2, &first));
    CHECK(first == 0);
    ANSWERS(PM_OK, pm_subscription_next(all, PM_FOREVER, &seen));
    CHECK(seen.offset == 0 && seen.tags_len == 0 && seen.has_event_time == 0 && seen.append_ms > 0);
    ANSWERS(PM_OK, pm_subscription_next(all, 60000, &seen));
    CHECK(seen.offset == 1 && memcmp(&seen.id, &id, sizeof id) == 0 && seen.event_seconds == 1700000000);
    CHECK(seen.tags_len == 1 && strcmp(seen.tags[0].key, "camera") == 0 && strcmp(seen.tags[0].value, "left") == 0);
    CHECK(pthread_create(&thread, NULL, waits, all) == 0);
    ANSWERS(PM_OK, pm_stream_append(client, "lab/frames", entries, 1, NULL));
    CHECK(pthread_join(thread, NULL) == 0);
    ANSWERS(PM_BAD_ARGUMENT, pm_subscription_commit(all, 0));
    ANSWERS(PM_OK, pm_subscription_close(all));
    ANSWERS(PM_INVALID_HANDLE, pm_subscription_next(all, 0, &seen));
    ANSWERS(PM_INVALID_HANDLE, pm_subscription_close(all));
}

static void goes_on(const pm_client *client) {
    pm_subscribe_options options = PM_SUBSCRIBE_OPTIONS_INIT;
    pm_subscription *group;
    pm_entry seen;
    uint64_t next;
    options.group = "viewers";
    ANSWERS(PM_NOTHING, pm_stream_committed(client, "lab/frames", "viewers", &next));
    ANSWERS(PM_OK, pm_subscribe(client, "lab/frames", &options, &group));
    ANSWERS(PM_OK, pm_subscription_next(group, 60000, &seen));
    CHECK(seen.offset == 0);
    ANSWERS(PM_OK, pm_subscription_commit(group, seen.offset));
    ANSWERS(PM_OK, pm_subscription_close(group));
    ANSWERS(PM_OK, pm_stream_committed(client, "lab/frames", "viewers", &next));
    CHECK(next == 1);
    ANSWERS(PM_OK, pm_subscribe(client, "lab/frames", &options, &group));
    ANSWERS(PM_OK, pm_subscription_next(group, 60000, &seen));
    CHECK(seen.offset == 1);
    ANSWERS(PM_OK, pm_subscription_close(group));
    options.group = NULL;
    options.start = 9;
    ANSWERS(PM_BAD_ARGUMENT, pm_subscribe(client, "lab/frames", &options, &group));
}

int main(int argc, char **argv) {
    pm_client *client;
    pm_subscription *none;
    CHECK(argc == 2);
    ANSWERS(PM_OK, pm_connect(argv[1], NULL, &client));
    ANSWERS(PM_BAD_STREAM_NAME, pm_stream_create(client, "", 0, 0));
    ANSWERS(PM_OK, pm_stream_create(client, "lab/frames", 0, 0));
    ANSWERS(PM_STREAM_EXISTS, pm_stream_create(client, "lab/frames", 0, 0));
    follows(client, make(client, "frame"));
    goes_on(client);
    ANSWERS(PM_OK, pm_stream_delete(client, "lab/frames"));
    ANSWERS(PM_STREAM_NOT_FOUND, pm_subscribe(client, "lab/frames", NULL, &none));
    CHECK(none == NULL);
    ANSWERS(PM_OK, pm_client_close(client));
    return 0;
}
