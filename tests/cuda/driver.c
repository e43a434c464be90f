/* A driver for machines without a GPU, for tests only: the calls of the CUDA driver API that are used, over shared
 * memory, across processes, with injected errors. It proves the logic of its callers, not CUDA.
 *
 * All of it lies in the folder that PAYLOAD_MANAGER_TEST_CUDA names:
 *
 *   devices    a line a card: `<uuid: 32 hex digits> <bytes> <vmm | novmm> <name>`; its number is the line's, from 0
 *   faults     what goes wrong, read anew at every call; may be missing. Replaced by renaming, never written in place.
 *              `<call | *> <card | *> <error> <skip> <times>`: after `skip` calls that match, the next `times` fail, or
 *              all if it is -1. The first rule that fails a call ends it: those below do not count it.
 *              `slow <card | *> <bytes a second>`: copies take that long, until the rule is taken away
 *   state      what the processes share: struct state below
 *   alloc-<n>  the bytes of what cuMemAlloc gave
 *
 * CUDA_VISIBLE_DEVICES says which cards a process sees, by their numbers.
 *
 * A rule names a call by its symbol, with `_v2` or without. One with a card meets calls whose card is known, by an
 * argument or by the current context. A call that a rule fails has done nothing; but cuCtxPopCurrent pops all
 * the same, and waiting throws away the copies that it should have waited for.
 *
 * What a copy does is done when somebody waits for it, so that who forgets to wait has the wrong bytes. Addresses
 * of a card can't be followed: the host faults there.
 *
 * It differs from CUDA in that memory counts for the process that created it alone: what other processes have open, or
 * have as a descriptor, keeps its bytes but takes no room. After a fork the child may not call. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define API __attribute__((visibility("default"))) int

enum {
    OK = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    ILLEGAL_ADDRESS = 700,
    CONTEXT_IS_DESTROYED = 709,
    ALREADY_REGISTERED = 712,
    NOT_REGISTERED = 713,
    NOT_SUPPORTED = 801,
};

static const struct {
    int code;
    const char *name, *text;
} errors[] = {
    { 0, "CUDA_SUCCESS", "no error" },
    { 1, "CUDA_ERROR_INVALID_VALUE", "invalid argument" },
    { 2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory" },
    { 3, "CUDA_ERROR_NOT_INITIALIZED", "not initialized" },
    { 4, "CUDA_ERROR_DEINITIALIZED", "shutting down" },
    { 46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "device busy or unavailable" },
    { 100, "CUDA_ERROR_NO_DEVICE", "no device" },
    { 101, "CUDA_ERROR_INVALID_DEVICE", "no such device" },
    { 201, "CUDA_ERROR_INVALID_CONTEXT", "no such context" },
    { 205, "CUDA_ERROR_MAP_FAILED", "mapping failed" },
    { 208, "CUDA_ERROR_ALREADY_MAPPED", "mapped already" },
    { 214, "CUDA_ERROR_ECC_UNCORRECTABLE", "memory error that can't be corrected" },
    { 400, "CUDA_ERROR_INVALID_HANDLE", "no such handle" },
    { 700, "CUDA_ERROR_ILLEGAL_ADDRESS", "access to an illegal address" },
    { 709, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is gone" },
    { 712, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", "host memory is registered already" },
    { 713, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED", "host memory is not registered" },
    { 719, "CUDA_ERROR_LAUNCH_FAILED", "launch failed" },
    { 800, "CUDA_ERROR_NOT_PERMITTED", "not permitted" },
    { 801, "CUDA_ERROR_NOT_SUPPORTED", "not supported" },
    { 999, "CUDA_ERROR_UNKNOWN", "unknown error" },
};

enum { CARDS = 16, DEPTH = 64, RULES = 256, ROWS = 16384, GRAIN = 2 << 20, READ = 1, WRITE = 2 };

/* In place of a card's number: the call has none, or the current context's. */
enum { NONE = INT_MIN, CURRENT };

/* ---- What the processes share. Words of 64 bits, little-endian; who only reads takes no lock. */

enum { LEGACY = 1, VIRTUAL = 2 };

/* An allocation. Free if `pid` is 0, and not to be counted if the process that started then is gone. */
struct row {
    uint64_t pid, start, device, bytes, kind, number;
};

struct state {
    uint64_t version; /* at 0 */
    uint64_t numbers; /* at 8: the last number that was given */
    uint64_t rows_used; /* at 16: rows beyond are free */
    uint64_t rules_inode, rules_time; /* at 24: of which rules `counted` tells */
    uint64_t unused[3];
    union {
        pthread_mutex_t mutex;
        char room[64];
    }; /* at 64 */
    uint64_t counted[RULES]; /* at 128: calls that each rule has met, by its line */
    struct row rows[ROWS]; /* at 2176 */
};

_Static_assert(offsetof(struct state, counted) == 128 && offsetof(struct state, rows) == 2176, "readers know it");

/* ---- What this process has. */

struct job {
    uint64_t number, at;
    char *host;
    size_t bytes;
    bool in;
    struct job *next;
};

