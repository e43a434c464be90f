/* Speaks to the driver, as one process or as two: `two <library> <what to do> [<what the other one has said>]`. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t address;
typedef struct {
    unsigned char bytes[64];
} ipc;
typedef struct {
    int type, handle_types, place, id;
    void *unused;
    unsigned char flags[8];
} properties;
typedef struct {
    int place, id, flags;
} rights;

enum { MIB = 1 << 20, BLOCK = 2 * MIB };

#define CALLS(call)                                                                                        \
    call(cuInit, (unsigned)) call(cuDriverGetVersion, (int *)) call(cuGetErrorName, (int, const char **))  \
    call(cuGetErrorString, (int, const char **)) call(cuDeviceGetCount, (int *)) call(cuDeviceGet, (int *, int)) \
    call(cuDeviceGetName, (char *, int, int)) call(cuDeviceGetUuid_v2, (unsigned char *, int))             \
    call(cuDeviceTotalMem_v2, (size_t *, int)) call(cuDeviceGetAttribute, (int *, int, int))               \
    call(cuDevicePrimaryCtxRetain, (void **, int)) call(cuDevicePrimaryCtxRelease_v2, (int))               \
    call(cuCtxPushCurrent_v2, (void *)) call(cuCtxPopCurrent_v2, (void **)) call(cuCtxGetCurrent, (void **)) \
    call(cuCtxGetDevice, (int *)) call(cuCtxSynchronize, (void)) call(cuMemGetInfo_v2, (size_t *, size_t *)) \
    call(cuMemAlloc_v2, (address *, size_t)) call(cuMemFree_v2, (address)) call(cuIpcGetMemHandle, (ipc *, address)) \
    call(cuIpcOpenMemHandle_v2, (address *, ipc, unsigned)) call(cuIpcCloseMemHandle, (address))           \
    call(cuMemGetAllocationGranularity, (size_t *, const properties *, int))                               \
    call(cuMemCreate, (address *, size_t, const properties *, unsigned long long)) call(cuMemRelease, (address)) \
    call(cuMemExportToShareableHandle, (void *, address, int, unsigned long long))                         \
    call(cuMemImportFromShareableHandle, (address *, void *, int))                                         \
    call(cuMemAddressReserve, (address *, size_t, size_t, address, unsigned long long))                    \
    call(cuMemAddressFree, (address, size_t)) call(cuMemUnmap, (address, size_t))                          \
    call(cuMemMap, (address, size_t, size_t, address, unsigned long long))                                 \
    call(cuMemSetAccess, (address, size_t, const rights *, size_t))                                        \
    call(cuMemHostRegister_v2, (void *, size_t, unsigned)) call(cuMemHostUnregister, (void *))             \
    call(cuStreamCreate, (void **, unsigned)) call(cuStreamDestroy_v2, (void *)) call(cuStreamSynchronize, (void *)) \
    call(cuMemcpyHtoDAsync_v2, (address, const void *, size_t, void *))                                    \
    call(cuMemcpyDtoHAsync_v2, (void *, address, size_t, void *))                                          \
    call(cuMemcpyHtoD_v2, (address, const void *, size_t)) call(cuMemcpyDtoH_v2, (void *, address, size_t)) \
    call(cuEventCreate, (void **, unsigned)) call(cuEventRecord, (void *, void *))                         \
    call(cuEventSynchronize, (void *)) call(cuEventDestroy_v2, (void *))

#define DECLARE(name, arguments) static int (*name) arguments;
CALLS(DECLARE)

#define CHECK(what)                                                        \
    do {                                                                   \
        if (!(what)) {                                                     \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);     \
            exit(1);                                                       \
        }                                                                  \
    } while (0)

#define ANSWERS(expected, call)                                                               \
    do {                                                                                      \
        int answer = (call);                                                                  \
        if (answer != (expected)) {                                                           \
            fprintf(stderr, "%s:%d: %s: %d, not %d\n", __FILE__, __LINE__, #call, answer, (expected)); \
            exit(1);                                                                          \
        }                                                                                     \
    } while (0)

#define FIND(name, arguments) CHECK((*(void **)&name = dlsym(library, #name)) != NULL);

static const char *self, *path;

/* Says that it got so far, and waits until the test has done its part. */
static void turn(const char *said) {
    puts(said);
    fflush(stdout);
    CHECK(getchar() == '\n');
}

