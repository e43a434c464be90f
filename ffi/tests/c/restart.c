/* The daemon goes and comes back while a view is held: its bytes stay, calls say what is the matter, and all goes on. */
#include "check.h"

int main(int argc, char **argv) {
    pm_client *client, *none;
    pm_view *view, *again;
    pm_bytes bytes;
    pm_payload *payload;
    pm_id id;
    CHECK(argc == 2);
    ANSWERS(PM_OK, pm_connect(argv[1], NULL, &client));
    id = make(client, "hello");
    ANSWERS(PM_OK, pm_read(client, &id, NULL, &view, &bytes));

    turn("stop the daemon");
    CHECK(memcmp(bytes.data, "hello", 5) == 0);
    ANSWERS(PM_UNREACHABLE, pm_connect(argv[1], NULL, &none));
    CHECK(none == NULL && pm_last_error_is_retryable());
    CHECK(pm_create(client, 1, NULL, &payload, NULL) != PM_OK && payload == NULL && pm_last_error_is_retryable());

    turn("start it again");
    CHECK(memcmp(bytes.data, "hello", 5) == 0 && pm_view_is_valid(view));
    ANSWERS(PM_OK, pm_read(client, &id, NULL, &again, &bytes));
    CHECK(memcmp(bytes.data, "hello", 5) == 0);
    ANSWERS(PM_OK, pm_view_release(again));
    ANSWERS(PM_OK, pm_view_release(view));
    ANSWERS(PM_OK, pm_flush(client));
    ANSWERS(PM_OK, pm_delete(client, &id, 0));
    id = make(client, "and on");

    turn("stop the daemon");
    /* Nobody is there to be told: closing still ends. */
    ANSWERS(PM_OK, pm_client_close(client));
    return 0;
}
