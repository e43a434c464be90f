/* A payload on a GPU, through whatever driver the environment names: written, committed after an event, read in place,
 * copied back and exported as a tensor. */
#include "check.h"
#include "dlpack.h"

#include <dlfcn.h>

typedef int (*call)();

static void *driver;

static call find(const char *name) {
    call found;
    void *symbol = dlsym(driver, name);
    CHECK(symbol != NULL);
    memcpy(&found, &symbol, sizeof found);
    return found;
}

int main(int count, char **words) {
    pm_client *client;
    pm_create_options how = PM_CREATE_OPTIONS_INIT;
    pm_read_options where = PM_READ_OPTIONS_INIT;
    pm_payload *payload;
    pm_room room;
    pm_descriptor made;
    pm_view *view;
    pm_bytes bytes;
    pm_dtype octets = { 1, 8, 1 };
    int64_t shape[1] = { 5 };
    char back[5] = { 0 };
    void *context, *event, *out;

    CHECK(count == 2);
    driver = dlopen(getenv("PAYLOAD_MANAGER_CUDA_DRIVER"), RTLD_NOW);
    CHECK(driver != NULL);
    CHECK(((int (*)(unsigned))find("cuInit"))(0) == 0);
    CHECK(((int (*)(void **, int))find("cuDevicePrimaryCtxRetain"))(&context, 0) == 0);
    CHECK(((int (*)(void *))find("cuCtxPushCurrent_v2"))(context) == 0);
    CHECK(((int (*)(void **, unsigned))find("cuEventCreate"))(&event, 0) == 0);

    ANSWERS(PM_OK, pm_connect(words[1], NULL, &client));
    how.tier = PM_TIER_GPU;
    ANSWERS(PM_OK, pm_create(client, 5, &how, &payload, &room));
    CHECK(room.size == 5 && room.device_kind == PM_DEVICE_CUDA && room.device == 0 && room.data != NULL);
    ANSWERS(PM_OK, pm_payload_copy(payload, 0, "HELLO", 5));
    CHECK(pm_payload_copy(payload, 4, "xx", 2) != PM_OK);
    /* As a kernel would: on a stream, with an event after it. */
    int copied = ((int (*)(unsigned long long, const void *, size_t, void *))find("cuMemcpyHtoDAsync_v2"))(
        (unsigned long long)(uintptr_t)room.data, "hello", 5, NULL);
    CHECK(copied == 0 && ((int (*)(void *, void *))find("cuEventRecord"))(event, NULL) == 0);
    ANSWERS(PM_OK, pm_payload_commit_after_event(payload, event, &made));
    CHECK(made.tier == PM_TIER_GPU && made.device_kind == PM_DEVICE_CUDA && made.dies_with_daemon == 1);

    ANSWERS(PM_PLACE, pm_read(client, &made.id, NULL, &view, &bytes));
    where.on_device = 1;
    ANSWERS(PM_OK, pm_read(client, &made.id, &where, &view, &bytes));
    CHECK(bytes.size == 5 && bytes.device_kind == PM_DEVICE_CUDA && bytes.data != NULL);
    ANSWERS(PM_OK, pm_view_copy(view, 0, back, 5));
    CHECK(memcmp(back, "hello", 5) == 0);
    ANSWERS(PM_OK, pm_view_to_dlpack(view, octets, shape, 1, &out));
    Managed *managed = out;
    CHECK(managed->tensor.device.type == 2 && managed->tensor.device.id == 0 && managed->tensor.data == bytes.data);
    ANSWERS(PM_OK, pm_view_release(view));
    managed->deleter(managed);
    /* That of the read that could not be mapped is given back in the background. */
    ANSWERS(PM_OK, pm_flush(client));
    ANSWERS(PM_OK, pm_delete(client, &made.id, 0));

    ANSWERS(PM_OK, pm_create(client, 5, &how, &payload, NULL));
    ANSWERS(PM_NULL_ARGUMENT, pm_payload_commit_after_event(payload, NULL, &made));
    how.device[0] = 9;
    CHECK(pm_create(client, 5, &how, &payload, NULL) != PM_OK);
    ANSWERS(PM_OK, pm_client_close(client));
    return 0;
}