/* This program again, with what it needs to know; how it ended. */
static int other(const char *what, const char *said) {
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
        execl(self, self, path, what, said, (char *)NULL);
        _exit(127);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

static void *start(void) {
    void *context;
    ANSWERS(0, cuInit(0));
    ANSWERS(0, cuDevicePrimaryCtxRetain(&context, 0));
    ANSWERS(0, cuCtxPushCurrent_v2(context));
    return context;
}

static size_t used_bytes(void) {
    size_t free, total;
    ANSWERS(0, cuMemGetInfo_v2(&free, &total));
    return total - free;
}

static address allocate(size_t bytes) {
    address at;
    ANSWERS(0, cuMemAlloc_v2(&at, bytes));
    return at;
}

static void fill(unsigned char *bytes, size_t length, unsigned seed) {
    for (size_t i = 0; i < length; i++) bytes[i] = (unsigned char)(i * 7 + i / 251 + seed);
}

static void has(address at, size_t length, unsigned seed) {
    unsigned char *found = calloc(2, length);
    fill(found + length, length, seed);
    ANSWERS(0, cuMemcpyDtoH_v2(found, at, length));
    CHECK(!memcmp(found, found + length, length));
    free(found);
}

static void put(address at, size_t length, unsigned seed) {
    unsigned char *bytes = malloc(length);
    fill(bytes, length, seed);
    ANSWERS(0, cuMemcpyHtoD_v2(at, bytes, length));
    free(bytes);
}

/* Maps memory whose handle is given. */
static address map(address memory, int flags) {
    address at;
    rights allowed = { 1, 0, flags };
    ANSWERS(0, cuMemAddressReserve(&at, BLOCK, 0, 0, 0));
    ANSWERS(0, cuMemMap(at, BLOCK, 0, memory, 0));
    if (flags) ANSWERS(0, cuMemSetAccess(at, BLOCK, &allowed, 1));
    return at;
}

static const properties SHAREABLE = { 1, 1, 1, 0, NULL, { 0 } };

/* The cards are what the folder says. */
static void cards(void) {
    int count, version, device, value;
    unsigned char uuid[16];
    char name[64];
    const char *text;
    size_t bytes;
    void *context, *now;
    ANSWERS(3, cuDeviceGetCount(&count));
    ANSWERS(0, cuInit(0));
    ANSWERS(0, cuDeviceGetCount(&count));
    ANSWERS(0, cuDriverGetVersion(&version));
    CHECK(count == 2 && version == 12040);
    ANSWERS(101, cuDeviceGet(&device, 2));
    ANSWERS(101, cuDeviceGet(&device, -1));
    ANSWERS(0, cuDeviceGet(&device, 1));
    ANSWERS(0, cuDeviceGetName(name, sizeof name, device));
    ANSWERS(0, cuDeviceGetUuid_v2(uuid, device));
    ANSWERS(0, cuDeviceTotalMem_v2(&bytes, device));
    CHECK(!strcmp(name, "An older card") && uuid[0] == 0xab && uuid[15] == 0xab && bytes == 4 * MIB);
    for (int i = 0; i < 2; i++) {
        ANSWERS(0, cuDeviceGetAttribute(&value, 102, i));
        CHECK(value == !i);
    }
    ANSWERS(0, cuGetErrorName(2, &text));
    CHECK(!strcmp(text, "CUDA_ERROR_OUT_OF_MEMORY"));
    ANSWERS(0, cuGetErrorString(2, &text));
    ANSWERS(1, cuGetErrorName(12345, &text));
    ANSWERS(201, cuCtxSynchronize());
    ANSWERS(0, cuCtxGetCurrent(&now));
    CHECK(!now);
    ANSWERS(0, cuDevicePrimaryCtxRetain(&context, 1));
    ANSWERS(0, cuCtxPushCurrent_v2(context));
    ANSWERS(0, cuCtxGetCurrent(&now));
    ANSWERS(0, cuCtxGetDevice(&device));
    CHECK(now == context && device == 1);
    properties older = { 1, 1, 1, 1, NULL, { 0 } };
    address memory;
    ANSWERS(801, cuMemCreate(&memory, BLOCK, &older, 0));
    ANSWERS(0, cuDevicePrimaryCtxRelease_v2(1));
    ANSWERS(709, cuCtxSynchronize());
    ANSWERS(709, cuCtxPopCurrent_v2(&now));
    ANSWERS(201, cuCtxPopCurrent_v2(&now));
    ANSWERS(201, cuCtxPushCurrent_v2(context));
}

/* Bytes come back, once they were waited for. */
static void copies(void) {
    start();
    unsigned char bytes[1000], back[1000] = { 0 };
    void *stream, *event;
    address at = allocate(3 * MIB);
    fill(bytes, sizeof bytes, 1);
    ANSWERS(0, cuStreamCreate(&stream, 1));
    ANSWERS(0, cuMemcpyHtoDAsync_v2(at + MIB, bytes, sizeof bytes, stream));
    ANSWERS(0, cuMemcpyDtoHAsync_v2(back, at + MIB, sizeof back, stream));
    CHECK(back[0] == 0 && memcmp(back, bytes, sizeof bytes));
    ANSWERS(0, cuStreamSynchronize(stream));
    CHECK(!memcmp(back, bytes, sizeof bytes));
    has(at + MIB, sizeof bytes, 1);

    /* An event stands for what was queued before it, and nothing else. */
    unsigned char first[2] = { 0 };
    ANSWERS(0, cuEventCreate(&event, 0));
    ANSWERS(0, cuEventSynchronize(event));
    ANSWERS(0, cuMemcpyDtoHAsync_v2(first, at + MIB, 1, stream));
    ANSWERS(0, cuEventRecord(event, stream));
    ANSWERS(0, cuMemcpyDtoHAsync_v2(first + 1, at + MIB, 1, stream));
    ANSWERS(0, cuEventSynchronize(event));
    CHECK(first[0] == bytes[0] && first[1] == 0);
    ANSWERS(0, cuCtxSynchronize());
    CHECK(first[1] == bytes[0]);
    ANSWERS(0, cuStreamDestroy_v2(stream));
    ANSWERS(0, cuEventSynchronize(event));
    ANSWERS(0, cuEventDestroy_v2(event));
    ANSWERS(400, cuStreamSynchronize(stream));
    ANSWERS(400, cuEventSynchronize(event));

    ANSWERS(0, cuMemcpyHtoD_v2(at + 3 * MIB - 1, bytes, 1));
    ANSWERS(1, cuMemcpyHtoD_v2(at + 3 * MIB - 1, bytes, 2));
    ANSWERS(1, cuMemcpyHtoD_v2(at - 1, bytes, 1));
    ANSWERS(1, cuMemcpyHtoD_v2(at, bytes, SIZE_MAX));
    ANSWERS(1, cuMemFree_v2(at + 1));
    /* Who frees before the copy is done has an error, not somebody else's bytes. */
    ANSWERS(0, cuMemcpyDtoHAsync_v2(back, at, 1, NULL));
    ANSWERS(0, cuMemFree_v2(at));
    ANSWERS(700, cuStreamSynchronize(NULL));
    ANSWERS(1, cuMemFree_v2(at));

    ANSWERS(0, cuMemHostRegister_v2(bytes, sizeof bytes, 1));
    ANSWERS(712, cuMemHostRegister_v2(bytes + 1, 1, 1));
    ANSWERS(0, cuMemHostUnregister(bytes));
    ANSWERS(713, cuMemHostUnregister(bytes));
}

/* The host can't follow an address. */
static void follows(void) {
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    start();
    printf("%d\n", *(volatile char *)(uintptr_t)allocate(MIB));
}

/* Maps, and may do there what it asked for. */
static void maps(void) {
    start();
    unsigned char byte = 0;
    size_t grain;
    address memory, at, none;
    ANSWERS(0, cuMemGetAllocationGranularity(&grain, &SHAREABLE, 0));
    CHECK(grain == BLOCK);
    ANSWERS(1, cuMemCreate(&memory, MIB, &SHAREABLE, 0));
    ANSWERS(0, cuMemCreate(&memory, BLOCK, &SHAREABLE, 0));
    at = map(memory, 0);
    CHECK(at % BLOCK == 0);
    ANSWERS(700, cuMemcpyDtoH_v2(&byte, at, 1));
    rights read = { 1, 0, 1 }, both = { 1, 0, 3 };
    ANSWERS(0, cuMemSetAccess(at, BLOCK, &read, 1));
    ANSWERS(0, cuMemcpyDtoH_v2(&byte, at, 1));
    ANSWERS(1, cuMemcpyHtoD_v2(at, &byte, 1));
    ANSWERS(0, cuMemSetAccess(at, BLOCK, &both, 1));
    put(at, BLOCK, 2);
    none = map(memory, 3);
    has(none, BLOCK, 2);
    ANSWERS(1, cuMemAddressFree(at, BLOCK));
    ANSWERS(0, cuMemUnmap(none, BLOCK));
    ANSWERS(700, cuMemcpyDtoH_v2(&byte, none, 1));
    ANSWERS(0, cuMemAddressFree(none, BLOCK));
    ANSWERS(1, cuMemcpyDtoH_v2(&byte, none, 1));
    ANSWERS(0, cuMemRelease(memory));
    ANSWERS(1, cuMemRelease(memory));
    CHECK(used_bytes() == BLOCK);
    has(at, BLOCK, 2);
    ANSWERS(0, cuMemUnmap(at, BLOCK));
    CHECK(used_bytes() == 0);
    ANSWERS(1, cuMemImportFromShareableHandle(&memory, (void *)(intptr_t)STDERR_FILENO, 1));
}

/* Exports in both forms; the other process opens. */
static void shares(void) {
    start();
    ipc handle, bad;
    char text[129];
    address at = allocate(5 * MIB), memory, mapped;
    put(at, 5 * MIB, 3);
    ANSWERS(0, cuIpcGetMemHandle(&handle, at));
    ANSWERS(1, cuIpcGetMemHandle(&handle, at + 1));
    ANSWERS(201, cuIpcOpenMemHandle_v2(&mapped, handle, 1));
    memset(&bad, 7, sizeof bad);
    ANSWERS(400, cuIpcOpenMemHandle_v2(&mapped, bad, 1));
    for (int i = 0; i < 64; i++) sprintf(text + 2 * i, "%02x", handle.bytes[i]);
    CHECK(other("opens", text) == 0);
    has(at, 100, 4);
    ANSWERS(0, cuMemFree_v2(at));
    CHECK(other("opens-nothing", text) == 0);

    int fd;
    ANSWERS(0, cuMemCreate(&memory, BLOCK, &SHAREABLE, 0));
    mapped = map(memory, 3);
    put(mapped, BLOCK, 5);
    ANSWERS(1, cuIpcGetMemHandle(&handle, mapped));
    ANSWERS(0, cuMemExportToShareableHandle(&fd, memory, 1, 0));
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(fd, F_SETFD, 0) == 0);
    sprintf(text, "%d", fd);
    CHECK(other("imports", text) == 0);
    has(mapped, 100, 6);
    ANSWERS(0, cuMemUnmap(mapped, BLOCK));
    ANSWERS(0, cuMemRelease(memory));
    CHECK(used_bytes() == 0);
    /* The bytes live on in the descriptor. */
    ANSWERS(0, cuMemImportFromShareableHandle(&memory, (void *)(intptr_t)fd, 1));
    has(map(memory, 1), 100, 6);
}

