/*
 * Sends texts through a stream, or follows one and goes on where its group stopped the last time.
 *
 * Usage: stream append NAME TEXT...
 *        stream follow NAME GROUP COUNT
 */
#include <payload_manager.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const char *what) {
    fprintf(stderr, "%s: %s\n", what, pm_last_error());
    return 1;
}

static int append(const pm_client *client, const char *stream, const char *text) {
    pm_create_options options = PM_CREATE_OPTIONS_INIT;
    options.ttl_ms = 3600 * 1000; /* those who follow have an hour */

    pm_payload *payload;
    pm_room room;
    pm_descriptor made;
    if (pm_create(client, strlen(text), &options, &payload, &room) != PM_OK) return failed("create");
    memcpy(room.data, text, room.size);
    if (pm_payload_commit(payload, &made) != PM_OK) return failed("commit");

    pm_tag tag = { "language", "C" }; /* words of one's own, for those who follow */
    pm_entry entry;
    memset(&entry, 0, sizeof entry); /* what is 0 is not said */
    entry.id = made.id;
    entry.tags = &tag;
    entry.tags_len = 1;
    return pm_stream_append(client, stream, &entry, 1, NULL) == PM_OK ? 0 : failed("append");
}

static int append_all(const pm_client *client, const char *stream, char **texts) {
    pm_status status = pm_stream_create(client, stream, 1000, 0); /* the newest thousand are kept */
    if (status != PM_OK && status != PM_STREAM_EXISTS) return failed("create the stream");
    for (; *texts != NULL; texts++) {
        if (append(client, stream, *texts) != 0) return 1;
    }
    return 0;
}

static int show(const pm_client *client, const pm_entry *entry) {
    pm_view *view;
    pm_bytes bytes;
    if (pm_read(client, &entry->id, NULL, &view, &bytes) != PM_OK) return failed("read");
    printf("%lu: %.*s\n", (unsigned long)entry->offset, (int)bytes.size, (const char *)bytes.data);
    pm_view_release(view);
    return 0;
}

static int follow(const pm_client *client, const char *stream, const char *group, long count) {
    pm_subscribe_options options = PM_SUBSCRIBE_OPTIONS_INIT;
    options.group = group;
    pm_subscription *entries;
    if (pm_subscribe(client, stream, &options, &entries) != PM_OK) return failed("subscribe");
    int code = 0;
    while (code == 0 && count-- > 0) {
        pm_entry entry; /* what it points to is good until the next pm_subscription_next */
        if (pm_subscription_next(entries, PM_FOREVER, &entry) != PM_OK) {
            code = failed("next");
        } else if ((code = show(client, &entry)) == 0 && pm_subscription_commit(entries, entry.offset) != PM_OK) {
            code = failed("commit");
        }
    }
    pm_subscription_close(entries);
    return code;
}

int main(int argc, char **argv) {
    int appends = argc >= 4 && strcmp(argv[1], "append") == 0;
    if (!appends && !(argc == 5 && strcmp(argv[1], "follow") == 0)) {
        fprintf(stderr, "usage: stream append NAME TEXT...\n       stream follow NAME GROUP COUNT\n");
        return 2;
    }
    pm_client *client;
    if (pm_connect(NULL, NULL, &client) != PM_OK) return failed("connect");
    int code = appends ? append_all(client, argv[2], argv + 3)
                       : follow(client, argv[2], argv[3], strtol(argv[4], NULL, 10));
    pm_client_close(client);
    return code;
}
