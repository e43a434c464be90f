/* What a program does wrong is answered, not crashed on: null, what is closed, what never was, and what is busy. */
#include <pthread.h>

#include "check.h"

#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void null_is_answered(const pm_client *client, const char *address) {
    pm_client *none;
    pm_payload *payload;
    pm_view *view = (pm_view *)&none;
    pm_bytes bytes;
    pm_id id = make(client, "x");
    ANSWERS(PM_NULL_ARGUMENT, pm_connect(address, NULL, NULL));
    ANSWERS(PM_INVALID_HANDLE, pm_client_close(NULL));
    ANSWERS(PM_INVALID_HANDLE, pm_create(NULL, 1, NULL, &payload, NULL));
    CHECK(payload == NULL);
    ANSWERS(PM_NULL_ARGUMENT, pm_create(client, 1, NULL, NULL, NULL));
    ANSWERS(PM_NULL_ARGUMENT, pm_read(client, NULL, NULL, &view, &bytes));
    CHECK(view == NULL);
    ANSWERS(PM_NULL_ARGUMENT, pm_read(client, &id, NULL, NULL, &bytes));
    ANSWERS(PM_INVALID_HANDLE, pm_payload_commit(NULL, NULL));
    ANSWERS(PM_INVALID_HANDLE, pm_payload_abort(NULL));
    ANSWERS(PM_INVALID_HANDLE, pm_view_bytes(NULL, &bytes));
    ANSWERS(PM_INVALID_HANDLE, pm_view_release(NULL));
    CHECK(pm_view_is_valid(NULL) == 0 && pm_view_time_left_ms(NULL) == 0 && pm_client_has_session(NULL) == 0);
    ANSWERS(PM_INVALID_HANDLE, pm_client_with_trace(NULL, NULL, NULL, &none));
    CHECK(none == NULL);
    ANSWERS(PM_NULL_ARGUMENT, pm_client_with_trace(client, NULL, NULL, NULL));
    ANSWERS(PM_BAD_ARGUMENT, pm_client_with_trace(client, "no trace", NULL, &none));
    ANSWERS(PM_BAD_ARGUMENT, pm_client_with_trace(client, TRACE, "a=\n", &none));
    ANSWERS(PM_NULL_ARGUMENT, pm_id_parse(NULL, &id));
    ANSWERS(PM_NULL_ARGUMENT, pm_id_format(&id, NULL));
}

static void a_traced_one_is_one_of_its_own(const char *address) {
    pm_client *client, *traced, *untraced;
    pm_payload *payload;
    pm_id id;
    ANSWERS(PM_OK, pm_connect(address, NULL, &client));
    ANSWERS(PM_OK, pm_client_with_trace(client, TRACE, "a=1", &traced));
    ANSWERS(PM_OK, pm_client_with_trace(traced, NULL, NULL, &untraced));
    ANSWERS(PM_OK, pm_create(traced, 1, NULL, &payload, NULL));
    ANSWERS(PM_OK, pm_client_close(client));
    ANSWERS(PM_INVALID_HANDLE, pm_client_close(client));
    ANSWERS(PM_OK, pm_client_close(traced));
    ANSWERS(PM_OK, pm_payload_commit(payload, NULL));
    id = make(untraced, "x");
    ANSWERS(PM_OK, pm_delete(untraced, &id, 0));
    ANSWERS(PM_OK, pm_client_close(untraced));
}

static void what_is_closed_is_closed(const char *address) {
    pm_client *client;
    pm_payload *payload;
    pm_view *view, *second;
    pm_bytes bytes;
    pm_room room;
    pm_descriptor made;
    pm_id id;
    ANSWERS(PM_OK, pm_connect(address, NULL, &client));
    id = make(client, "x");
    ANSWERS(PM_OK, pm_read(client, &id, NULL, &view, NULL));
    ANSWERS(PM_OK, pm_view_release(view));
    ANSWERS(PM_INVALID_HANDLE, pm_view_release(view));
    ANSWERS(PM_INVALID_HANDLE, pm_view_bytes(view, &bytes));
    ANSWERS(PM_INVALID_HANDLE, pm_view_renew(view));
    /* The next one may take its place: the old handle still is not the new one. */
    ANSWERS(PM_OK, pm_read(client, &id, NULL, &second, NULL));
    ANSWERS(PM_INVALID_HANDLE, pm_view_release(view));
    CHECK(pm_view_is_valid(second) && !pm_view_is_valid(view));
    ANSWERS(PM_OK, pm_view_release(second));

    ANSWERS(PM_OK, pm_create(client, 1, NULL, &payload, NULL));
    ANSWERS(PM_OK, pm_payload_commit(payload, &made));
    ANSWERS(PM_INVALID_HANDLE, pm_payload_commit(payload, &made));
    ANSWERS(PM_INVALID_HANDLE, pm_payload_abort(payload));
    ANSWERS(PM_INVALID_HANDLE, pm_payload_bytes(payload, &room));

    ANSWERS(PM_OK, pm_client_close(client));
    ANSWERS(PM_INVALID_HANDLE, pm_client_close(client));
    ANSWERS(PM_INVALID_HANDLE, pm_create(client, 1, NULL, &payload, NULL));
    ANSWERS(PM_INVALID_HANDLE, pm_read(client, &id, NULL, &view, NULL));
}