static ipc parse(const char *text) {
    ipc handle;
    for (int i = 0; i < 64; i++) CHECK(sscanf(text + 2 * i, "%2hhx", &handle.bytes[i]) == 1);
    return handle;
}

static void opens(const char *said) {
    address at, again;
    ANSWERS(0, cuInit(0));
    ANSWERS(201, cuIpcOpenMemHandle_v2(&at, parse(said), 1));
    start();
    ANSWERS(1, cuIpcOpenMemHandle_v2(&at, parse(said), 0));
    ANSWERS(0, cuIpcOpenMemHandle_v2(&at, parse(said), 1));
    ANSWERS(0, cuIpcOpenMemHandle_v2(&again, parse(said), 1));
    CHECK(at == again && used_bytes() == 5 * MIB);
    ANSWERS(0, cuIpcCloseMemHandle(again));
    has(at, 5 * MIB, 3);
    put(at, 100, 4);
    ANSWERS(1, cuMemFree_v2(at));
    ANSWERS(0, cuIpcCloseMemHandle(at));
    ANSWERS(1, cuIpcCloseMemHandle(at));
}

static void opens_nothing(const char *said) {
    address at;
    start();
    ANSWERS(400, cuIpcOpenMemHandle_v2(&at, parse(said), 1));
}