struct stream {
    int device;
    bool busy;
    uint64_t queued; /* the number of the last job */
    struct job *first;
    struct stream *next;
};

struct event {
    int device;
    struct stream *stream;
    uint64_t number; /* of the last job before it */
    struct event *next;
};

/* A card is its own primary context. */
struct card {
    unsigned char uuid[16];
    uint64_t bytes;
    bool passes;
    char name[128];
    unsigned retained;
    struct stream stream; /* the default one */
};

struct memory {
    int device, fd; /* -1: not known, none */
    int kind; /* 0: another process's */
    uint64_t number, handle;
    size_t bytes;
    char *host;
    bool held, exportable;
    unsigned ranges;
    struct memory *next;
};

struct range {
    uint64_t at;
    size_t bytes;
    enum { ALLOCATED, OPENED, RESERVED } form;
    struct memory *memory;
    unsigned opened;
    int access[CARDS];
    struct range *next;
};

struct pinned {
    char *at;
    size_t bytes;
    struct pinned *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t idle = PTHREAD_COND_INITIALIZER;
static char folder[PATH_MAX - 64], rules[PATH_MAX];
static uint64_t self, self_start;
static struct state *state;
static bool ready;
static struct card cards[CARDS];
static int count;
/* Those that this process may see, in its order. */
static int seen[CARDS], seen_count;
static struct stream *streams;
static struct event *events;
static struct memory *memories; /* those with a handle */
static struct range *ranges;
static struct pinned *pins;
static uint64_t next_address = 0x0100000000000000, last_handle;
static _Thread_local struct card *stack[DEPTH];
static _Thread_local int depth;

static int enter(void) {
    pthread_mutex_lock(&lock);
    return 0;
}

static void leave(int *held) {
    (void)held;
    pthread_mutex_unlock(&lock);
}

/* Until the end of the function. */
#define LOCKED __attribute__((cleanup(leave), unused)) int held = enter()

/* Takes something out of its list. */
#define UNLINK(list, item)                                                  \
    for (__typeof__(list) *place = &(list); *place; place = &(*place)->next) \
        if (*place == (item)) {                                              \
            *place = (item)->next;                                           \
            break;                                                           \
        }

static uint64_t round_up(uint64_t bytes) {
    return (bytes + GRAIN - 1) / GRAIN * GRAIN;
}

/* ---- Rows of the shared table. */

/* When the process started, in the system's ticks; 0: it is gone. */
static uint64_t start_of(uint64_t pid) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%llu/stat", (unsigned long long)pid);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    size_t read = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[read] = 0;
    char how;
    unsigned long long start;
    const char *after = strrchr(text, ')');
    /* Fields 3 and 22; the name before them may have anything in it. */
    static const char form[] = " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu";
    if (!after || sscanf(after + 1, form, &how, &start) != 2) return 0;
    return how == 'Z' || how == 'X' ? 0 : start;
}

/* Our number where /proc is that of all who share the folder: that may be another namespace than ours. 0: there is none. */
static uint64_t seen_as(void) {
    char text[32];
    ssize_t length = readlink("/proc/self", text, sizeof text - 1);
    if (length <= 0) return 0;
    text[length] = 0;
    return strtoull(text, NULL, 10);
}

static void lock_state(void) {
    /* Whoever died with it left whole rows behind. */
    if (pthread_mutex_lock(&state->mutex) == EOWNERDEAD) pthread_mutex_consistent(&state->mutex);
}

static void unlock_state(void) {
    pthread_mutex_unlock(&state->mutex);
}

static void path_of(char path[PATH_MAX], uint64_t number) {
    snprintf(path, PATH_MAX, "%s/alloc-%llu", folder, (unsigned long long)number);
}

static void clear_row(struct row *row) {
    char path[PATH_MAX];
    path_of(path, row->number);
    if (row->kind == LEGACY) unlink(path);
    __atomic_store_n(&row->pid, 0, __ATOMIC_RELEASE);
}

/* Bytes of a card that live processes have; what dead ones had is cleared away. */
static uint64_t count_used(int device) {
    uint64_t used = 0, pid = self, start = self_start;
    for (struct row *row = state->rows; row < state->rows + state->rows_used; row++) {
        if (!row->pid) continue;
        if (row->pid != pid) start = start_of(pid = row->pid);
        if (row->start != start) clear_row(row);
        else if (row->device == (uint64_t)device) used += row->bytes;
    }
    while (state->rows_used && !state->rows[state->rows_used - 1].pid) state->rows_used--;
    return used;
}

/* Counts an allocation; 0: there is no room for it. */
static uint64_t add_row(int device, uint64_t bytes, int kind) {
    uint64_t number = 0;
    lock_state();
    uint64_t used = count_used(device), at = 0;
    while (at < state->rows_used && state->rows[at].pid) at++;
    if (at < ROWS && bytes <= cards[device].bytes - used) {
        struct row *row = &state->rows[at];
        number = ++state->numbers;
        *row = (struct row){ 0, self_start, (uint64_t)device, bytes, (uint64_t)kind, number };
        __atomic_store_n(&row->pid, self, __ATOMIC_RELEASE);
        if (at == state->rows_used) state->rows_used++;
    }
    unlock_state();
    return number;
}

