/* What is used of dlpack.h 1.0, as its specification has it. */
#ifndef DLPACK_H
#define DLPACK_H

#include <stdint.h>

typedef struct Tensor {
    void *data;
    struct { int32_t type, id; } device;
    int32_t ndim;
    struct { uint8_t code, bits; uint16_t lanes; } dtype;
    int64_t *shape, *strides;
    uint64_t byte_offset;
} Tensor;

typedef struct Managed {
    struct { uint32_t major, minor; } version;
    void *context;
    void (*deleter)(struct Managed *);
    uint64_t flags;
    Tensor tensor;
} Managed;

#endif
