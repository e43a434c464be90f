/*
 * Writes a payload's bytes to its output, from where they are, and deletes the payload.
 *
 * Usage: consume ID
 */
#include <payload_manager.h>

#include <stdio.h>

static int failed(const char *what) {
    fprintf(stderr, "%s: %s\n", what, pm_last_error());
    return 1;
}

static int take(const pm_client *client, const pm_id *id) {
    pm_view *view;
    pm_bytes bytes; /* where the producer wrote them: no copy was made */
    switch (pm_read(client, id, NULL, &view, &bytes)) {
    case PM_OK:
        break;
    case PM_PAYLOAD_NOT_FOUND: /* statuses are for programs, pm_last_error() is for people */
        fprintf(stderr, "somebody else took it, or its time is over\n");
        return 3;
    default:
        return failed("read");
    }
    int written = fwrite(bytes.data, 1, bytes.size, stdout) == bytes.size && fflush(stdout) == 0;
    pm_view_release(view); /* `bytes` is not to be followed any more */
    if (!written) {
        perror("output");
        return 1;
    }
    return pm_delete(client, id, 0) == PM_OK ? 0 : failed("delete");
}

int main(int argc, char **argv) {
    pm_id id;
    if (argc != 2 || pm_id_parse(argv[1], &id) != PM_OK) {
        fprintf(stderr, "usage: consume ID\n");
        return 2;
    }
    pm_client *client;
    if (pm_connect(NULL, NULL, &client) != PM_OK) return failed("connect");
    int code = take(client, &id);
    pm_client_close(client);
    return code;
}