static struct row *find_row(uint64_t number, uint64_t pid, uint64_t start) {
    for (struct row *row = state->rows; row < state->rows + state->rows_used; row++)
        if (row->pid == pid && row->start == start && row->number == number) return row;
    return NULL;
}

static void remove_row(uint64_t number) {
    lock_state();
    struct row *row = find_row(number, self, self_start);
    if (row) clear_row(row);
    unlock_state();
}

/* ---- Faults. */

static bool is_for_device(const char *word, int device) {
    return !strcmp(word, "*") || (device >= 0 && device == atoi(word));
}

static bool is_for_call(const char *word, const char *call) {
    size_t length = strlen(word);
    return !strcmp(word, "*") || (!strncmp(word, call, length) && (!call[length] || !strcmp(call + length, "_v2")));
}

static int judge(FILE *file, const char *call, int device) {
    struct stat now;
    if (fstat(fileno(file), &now)) return OK;
    uint64_t time = (uint64_t)now.st_mtim.tv_sec * 1000000000 + (uint64_t)now.st_mtim.tv_nsec;
    if (state->rules_inode != now.st_ino || state->rules_time != time) {
        memset(state->counted, 0, sizeof state->counted);
        state->rules_inode = now.st_ino;
        state->rules_time = time;
    }
    char line[256], what[64], where[16];
    int error;
    long long skip, times;
    for (int number = 0; number < RULES && fgets(line, sizeof line, file); number++) {
        if (sscanf(line, "%63s %15s %d %lld %lld", what, where, &error, &skip, &times) != 5) continue;
        if (!is_for_call(what, call) || !is_for_device(where, device)) continue;
        long long before = (long long)state->counted[number]++;
        if (before >= skip && (times < 0 || before - skip < times)) return error;
    }
    return OK;
}

static int fault(const char *call, int device) {
    if (access(rules, F_OK)) return OK;
    /* Opened under the lock, so that nobody counts by rules that another one has seen replaced. */
    lock_state();
    FILE *file = fopen(rules, "re");
    int error = file ? judge(file, call, device) : OK;
    if (file) fclose(file);
    unlock_state();
    return error;
}

/* Bytes a second that a card copies; 0: as many as it can. */
static double speed_of(int device) {
    char line[256], where[16];
    double found = 0, speed;
    FILE *file = fopen(rules, "re");
    while (file && found <= 0 && fgets(line, sizeof line, file))
        if (sscanf(line, "slow %15s %lf", where, &speed) == 2 && is_for_device(where, device)) found = speed;
    if (file) fclose(file);
    return found;
}

/* Takes as long as the copy should, in slices, so that a rule that is taken away no longer holds. */
static void take_time(int device, double bytes) {
    /* Half a byte: what rounding leaves. */
    for (double speed; bytes > 0.5 && (speed = speed_of(device)) > 0;) {
        double slice = bytes / speed < 0.02 ? bytes / speed : 0.02;
        struct timespec time = { 0, (long)(slice * 1e9) };
        while (nanosleep(&time, &time) && errno == EINTR) {}
        bytes -= speed * slice;
    }
}

/* ---- What comes before every call. */

static struct card *current(void) {
    return depth ? stack[depth - 1] : NULL;
}

/* The current context's card, if there is one. */
static int here(void) {
    return depth ? (int)(current() - cards) : NONE;
}

static int ask(const char *call, int device) {
    if (!ready) return NOT_INITIALIZED;
    if (device == CURRENT) {
        if (!depth) return INVALID_CONTEXT;
        if (!current()->retained) return CONTEXT_IS_DESTROYED;
        device = here();
    }
    if (device != NONE && (device < 0 || device >= count)) return INVALID_DEVICE;
    return fault(call, device);
}

/* Takes the lock until the end of the function, unless the call may not be made at all. */
#define BEGIN(device)                       \
    LOCKED;                                 \
    do {                                    \
        int said = ask(__func__, (device)); \
        if (said) return said;              \
    } while (0)

/* ---- The driver and its cards. */

static void read_cards(void) {
    char path[PATH_MAX], line[512], uuid[33], flags[16];
    snprintf(path, sizeof path, "%s/devices", folder);
    FILE *file = fopen(path, "re");
    count = 0;
    while (file && count < CARDS && fgets(line, sizeof line, file)) {
        struct card *card = &cards[count];
        unsigned long long bytes;
        int name = 0;
        if (sscanf(line, "%32s %llu %15s %n", uuid, &bytes, flags, &name) != 3 || strlen(uuid) != 32) break;
        for (int i = 0; i < 16; i++) {
            unsigned byte = 0;
            sscanf(uuid + 2 * i, "%2x", &byte);
            card->uuid[i] = (unsigned char)byte;
        }
        card->bytes = bytes;
        card->passes = !strcmp(flags, "vmm");
        line[strcspn(line, "\n")] = 0;
        snprintf(card->name, sizeof card->name, "%.127s", line + name);
        card->stream.device = count++;
    }
    if (file) fclose(file);
}

