/* In a child, bytes stay readable, handles of the parent are answered, and a connection of its own works. */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void child(const char *address, pm_client *client, pm_view *view, pm_bytes bytes, pm_payload *payload, pm_id id) {
    pm_client *own;
    pm_view *again;
    pm_payload *none;
    CHECK(memcmp(bytes.data, "hello", 5) == 0);
    ANSWERS(PM_FORKED, pm_read(client, &id, NULL, &again, NULL));
    ANSWERS(PM_FORKED, pm_create(client, 1, NULL, &none, NULL));
    CHECK(pm_client_has_session(client) == 0);
    CHECK(pm_payload_commit(payload, NULL) != PM_OK);
    ANSWERS(PM_OK, pm_view_release(view));
    ANSWERS(PM_OK, pm_client_close(client));

    ANSWERS(PM_OK, pm_connect(address, NULL, &own));
    ANSWERS(PM_OK, pm_read(own, &id, NULL, &again, &bytes));
    CHECK(memcmp(bytes.data, "hello", 5) == 0);
    ANSWERS(PM_OK, pm_view_release(again));
    ANSWERS(PM_OK, pm_client_close(own));
}

int main(int argc, char **argv) {
    pm_client *client;
    pm_view *view;
    pm_bytes bytes;
    pm_payload *payload;
    pm_room room;
    pm_descriptor made;
    pm_id id;
    int status;
    pid_t pid;
    CHECK(argc == 2);
    ANSWERS(PM_OK, pm_connect(argv[1], NULL, &client));
    id = make(client, "hello");
    ANSWERS(PM_OK, pm_read(client, &id, NULL, &view, &bytes));
    ANSWERS(PM_OK, pm_create(client, 4, NULL, &payload, &room));
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        child(argv[1], client, view, bytes, payload, id);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    /* Nothing that the child did was done to us. */
    CHECK(pm_view_is_valid(view));
    ANSWERS(PM_LEASED, pm_delete(client, &id, 0));
    memcpy(room.data, "mine", 4);
    ANSWERS(PM_OK, pm_payload_commit(payload, &made));
    ANSWERS(PM_OK, pm_view_release(view));
    ANSWERS(PM_OK, pm_client_close(client));
    return 0;
}
