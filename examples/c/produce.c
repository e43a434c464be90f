/*
 * Makes a payload of a file, and prints the name under which every process of this host may read it.
 *
 * Usage: produce FILE
 */
#include <payload_manager.h>

#include <stdio.h>
#include <sys/stat.h>

static int failed(const char *what) {
    fprintf(stderr, "%s: %s\n", what, pm_last_error());
    return 1;
}

/* Reads the file straight into the payload: the bytes are nowhere else, and nobody sees them before the commit. */
static int fill(FILE *file, const pm_room *room) {
    if (fread(room->data, 1, room->size, file) == room->size) return 0;
    fprintf(stderr, "the file can't be read to its end\n");
    return 1;
}

static int publish(const pm_client *client, FILE *file, uint64_t size) {
    pm_create_options options = PM_CREATE_OPTIONS_INIT;
    options.ttl_ms = 3600 * 1000; /* if nobody deletes it, it is gone in an hour */
    options.producer = "examples/c/produce";

    pm_payload *payload;
    pm_room room;
    if (pm_create(client, size, &options, &payload, &room) != PM_OK) return failed("create");
    if (fill(file, &room) != 0) {
        pm_payload_abort(payload); /* as if it had never been */
        return 1;
    }
    pm_descriptor made;
    if (pm_payload_commit(payload, &made) != PM_OK) return failed("commit");

    char id[PM_ID_TEXT_SIZE];
    if (pm_id_format(&made.id, id) != PM_OK) return failed("id");
    puts(id);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: produce FILE\n");
        return 2;
    }
    FILE *file = fopen(argv[1], "rb");
    struct stat about;
    if (file == NULL || stat(argv[1], &about) != 0) {
        perror(argv[1]);
        return 1;
    }
    pm_client *client;
    int code = 1;
    if (pm_connect(NULL, NULL, &client) != PM_OK) {
        failed("connect");
    } else {
        code = publish(client, file, (uint64_t)about.st_size);
        pm_client_close(client);
    }
    fclose(file);
    return code;
}