/* By CUDA_VISIBLE_DEVICES: numbers, of which the first that is none ends the list; without it, all. */
static void look_around(void) {
    const char *next = getenv("CUDA_VISIBLE_DEVICES");
    char *end;
    seen_count = 0;
    if (!next)
        while (seen_count < count) seen[seen_count] = seen_count, seen_count++;
    else
        for (long number; seen_count < CARDS; next = end + 1) {
            number = strtol(next, &end, 10);
            if (end == next || number < 0 || number >= count) break;
            seen[seen_count++] = (int)number;
            if (*end != ',') break;
        }
}

static struct state *open_state(void) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/state", folder);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return NULL;
    struct state *made = MAP_FAILED;
    struct stat now;
    /* Who comes first makes it. The mapping would keep the lock. */
    bool whole = !flock(fd, LOCK_EX) && !fstat(fd, &now);
    if (whole && (now.st_size == sizeof *made || !ftruncate(fd, sizeof *made)))
        made = mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (made != MAP_FAILED && !made->version) {
        pthread_mutexattr_t how;
        pthread_mutexattr_init(&how);
        pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
        pthread_mutex_init(&made->mutex, &how);
        pthread_mutexattr_destroy(&how);
        made->version = 1;
    }
    flock(fd, LOCK_UN);
    close(fd);
    return made == MAP_FAILED ? NULL : made;
}

API cuInit(unsigned flags) {
    LOCKED;
    if (flags) return INVALID_VALUE;
    if (!state) {
        const char *given = getenv("PAYLOAD_MANAGER_TEST_CUDA");
        if (!given || *given != '/' || strlen(given) >= sizeof folder) return NO_DEVICE;
        snprintf(folder, sizeof folder, "%s", given);
        snprintf(rules, sizeof rules, "%s/faults", folder);
        self = seen_as();
        self_start = start_of(self);
        read_cards();
        look_around();
        if (count) state = open_state();
        if (!state) return NO_DEVICE;
    }
    int error = fault(__func__, NONE);
    ready = ready || !error;
    return error;
}

API cuDriverGetVersion(int *version) {
    LOCKED;
    if (!version) return INVALID_VALUE;
    *version = 12040;
    return ready ? fault(__func__, NONE) : OK;
}

/* No rule meets these two: who tells of an error has to get its name. */
API cuGetErrorName(int code, const char **name) {
    for (size_t i = 0; name && i < sizeof errors / sizeof *errors; i++)
        if (errors[i].code == code) return *name = errors[i].name, OK;
    if (name) *name = NULL;
    return INVALID_VALUE;
}

API cuGetErrorString(int code, const char **text) {
    for (size_t i = 0; text && i < sizeof errors / sizeof *errors; i++)
        if (errors[i].code == code) return *text = errors[i].text, OK;
    if (text) *text = NULL;
    return INVALID_VALUE;
}

API cuDeviceGetCount(int *out) {
    BEGIN(NONE);
    return out ? *out = seen_count, OK : INVALID_VALUE;
}

API cuDeviceGet(int *out, int ordinal) {
    int device = ordinal >= 0 && ordinal < seen_count ? seen[ordinal] : count;
    BEGIN(device);
    return out ? *out = device, OK : INVALID_VALUE;
}

API cuDeviceGetName(char *name, int length, int device) {
    BEGIN(device);
    if (!name || length <= 0) return INVALID_VALUE;
    snprintf(name, (size_t)length, "%s", cards[device].name);
    return OK;
}

API cuDeviceGetUuid_v2(unsigned char uuid[16], int device) {
    BEGIN(device);
    if (!uuid) return INVALID_VALUE;
    memcpy(uuid, cards[device].uuid, 16);
    return OK;
}

API cuDeviceTotalMem_v2(size_t *bytes, int device) {
    BEGIN(device);
    return bytes ? *bytes = cards[device].bytes, OK : INVALID_VALUE;
}

API cuDeviceGetAttribute(int *value, int attribute, int device) {
    enum { UNIFIED_ADDRESSING = 41, VIRTUAL_MEMORY = 102, DESCRIPTORS = 103 };
    BEGIN(device);
    if (!value) return INVALID_VALUE;
    bool passes = cards[device].passes && (attribute == VIRTUAL_MEMORY || attribute == DESCRIPTORS);
    *value = passes || attribute == UNIFIED_ADDRESSING;
    return OK;
}

/* ---- Contexts. */

API cuDevicePrimaryCtxRetain(struct card **context, int device) {
    BEGIN(device);
    if (!context) return INVALID_VALUE;
    cards[device].retained++;
    *context = &cards[device];
    return OK;
}

API cuDevicePrimaryCtxRelease_v2(int device) {
    BEGIN(device);
    if (!cards[device].retained) return INVALID_CONTEXT;
    cards[device].retained--;
    return OK;
}

API cuCtxPushCurrent_v2(struct card *context) {
    bool known = context >= cards && context < cards + count;
    BEGIN(known ? (int)(context - cards) : NONE);
    if (!known || !context->retained || depth == DEPTH) return INVALID_CONTEXT;
    stack[depth++] = context;
    return OK;
}

