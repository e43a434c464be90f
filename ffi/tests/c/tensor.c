/* A payload in memory of the host as a tensor: no byte is copied, and it lives as long as the tensor. */
#include "check.h"
#include "dlpack.h"

int main(int count, char **words) {
    pm_client *client;
    pm_view *view;
    pm_bytes bytes;
    void *out;
    pm_dtype floats = { 2, 32, 1 }, nothing = { 2, 0, 1 };
    int64_t shape[2] = { 2, 3 }, large[2] = { 3, 3 }, negative[1] = { -1 };
    CHECK(count == 2);
    ANSWERS(PM_OK, pm_connect(words[1], NULL, &client));
    pm_id id = make(client, "twenty-four bytes, it is");
    ANSWERS(PM_OK, pm_read(client, &id, NULL, &view, &bytes));

    ANSWERS(PM_BAD_ARGUMENT, pm_view_to_dlpack(view, floats, large, 2, &out));
    CHECK(out == NULL);
    ANSWERS(PM_BAD_ARGUMENT, pm_view_to_dlpack(view, nothing, shape, 2, &out));
    ANSWERS(PM_BAD_ARGUMENT, pm_view_to_dlpack(view, floats, negative, 1, &out));
    ANSWERS(PM_NULL_ARGUMENT, pm_view_to_dlpack(view, floats, NULL, 2, &out));
    ANSWERS(PM_OK, pm_view_to_dlpack(view, floats, shape, 2, &out));

    Managed *managed = out;
    CHECK(managed->version.major == 1 && managed->flags == 1);
    CHECK(managed->tensor.data == bytes.data && managed->tensor.device.type == 1 && managed->tensor.byte_offset == 0);
    CHECK(managed->tensor.ndim == 2 && managed->tensor.dtype.code == 2 && managed->tensor.dtype.bits == 32);
    CHECK(managed->tensor.shape[0] == 2 && managed->tensor.shape[1] == 3);
    CHECK(managed->tensor.strides[0] == 3 && managed->tensor.strides[1] == 1);

    ANSWERS(PM_OK, pm_view_release(view));
    CHECK(memcmp(managed->tensor.data, "twenty-four", 11) == 0);
    ANSWERS(PM_LEASED, pm_delete(client, &id, 0));
    managed->deleter(managed);
    ANSWERS(PM_OK, pm_flush(client));
    ANSWERS(PM_OK, pm_delete(client, &id, 0));
    ANSWERS(PM_OK, pm_client_close(client));
    return 0;
}