static void imports(const char *said) {
    address memory;
    start();
    int fd = atoi(said);
    ANSWERS(0, cuMemImportFromShareableHandle(&memory, (void *)(intptr_t)fd, 1));
    close(fd);
    address at = map(memory, 3);
    has(at, BLOCK, 5);
    put(at, 100, 6);
    CHECK(used_bytes() == BLOCK);
    ANSWERS(0, cuMemUnmap(at, BLOCK));
    ANSWERS(0, cuMemAddressFree(at, BLOCK));
    ANSWERS(0, cuMemRelease(memory));
}

/* Has all of a card of 8 MiB, in both forms, and gives it back. The test looks on. */
static void fills(void) {
    start();
    address at = allocate(6 * MIB), memory, more;
    ANSWERS(2, cuMemAlloc_v2(&more, 2 * MIB + 1));
    ANSWERS(2, cuMemAlloc_v2(&more, SIZE_MAX));
    ANSWERS(0, cuMemCreate(&memory, BLOCK, &SHAREABLE, 0));
    ANSWERS(2, cuMemCreate(&more, BLOCK, &SHAREABLE, 0));
    turn("full");
    CHECK(other("finds-it-full", NULL) == 0);
    ANSWERS(0, cuMemFree_v2(at));
    turn("half");
    ANSWERS(0, cuMemRelease(memory));
    turn("empty");
}