API cuCtxPopCurrent_v2(struct card **context) {
    LOCKED;
    int said = ask(__func__, CURRENT);
    if (!depth) return said;
    depth--;
    if (context) *context = stack[depth];
    return said;
}

API cuCtxGetCurrent(struct card **context) {
    BEGIN(here());
    return context ? *context = current(), OK : INVALID_VALUE;
}

API cuCtxGetDevice(int *device) {
    BEGIN(CURRENT);
    return device ? *device = here(), OK : INVALID_VALUE;
}

/* ---- Memory and where it is mapped. */

static struct range *add_range(size_t bytes, size_t align, int form, struct memory *memory) {
    struct range *range = calloc(1, sizeof *range);
    if (!range) return NULL;
    range->at = align > GRAIN ? (next_address + align - 1) / align * align : next_address;
    /* Between two there is always something that is neither. */
    next_address = range->at + round_up(bytes) + GRAIN;
    range->bytes = bytes;
    range->form = form;
    range->memory = memory;
    if (memory) memory->ranges++;
    for (int i = 0; i < CARDS; i++) range->access[i] = form == RESERVED ? 0 : READ | WRITE;
    range->next = ranges;
    return ranges = range;
}

static struct range *find_range(uint64_t at) {
    struct range *range = ranges;
    while (range && (at < range->at || at - range->at >= range->bytes)) range = range->next;
    return range;
}

/* The range that begins there, if it has this form. */
static struct range *range_from(uint64_t at, int form) {
    struct range *range = find_range(at);
    return range && range->at == at && (int)range->form == form ? range : NULL;
}

/* Memory goes with its handle and the last address of it. */
static void let_go(struct memory *memory) {
    if (memory->held || memory->ranges) return;
    munmap(memory->host, memory->bytes);
    if (memory->fd >= 0) close(memory->fd);
    if (memory->kind) remove_row(memory->number);
    free(memory);
}

static void remove_range(struct range *range) {
    UNLINK(ranges, range);
    if (range->memory) {
        range->memory->ranges--;
        let_go(range->memory);
    }
    free(range);
}

/* Takes the descriptor, also if it fails. */
static struct memory *make_memory(int fd, size_t bytes, int device, int kind, uint64_t number) {
    struct memory *memory = fd < 0 ? NULL : calloc(1, sizeof *memory);
    char *host = memory ? mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0) : MAP_FAILED;
    if (host == MAP_FAILED) {
        if (fd >= 0) close(fd);
        free(memory);
        return NULL;
    }
    *memory = (struct memory){ .device = device, .fd = fd, .kind = kind, .number = number, .bytes = bytes };
    memory->host = host;
    return memory;
}

API cuMemGetInfo_v2(size_t *free_bytes, size_t *total) {
    BEGIN(CURRENT);
    if (!free_bytes || !total) return INVALID_VALUE;
    lock_state();
    *total = current()->bytes;
    *free_bytes = *total - count_used(here());
    unlock_state();
    return OK;
}

API cuMemAlloc_v2(uint64_t *out, size_t bytes) {
    BEGIN(CURRENT);
    if (!out || !bytes) return INVALID_VALUE;
    uint64_t number = add_row(here(), bytes, LEGACY);
    if (!number) return OUT_OF_MEMORY;
    char path[PATH_MAX];
    path_of(path, number);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0 && ftruncate(fd, (off_t)bytes)) {
        close(fd);
        fd = -1;
    }
    struct memory *memory = make_memory(fd, bytes, here(), LEGACY, number);
    struct range *range = memory ? add_range(bytes, 0, ALLOCATED, memory) : NULL;
    if (!range) {
        if (memory) let_go(memory);
        else remove_row(number);
        return OUT_OF_MEMORY;
    }
    /* Addresses are enough: a descriptor for each would run out. */
    close(memory->fd);
    memory->fd = -1;
    *out = range->at;
    return OK;
}

API cuMemFree_v2(uint64_t at) {
    BEGIN(CURRENT);
    struct range *range = range_from(at, ALLOCATED);
    if (!range) return INVALID_VALUE;
    remove_range(range);
    return OK;
}

/* ---- Memory of another process, by its handle. */

struct ipc {
    char mark[8];
    uint64_t pid, start, number, device;
    char rest[24];
};
_Static_assert(sizeof(struct ipc) == 64, "it is passed by value");

static const char MARK[8] = "pm-cuda";

API cuIpcGetMemHandle(struct ipc *out, uint64_t at) {
    BEGIN(CURRENT);
    struct range *range = range_from(at, ALLOCATED);
    if (!out || !range) return INVALID_VALUE;
    *out = (struct ipc){ .pid = self, .start = self_start, .number = range->memory->number };
    out->device = (uint64_t)range->memory->device;
    memcpy(out->mark, MARK, sizeof MARK);
    return OK;
}

/* Bytes of what the handle stands for; 0: of nothing any more. */
static size_t bytes_of(const struct ipc *handle) {
    lock_state();
    struct row *row = find_row(handle->number, handle->pid, handle->start);
    bool there = row && row->kind == LEGACY && row->device == handle->device && start_of(row->pid) == row->start;
    size_t bytes = there ? row->bytes : 0;
    unlock_state();
    return bytes;
}