static void what_is_made_up_is_answered(pm_client *client) {
    int local = 0;
    void *heap = malloc(64);
    ANSWERS(PM_INVALID_HANDLE, pm_view_release((pm_view *)(void *)&local));
    ANSWERS(PM_INVALID_HANDLE, pm_view_release((pm_view *)heap));
    ANSWERS(PM_INVALID_HANDLE, pm_view_release((pm_view *)(uintptr_t)3));
    ANSWERS(PM_INVALID_HANDLE, pm_view_release((pm_view *)(void *)client));
    ANSWERS(PM_INVALID_HANDLE, pm_payload_abort((pm_payload *)UINTPTR_MAX));
    free(heap);
}

static void options_are_checked(const pm_client *client) {
    struct {
        pm_read_options known;
        uint64_t newer;
    } longer = { PM_READ_OPTIONS_INIT, 0 };
    pm_read_options options = PM_READ_OPTIONS_INIT;
    pm_create_options create = PM_CREATE_OPTIONS_INIT;
    pm_id id = make(client, "x");
    pm_view *view;
    pm_payload *payload;
    longer.known.size = sizeof longer;
    ANSWERS(PM_OK, pm_read(client, &id, &longer.known, &view, NULL));
    ANSWERS(PM_OK, pm_view_release(view));
    longer.newer = 1;
    ANSWERS(PM_BAD_ARGUMENT, pm_read(client, &id, &longer.known, &view, NULL));
    options.size = 0;
    ANSWERS(PM_BAD_ARGUMENT, pm_read(client, &id, &options, &view, NULL));
    options.size = sizeof options;
    options.min_tier = 77;
    ANSWERS(PM_BAD_ARGUMENT, pm_read(client, &id, &options, &view, NULL));
    create.tags_len = 1;
    ANSWERS(PM_NULL_ARGUMENT, pm_create(client, 1, &create, &payload, NULL));
    create.tags_len = 0;
    create.dataset = "\xff";
    ANSWERS(PM_BAD_ARGUMENT, pm_create(client, 1, &create, &payload, NULL));
    ANSWERS(PM_SIZE_ZERO, pm_create(client, 0, NULL, &payload, NULL));
}

struct shared {
    const pm_client *client;
    pm_view *view;
    pm_id id;
    int released;
};

static void *reads_and_releases(void *given) {
    struct shared *shared = given;
    pm_view *own;
    pm_bytes bytes;
    for (int i = 0; i < 500; i++) {
        ANSWERS(PM_OK, pm_read(shared->client, &shared->id, NULL, &own, &bytes));
        CHECK(memcmp(bytes.data, "shared", 6) == 0);
        ANSWERS(PM_OK, pm_view_release(own));
        pm_view_is_valid(shared->view);
        pm_view_time_left_ms(shared->view);
    }
    shared->released = pm_view_release(shared->view) == PM_OK;
    CHECK(shared->released || strlen(pm_last_error()) > 0);
    return NULL;
}

static void threads_may_do_anything_at_once(const pm_client *client) {
    pthread_t threads[4];
    struct shared shared[4];
    pm_id id = make(client, "shared");
    pm_view *view;
    int released = 0;
    ANSWERS(PM_OK, pm_read(client, &id, NULL, &view, NULL));
    for (int i = 0; i < 4; i++) {
        shared[i] = (struct shared){ client, view, id, 0 };
        CHECK(pthread_create(&threads[i], NULL, reads_and_releases, &shared[i]) == 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        released += shared[i].released;
    }
    CHECK(released == 1);
    ANSWERS(PM_OK, pm_flush(client));
    ANSWERS(PM_OK, pm_delete(client, &id, 0));
}

int main(int argc, char **argv) {
    pm_client *client;
    CHECK(argc == 2);
    ANSWERS(PM_OK, pm_connect(argv[1], NULL, &client));
    null_is_answered(client, argv[1]);
    a_traced_one_is_one_of_its_own(argv[1]);
    what_is_closed_is_closed(argv[1]);
    what_is_made_up_is_answered(client);
    options_are_checked(client);
    threads_may_do_anything_at_once(client);
    ANSWERS(PM_OK, pm_client_close(client));
    return 0;
}