static void finds_it_full(void) {
    address at;
    start();
    CHECK(used_bytes() == 8 * MIB);
    ANSWERS(2, cuMemAlloc_v2(&at, 1));
}

static void waits(void) {
    start();
    allocate(6 * MIB);
    turn("full");
}

static void has_all(void) {
    start();
    CHECK(used_bytes() == 0);
    allocate(8 * MIB);
}

/* What the call for memory answers, of this process. */
static void allocates(void) {
    address at;
    start();
    printf("%d\n", cuMemAlloc_v2(&at, 1));
}

/* The test makes the wait for a copy fail, once. */
static void fails_to_wait(void) {
    start();
    unsigned char bytes[4] = { 1, 1, 1, 1 };
    void *stream;
    address at = allocate(MIB);
    ANSWERS(0, cuStreamCreate(&stream, 1));
    turn("ready");
    ANSWERS(0, cuMemcpyDtoHAsync_v2(bytes, at, sizeof bytes, stream));
    ANSWERS(999, cuStreamSynchronize(stream));
    ANSWERS(0, cuStreamSynchronize(stream));
    CHECK(bytes[0] == 1 && bytes[3] == 1);
    ANSWERS(0, cuMemcpyDtoH_v2(bytes, at, sizeof bytes));
    CHECK(bytes[0] == 0 && bytes[3] == 0);
}