API cuIpcOpenMemHandle_v2(uint64_t *out, struct ipc handle, unsigned flags) {
    BEGIN(CURRENT);
    if (!out || flags != 1) return INVALID_VALUE;
    if (memcmp(handle.mark, MARK, sizeof MARK) || !handle.pid) return INVALID_HANDLE;
    if (handle.pid == self && handle.start == self_start) return INVALID_CONTEXT;
    size_t bytes = bytes_of(&handle);
    if (!bytes) return INVALID_HANDLE;
    if (handle.device != (uint64_t)here()) return INVALID_CONTEXT;
    struct range *range = ranges;
    while (range && (range->form != OPENED || range->memory->number != handle.number)) range = range->next;
    if (!range) {
        char path[PATH_MAX];
        path_of(path, handle.number);
        struct memory *memory = make_memory(open(path, O_RDWR | O_CLOEXEC), bytes, here(), 0, handle.number);
        if (!memory) return INVALID_HANDLE;
        range = add_range(bytes, 0, OPENED, memory);
        if (!range) return let_go(memory), OUT_OF_MEMORY;
        close(memory->fd);
        memory->fd = -1;
    }
    range->opened++;
    *out = range->at;
    return OK;
}

API cuIpcCloseMemHandle(uint64_t at) {
    BEGIN(CURRENT);
    struct range *range = range_from(at, OPENED);
    if (!range) return INVALID_VALUE;
    if (!--range->opened) remove_range(range);
    return OK;
}

/* ---- Memory that is given an address apart from being made. These calls need no context. */

struct location {
    int type, id;
};
struct properties {
    int type, handle_types;
    struct location location;
    void *unused;
    unsigned char flags[8];
};
struct access {
    struct location location;
    int flags;
};

enum { PINNED = 1, DEVICE = 1, DESCRIPTOR = 1 };

static struct memory *find_memory(uint64_t handle) {
    struct memory *memory = memories;
    while (memory && memory->handle != handle) memory = memory->next;
    return memory;
}

/* The card that a call is about, as far as that can be known. */
static int place_of(const struct memory *memory) {
    return memory && memory->device >= 0 ? memory->device : here();
}

static int place_of_range(uint64_t at) {
    struct range *range = find_range(at);
    return place_of(range ? range->memory : NULL);
}

static uint64_t give_handle(struct memory *memory) {
    memory->held = true;
    memory->next = memories;
    memories = memory;
    return memory->handle = ++last_handle;
}

API cuMemGetAllocationGranularity(size_t *bytes, const struct properties *asked, int which) {
    (void)which;
    BEGIN(asked ? asked->location.id : NONE);
    return bytes && asked ? *bytes = GRAIN, OK : INVALID_VALUE;
}

API cuMemCreate(uint64_t *out, size_t bytes, const struct properties *asked, unsigned long long flags) {
    BEGIN(asked ? asked->location.id : NONE);
    if (!out || !asked || !bytes || bytes % GRAIN || flags) return INVALID_VALUE;
    if (asked->type != PINNED || asked->location.type != DEVICE) return INVALID_VALUE;
    if (asked->handle_types & ~DESCRIPTOR) return INVALID_VALUE;
    int device = asked->location.id;
    if (!cards[device].passes) return NOT_SUPPORTED;
    uint64_t number = add_row(device, bytes, VIRTUAL);
    if (!number) return OUT_OF_MEMORY;
    int fd = memfd_create("payload-manager-test-cuda", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd >= 0 && (ftruncate(fd, (off_t)bytes) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW))) {
        close(fd);
        fd = -1;
    }
    struct memory *memory = make_memory(fd, bytes, device, VIRTUAL, number);
    if (!memory) return remove_row(number), OUT_OF_MEMORY;
    memory->exportable = asked->handle_types == DESCRIPTOR;
    *out = give_handle(memory);
    return OK;
}

API cuMemRelease(uint64_t handle) {
    BEGIN(place_of(find_memory(handle)));
    struct memory *memory = find_memory(handle);
    if (!memory) return INVALID_VALUE;
    UNLINK(memories, memory);
    memory->held = false;
    let_go(memory);
    return OK;
}

API cuMemExportToShareableHandle(void *out, uint64_t handle, int type, unsigned long long flags) {
    BEGIN(place_of(find_memory(handle)));
    struct memory *memory = find_memory(handle);
    if (!out || !memory || !memory->exportable || type != DESCRIPTOR || flags) return INVALID_VALUE;
    int fd = fcntl(memory->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return OUT_OF_MEMORY;
    memcpy(out, &fd, sizeof fd);
    return OK;
}

API cuMemImportFromShareableHandle(uint64_t *out, void *descriptor, int type) {
    BEGIN(here());
    if (!out || type != DESCRIPTOR) return INVALID_VALUE;
    int given = (int)(intptr_t)descriptor;
    struct stat now;
    /* Nothing else has these seals, and they say that the length is true. */
    int seals = fcntl(given, F_GET_SEALS), wanted = F_SEAL_SHRINK | F_SEAL_GROW;
    if (seals < 0 || (seals & wanted) != wanted || fstat(given, &now) || !now.st_size || now.st_size % GRAIN)
        return INVALID_VALUE;
    struct memory *memory = make_memory(fcntl(given, F_DUPFD_CLOEXEC, 0), (size_t)now.st_size, -1, 0, 0);
    if (!memory) return OUT_OF_MEMORY;
    memory->exportable = true;
    *out = give_handle(memory);
    return OK;
}

API cuMemAddressReserve(uint64_t *out, size_t bytes, size_t align, uint64_t wish, unsigned long long flags) {
    (void)wish;
    BEGIN(here());
    if (!out || !bytes || bytes % GRAIN || align & (align - 1) || flags) return INVALID_VALUE;
    struct range *range = add_range(bytes, align, RESERVED, NULL);
    return range ? *out = range->at, OK : OUT_OF_MEMORY;
}

/* A reservation, whole: parts of one are of no use here. */
static struct range *reserved(uint64_t at, size_t bytes) {
    struct range *range = range_from(at, RESERVED);
    return range && range->bytes == bytes ? range : NULL;
}

API cuMemAddressFree(uint64_t at, size_t bytes) {
    BEGIN(place_of_range(at));
    struct range *range = reserved(at, bytes);
    if (!range || range->memory) return INVALID_VALUE;
    remove_range(range);
    return OK;
}

API cuMemMap(uint64_t at, size_t bytes, size_t offset, uint64_t handle, unsigned long long flags) {
    BEGIN(place_of(find_memory(handle)));
    struct range *range = reserved(at, bytes);
    struct memory *memory = find_memory(handle);
    if (!range || range->memory || !memory || bytes > memory->bytes || offset || flags) return INVALID_VALUE;
    memory->ranges++;
    range->memory = memory;
    return OK;
}

API cuMemUnmap(uint64_t at, size_t bytes) {
    BEGIN(place_of_range(at));
    struct range *range = reserved(at, bytes);
    if (!range || !range->memory) return INVALID_VALUE;
    struct memory *memory = range->memory;
    range->memory = NULL;
    memset(range->access, 0, sizeof range->access);
    memory->ranges--;
    let_go(memory);
    return OK;
}

API cuMemSetAccess(uint64_t at, size_t bytes, const struct access *asked, size_t length) {
    BEGIN(asked && length ? asked->location.id : NONE);
    struct range *range = reserved(at, bytes);
    if (!range || !range->memory || !asked || !length) return INVALID_VALUE;
    for (size_t i = 0; i < length; i++) {
        int flags = asked[i].flags, id = asked[i].location.id;
        if (asked[i].location.type != DEVICE || id < 0 || id >= count) return INVALID_VALUE;
        if (flags != 0 && flags != READ && flags != (READ | WRITE)) return INVALID_VALUE;
    }
    for (size_t i = 0; i < length; i++) range->access[asked[i].location.id] = asked[i].flags;
    return OK;
}

/* ---- Memory of the host. */

API cuMemHostRegister_v2(void *at, size_t bytes, unsigned flags) {
    (void)flags;
    BEGIN(CURRENT);
    if (!at || !bytes) return INVALID_VALUE;
    for (struct pinned *pin = pins; pin; pin = pin->next)
        if (pin->at < (char *)at + bytes && (char *)at < pin->at + pin->bytes) return ALREADY_REGISTERED;
    struct pinned *pin = malloc(sizeof *pin);
    if (!pin) return OUT_OF_MEMORY;
    *pin = (struct pinned){ at, bytes, pins };
    pins = pin;
    return OK;
}

API cuMemHostUnregister(void *at) {
    BEGIN(CURRENT);
    struct pinned *pin = pins;
    while (pin && pin->at != at) pin = pin->next;
    if (!pin) return at ? NOT_REGISTERED : INVALID_VALUE;
    UNLINK(pins, pin);
    free(pin);
    return OK;
}

/* ---- Copies, streams and events. */

/* Where the host has these bytes of a card. */
static int translate(int device, const struct job *job, char **to) {
    struct range *range = find_range(job->at);
    if (!range || job->bytes > range->bytes - (job->at - range->at)) return INVALID_VALUE;
    if (!range->memory || !range->access[device]) return ILLEGAL_ADDRESS;
    if (job->in && !(range->access[device] & WRITE)) return INVALID_VALUE;
    *to = range->memory->host + (job->at - range->at);
    return OK;
}

static int enqueue(struct stream *stream, bool in, uint64_t at, void *host, size_t bytes) {
    struct job *job = malloc(sizeof *job), **end = &stream->first;
    char *to;
    if (!job) return OUT_OF_MEMORY;
    *job = (struct job){ stream->queued + 1, at, host, bytes, in, NULL };
    int error = translate(stream->device, job, &to);
    if (!error && bytes && !host) error = INVALID_VALUE;
    if (error) return free(job), error;
    stream->queued++;
    while (*end) end = &(*end)->next;
    *end = job;
    return OK;
}

/* Does what is queued, up to that job; after an error it is thrown away: nobody will be at the caller's bytes later. */
static int drain(struct stream *stream, uint64_t upto, int error) {
    while (stream->busy) pthread_cond_wait(&idle, &lock);
    stream->busy = true;
    for (struct job *job; (job = stream->first) && job->number <= upto; free(job)) {
        stream->first = job->next;
        if (error) continue;
        pthread_mutex_unlock(&lock);
        take_time(stream->device, (double)job->bytes);
        pthread_mutex_lock(&lock);
        char *card;
        /* It was good when it was queued: whoever took the memory away since did not wait. */
        error = translate(stream->device, job, &card) ? ILLEGAL_ADDRESS : OK;
        if (!error) memcpy(job->in ? card : job->host, job->in ? job->host : card, job->bytes);
    }
    stream->busy = false;
    pthread_cond_broadcast(&idle);
    return error;
}

/* The stream, if it is one; null stands for the current context's own. */
static struct stream *find_stream(struct stream *asked) {
    if (!asked) return depth ? &current()->stream : NULL;
    struct stream *stream = streams;
    while (stream && stream != asked) stream = stream->next;
    return stream;
}

static int copy(struct stream *asked, bool in, uint64_t at, void *host, size_t bytes) {
    struct stream *stream = find_stream(asked);
    if (!stream) return INVALID_HANDLE;
    if (stream->device != here()) return INVALID_CONTEXT;
    return bytes ? enqueue(stream, in, at, host, bytes) : OK;
}

API cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, struct stream *stream) {
    BEGIN(CURRENT);
    return copy(stream, true, to, (void *)(uintptr_t)from, bytes);
}

API cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, struct stream *stream) {
    BEGIN(CURRENT);
    return copy(stream, false, from, to, bytes);
}

API cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
    BEGIN(CURRENT);
    int error = copy(NULL, true, to, (void *)(uintptr_t)from, bytes);
    return error ? error : drain(&current()->stream, current()->stream.queued, OK);
}

API cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
    BEGIN(CURRENT);
    int error = copy(NULL, false, from, to, bytes);
    return error ? error : drain(&current()->stream, current()->stream.queued, OK);
}

API cuStreamCreate(struct stream **out, unsigned flags) {
    BEGIN(CURRENT);
    struct stream *stream = out && flags <= 1 ? calloc(1, sizeof *stream) : NULL;
    if (!stream) return INVALID_VALUE;
    stream->device = here();
    stream->next = streams;
    *out = streams = stream;
    return OK;
}

API cuStreamSynchronize(struct stream *asked) {
    LOCKED;
    struct stream *stream = find_stream(asked);
    int said = ask(__func__, stream ? stream->device : CURRENT);
    return stream ? drain(stream, stream->queued, said) : said ? said : INVALID_HANDLE;
}

API cuStreamDestroy_v2(struct stream *asked) {
    LOCKED;
    struct stream *stream = asked ? find_stream(asked) : NULL;
    int said = ask(__func__, stream ? stream->device : CURRENT);
    if (said || !stream) return said ? said : INVALID_HANDLE;
    drain(stream, UINT64_MAX, INVALID_HANDLE);
    UNLINK(streams, stream);
    for (struct event *event = events; event; event = event->next)
        if (event->stream == stream) event->stream = NULL;
    free(stream);
    return OK;
}

/* A stream of the card that has something to do. */
static struct stream *at_work(int device) {
    if (cards[device].stream.first || cards[device].stream.busy) return &cards[device].stream;
    struct stream *stream = streams;
    while (stream && (stream->device != device || !(stream->first || stream->busy))) stream = stream->next;
    return stream;
}

API cuCtxSynchronize(void) {
    LOCKED;
    int said = ask(__func__, CURRENT);
    if (!depth) return said;
    /* Others may make and destroy streams meanwhile. */
    for (struct stream *stream; (stream = at_work(here()));) said = drain(stream, stream->queued, said);
    return said;
}

static struct event *find_event(struct event *asked) {
    struct event *event = events;
    while (event && event != asked) event = event->next;
    return event;
}

API cuEventCreate(struct event **out, unsigned flags) {
    (void)flags;
    BEGIN(CURRENT);
    struct event *event = out ? calloc(1, sizeof *event) : NULL;
    if (!event) return INVALID_VALUE;
    event->device = here();
    event->next = events;
    *out = events = event;
    return OK;
}

API cuEventRecord(struct event *asked, struct stream *given) {
    BEGIN(CURRENT);
    struct event *event = find_event(asked);
    struct stream *stream = find_stream(given);
    if (!event || !stream || event->device != stream->device) return INVALID_HANDLE;
    event->stream = stream;
    event->number = stream->queued;
    return OK;
}

API cuEventSynchronize(struct event *asked) {
    LOCKED;
    struct event *event = find_event(asked);
    int said = ask(__func__, event ? event->device : CURRENT);
    if (!event) return said ? said : INVALID_HANDLE;
    return event->stream ? drain(event->stream, event->number, said) : said;
}

API cuEventDestroy_v2(struct event *asked) {
    LOCKED;
    struct event *event = find_event(asked);
    int said = ask(__func__, event ? event->device : CURRENT);
    if (said || !event) return said ? said : INVALID_HANDLE;
    UNLINK(events, event);
    free(event);
    return OK;
}