/* The test breaks the card, and mends it. */
static void loses(void) {
    void *context = start(), *other_context, *top;
    address at = allocate(MIB), more;
    char byte;
    size_t bytes;
    turn("ready");
    ANSWERS(719, cuMemAlloc_v2(&more, 1));
    ANSWERS(719, cuMemcpyDtoH_v2(&byte, at, 1));
    ANSWERS(719, cuMemGetInfo_v2(&bytes, &bytes));
    ANSWERS(719, cuCtxSynchronize());
    ANSWERS(719, cuDeviceTotalMem_v2(&bytes, 0));
    ANSWERS(719, cuMemFree_v2(at));
    ANSWERS(719, cuCtxPushCurrent_v2(context));
    ANSWERS(719, cuCtxPopCurrent_v2(&top));
    CHECK(top == context);
    ANSWERS(0, cuInit(0));
    ANSWERS(0, cuDevicePrimaryCtxRetain(&other_context, 1));
    ANSWERS(0, cuCtxPushCurrent_v2(other_context));
    ANSWERS(0, cuMemAlloc_v2(&more, MIB));
    ANSWERS(0, cuMemcpyDtoH_v2(&byte, more, 1));
    turn("lost");
    ANSWERS(0, cuCtxPushCurrent_v2(context));
    ANSWERS(0, cuMemcpyDtoH_v2(&byte, at, 1));
    ANSWERS(0, cuMemFree_v2(at));
}

/* The test has made copies slow: 1 MiB takes a tenth of a second. */
static void is_slow(void) {
    start();
    struct timespec before, after;
    address at = allocate(MIB);
    clock_gettime(CLOCK_MONOTONIC, &before);
    put(at, MIB, 7);
    clock_gettime(CLOCK_MONOTONIC, &after);
    double took = (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
    CHECK(took > 0.09);
}

static void is_without_a_card(void) {
    int count;
    ANSWERS(100, cuInit(0));
    ANSWERS(3, cuDeviceGetCount(&count));
}

int main(int arguments, char **argument) {
    static const struct {
        const char *name;
        void (*alone)(void);
        void (*told)(const char *);
    } all[] = {
        { "cards", cards, NULL }, { "copies", copies, NULL }, { "follows", follows, NULL }, { "maps", maps, NULL },
        { "shares", shares, NULL }, { "opens", NULL, opens }, { "opens-nothing", NULL, opens_nothing },
        { "imports", NULL, imports }, { "fills", fills, NULL }, { "finds-it-full", finds_it_full, NULL },
        { "waits", waits, NULL }, { "has-all", has_all, NULL }, { "allocates", allocates, NULL },
        { "fails-to-wait", fails_to_wait, NULL }, { "loses", loses, NULL }, { "is-slow", is_slow, NULL },
        { "is-without-a-card", is_without_a_card, NULL },
    };
    CHECK(arguments >= 3);
    self = argument[0];
    path = argument[1];
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    CALLS(FIND)
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (strcmp(argument[2], all[i].name)) continue;
        if (all[i].told) all[i].told(argument[3]);
        else all[i].alone();
        return 0;
    }
    fprintf(stderr, "there is no %s\n", argument[2]);
    return 2;
}
