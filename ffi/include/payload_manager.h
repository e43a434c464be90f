/*
 * Payload Manager for C: large immutable byte arrays, shared between the processes of one host without copies.
 * Made by the tests of the crate payload-manager-ffi; change that, not this.
 *
 *     pm_client *client;
 *     pm_payload *payload;
 *     pm_room room;
 *     pm_descriptor made;
 *     pm_view *view;
 *     pm_bytes bytes;
 *
 *     if (pm_connect(NULL, NULL, &client) != PM_OK ||            // this user's daemon
 *         pm_create(client, 5, NULL, &payload, &room) != PM_OK)
 *         return fprintf(stderr, "%s\n", pm_last_error());
 *     memcpy(room.data, "hello", 5);                             // written in place
 *     pm_payload_commit(payload, &made);                         // published, under made.id
 *
 *     pm_read(client, &made.id, NULL, &view, &bytes);            // in any process
 *     fwrite(bytes.data, 1, bytes.size, stdout);                 // read in place
 *     pm_view_release(view);
 *     pm_client_close(client);
 *
 * ANSWERS. Functions answer a pm_status, PM_OK if it worked, and put what they found where an `out` pointer says. After
 * an error pm_last_error() has words for it, for each thread its own; a handle asked for is NULL then, other answers are
 * left as they were.
 *
 * OWNERSHIP. pm_client, pm_payload, pm_view and the cursors are handles: yours from the call that makes one until the call
 * that ends one, and never to be followed, copied from or freed otherwise. A handle that is null, closed or made up is
 * answered with PM_INVALID_HANDLE. Memory that a call points you to is the library's, good as long as the call's comment
 * says; what you point a call to is yours, and is not kept after it.
 *
 * NULL. No pointer may be null but where a comment says so; PM_NULL_ARGUMENT otherwise.
 *
 * BLOCKING AND THREADS. Comments say which calls block; those wait for the daemon, at most pm_connect_options.deadline_ms.
 * Every function may be called from any thread at any time, unless its comment says who may. A handle that is closed while
 * another thread is in a call with it goes when that call is over; to follow a pointer while another thread ends what it
 * is good for is your bug. Nothing may be called from a signal handler.
 *
 * FORK. In a child, what is mapped stays readable, and handles of the parent answer PM_FORKED or an error where they would
 * need the daemon; they may be closed, which the parent does not notice. Connect anew for a client of the child's own.
 *
 * GROWTH. Numbers are never used again. Options begin with their size and with their _INIT, so that later fields are 0.
 */

#ifndef PAYLOAD_MANAGER_H
#define PAYLOAD_MANAGER_H

#include <stddef.h>
#include <stdint.h>

/** What options are before you change them. */
#define PM_CONNECT_OPTIONS_INIT { (uint32_t)sizeof(pm_connect_options), 0, 0 }
#define PM_CREATE_OPTIONS_INIT \
    { (uint32_t)sizeof(pm_create_options), 0, 0, 0, 0, 0, 0, 0, 0, { 0 }, NULL, NULL, NULL, 0, { 0 } }
#define PM_READ_OPTIONS_INIT { (uint32_t)sizeof(pm_read_options), 0, 0, 0, 0, { 0 } }
#define PM_SPILL_OPTIONS_INIT { (uint32_t)sizeof(pm_spill_options), 0, 0, 0, 0, 0 }
#define PM_SUBSCRIBE_OPTIONS_INIT { (uint32_t)sizeof(pm_subscribe_options), 0, 0, NULL }

/**
 * The bytes that `pm_id_format` needs: 36 characters and a 0.
 */
#define PM_ID_TEXT_SIZE 37

/**
 * The version of the interface that this header describes.
 */
#define PM_ABI_VERSION 0

/**
 * Wait without end.
 */
#define PM_FOREVER UINT64_MAX

/**
 * What a call answers. 0 is success; 1 to 9 are answers that are no errors; 10 to 99 are this library's own; 101 to 116
 * are gRPC's codes, for errors without a reason that this library knows; from 1000 on are the daemon's reasons. Numbers
 * never change their meaning. A newer library may answer with numbers that are not listed here.
 */
enum pm_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It worked.
     */
    PM_OK = 0,
    /**
     * There is no more: no error, and the last answer of a cursor.
     */
    PM_END = 1,
    /**
     * Nothing came within the time given: no error, ask again.
     */
    PM_TIMEOUT = 2,
    /**
     * There is nothing of that kind to answer with: no error.
     */
    PM_NOTHING = 3,
    /**
     * A handle that is null, closed, of another type, or never was one.
     */
    PM_INVALID_HANDLE = 10,
    /**
     * Another thread is in a call with this handle, which only one may be at a time.
     */
    PM_HANDLE_BUSY = 11,
    /**
     * A pointer is null that may not be.
     */
    PM_NULL_ARGUMENT = 12,
    /**
     * An argument is not what it must be: the message says which.
     */
    PM_BAD_ARGUMENT = 13,
    /**
     * As many handles of a type are open as there can be: 4,194,304.
     */
    PM_TOO_MANY_HANDLES = 14,
    /**
     * The handle is of the process that this one was forked from: connect anew.
     */
    PM_FORKED = 15,
    /**
     * A bug of this library's. The call may have had part of its effect.
     */
    PM_INTERNAL = 16,
    /**
     * There is no daemon at that address, or the connection broke. What was asked may have happened.
     */
    PM_UNREACHABLE = 20,
    /**
     * That is no address of a daemon on this host.
     */
    PM_BAD_ADDRESS = 21,
    /**
     * The daemon answered, but the bytes can't be opened from this process.
     */
    PM_PLACE = 22,
    /**
     * The daemon's answer is not one that the contract allows.
     */
    PM_BAD_ANSWER = 23,
    /**
     * A GPU or its driver can't do it, or there is none that this process can use.
     */
    PM_DEVICE_FAILED = 24,
    /**
     * The call was given up by its caller. Without a reason that this library knows.
     */
    PM_CODE_CANCELLED = 101,
    /**
     * An error of nobody's making that says nothing. Without a reason that this library knows.
     */
    PM_CODE_UNKNOWN = 102,
    /**
     * The request itself is wrong. Without a reason that this library knows.
     */
    PM_CODE_INVALID_ARGUMENT = 103,
    /**
     * The deadline came first; the work may still finish. Without a reason that this library knows.
     */
    PM_CODE_DEADLINE_EXCEEDED = 104,
    /**
     * No such payload, stream or lease. Without a reason that this library knows.
     */
    PM_CODE_NOT_FOUND = 105,
    /**
     * It is there already. Without a reason that this library knows.
     */
    PM_CODE_ALREADY_EXISTS = 106,
    /**
     * This user may not talk to this daemon. Without a reason that this library knows.
     */
    PM_CODE_PERMISSION_DENIED = 107,
    /**
     * Something is full. Without a reason that this library knows.
     */
    PM_CODE_RESOURCE_EXHAUSTED = 108,
    /**
     * Right request, wrong state. Without a reason that this library knows.
     */
    PM_CODE_FAILED_PRECONDITION = 109,
    /**
     * A lease is in the way. Without a reason that this library knows.
     */
    PM_CODE_ABORTED = 110,
    /**
     * A position that is gone or not yet there. Without a reason that this library knows.
     */
    PM_CODE_OUT_OF_RANGE = 111,
    /**
     * The daemon does not know this call. Without a reason that this library knows.
     */
    PM_CODE_UNIMPLEMENTED = 112,
    /**
     * A bug of the daemon's. Without a reason that this library knows.
     */
    PM_CODE_INTERNAL = 113,
    /**
     * Out of reach for now. Without a reason that this library knows.
     */
    PM_CODE_UNAVAILABLE = 114,
    /**
     * Bytes are gone, or not those that were committed. Without a reason that this library knows.
     */
    PM_CODE_DATA_LOSS = 115,
    /**
     * Nobody knows who is asking. Without a reason that this library knows.
     */
    PM_CODE_UNAUTHENTICATED = 116,
    /**
     * The bytes are no message of the expected type.
     */
    PM_MESSAGE_UNDECODABLE = 1000,
    /**
     * An id is not exactly 16 bytes, or missing.
     */
    PM_ID_LENGTH = 1001,
    /**
     * A size of 0.
     */
    PM_SIZE_ZERO = 1002,
    /**
     * A size above the configured limit.
     */
    PM_SIZE_LIMIT = 1003,
    /**
     * An enum number that the contract does not know.
     */
    PM_UNKNOWN_ENUM = 1004,
    /**
     * No tier where one is needed.
     */
    PM_TIER_REQUIRED = 1005,
    /**
     * VOID where a place is needed.
     */
    PM_VOID_IS_NO_PLACE = 1006,
    /**
     * An alignment that is no power of two, or too large.
     */
    PM_BAD_ALIGNMENT = 1007,
    /**
     * A stream's name or namespace: empty, over 255 bytes, or with control characters.
     */
    PM_BAD_STREAM_NAME = 1008,
    /**
     * A consumer group's name, by the same rules.
     */
    PM_BAD_GROUP_NAME = 1009,
    /**
     * A page token that this daemon did not make, or for another question.
     */
    PM_BAD_PAGE_TOKEN = 1010,
    /**
     * A resume token that this daemon did not make.
     */
    PM_BAD_RESUME_TOKEN = 1011,
    /**
     * Metadata, a tag or another label over its limit.
     */
    PM_METADATA_TOO_LARGE = 1012,
    /**
     * An id inside the message is not the request's.
     */
    PM_ID_MISMATCH = 1013,
    /**
     * A time that is malformed, or before 1970.
     */
    PM_BAD_TIME = 1014,
    /**
     * A time beyond the year 9999.
     */
    PM_TIME_TOO_LATE = 1015,
    /**
     * A range that ends before it starts.
     */
    PM_BAD_RANGE = 1016,
    /**
     * A payload as its own parent.
     */
    PM_SELF_PARENT = 1017,
    /**
     * More items than one call may have.
     */
    PM_BATCH_TOO_LARGE = 1018,
    /**
     * Retention has removed that position of a stream.
     */
    PM_OFFSET_REMOVED = 1019,
    /**
     * That position of a stream is not yet to be written.
     */
    PM_OFFSET_BEYOND_END = 1020,
    /**
     * The daemon no longer has what followed that resume token.
     */
    PM_RESUME_TOKEN_TOO_OLD = 1021,
    /**
     * There is no such session to be taken up: it has ended, or is in use.
     */
    PM_SESSION_NOT_FOUND = 1022,
    /**
     * There is no such segment: it is gone, or never was.
     */
    PM_SEGMENT_NOT_FOUND = 1023,
    /**
     * No such payload, or it is deleted or expired.
     */
    PM_PAYLOAD_NOT_FOUND = 1024,
    /**
     * No such stream, or it is deleted.
     */
    PM_STREAM_NOT_FOUND = 1025,
    /**
     * The lease is over, or never was.
     */
    PM_LEASE_OVER = 1026,
    /**
     * A stream of that name is there.
     */
    PM_STREAM_EXISTS = 1027,
    /**
     * Committed once already.
     */
    PM_ALREADY_COMMITTED = 1028,
    /**
     * Not committed yet.
     */
    PM_NOT_COMMITTED = 1029,
    /**
     * The daemon has no such tier.
     */
    PM_TIER_NOT_CONFIGURED = 1030,
    /**
     * Client and daemon share no layout of the shared pages.
     */
    PM_LAYOUT_NOT_SHARED = 1031,
    /**
     * No copy is fast enough, and the call was not to wait; one is being made.
     */
    PM_MIN_TIER_NOT_MET = 1032,
    /**
     * A spill to a tier faster than where it is.
     */
    PM_SPILL_TO_FASTER = 1033,
    /**
     * A promotion to a tier slower than where it is.
     */
    PM_PROMOTE_TO_SLOWER = 1034,
    /**
     * The edge would close a cycle.
     */
    PM_LINEAGE_CYCLE = 1035,
    /**
     * Import of what is no OBJECT allocation, or not in the bucket with that size.
     */
    PM_IMPORT_MISMATCH = 1036,
    /**
     * The client's object or file does not have the size it asked for.
     */
    PM_SIZE_MISMATCH = 1037,
    /**
     * The producer of a SEALED payload still has its memory mapped: unmap it first.
     */
    PM_STILL_MAPPED = 1038,
    /**
     * SEALED over plain gRPC.
     */
    PM_SEALED_NEEDS_SESSION = 1039,
    /**
     * A protection that the daemon does not offer for that tier.
     */
    PM_PROTECTION_NOT_OFFERED = 1040,
    /**
     * Pinned: unpin it first.
     */
    PM_PINNED = 1041,
    /**
     * The policy's `min_residency_tier` forbids it.
     */
    PM_MIN_RESIDENCY = 1042,
    /**
     * The policy's `require_durable` forbids it.
     */
    PM_REQUIRE_DURABLE = 1043,
    /**
     * Retention has cut into the range.
     */
    PM_RANGE_CUT = 1044,
    /**
     * A live lease is in the way.
     */
    PM_LEASED = 1045,
    /**
     * The user has as many sessions as it may have.
     */
    PM_SESSION_LIMIT = 1046,
    /**
     * The tier is full and nothing may be evicted.
     */
    PM_TIER_FULL = 1047,
    /**
     * As many payloads as the daemon is made for.
     */
    PM_PAYLOAD_LIMIT = 1048,
    /**
     * As many SEALED payloads as the daemon has descriptors for.
     */
    PM_SEALED_LIMIT = 1049,
    /**
     * As many leases as the daemon is made for.
     */
    PM_LEASE_LIMIT = 1050,
    /**
     * The answer would not fit a message; the message says how to ask for less.
     */
    PM_ANSWER_TOO_LARGE = 1051,
    /**
     * The bytes are gone.
     */
    PM_BYTES_LOST = 1052,
    /**
     * The bytes are not those that were committed.
     */
    PM_CHECKSUM_MISMATCH = 1053,
    /**
     * A tier's storage is out of reach for now.
     */
    PM_STORE_UNAVAILABLE = 1054,
    /**
     * The catalog is out of reach for now.
     */
    PM_CATALOG_UNAVAILABLE = 1055,
    /**
     * The daemon is stopping.
     */
    PM_SHUTTING_DOWN = 1056,
    /**
     * The caller's deadline came first; the work may still finish.
     */
    PM_DEADLINE = 1057,
    /**
     * The peer's uid or gid is not allowed on this socket.
     */
    PM_PEER_NOT_ALLOWED = 1058,
    /**
     * Not the session's secret, or not its user.
     */
    PM_SESSION_SECRET = 1059,
    /**
     * This daemon does not know the call.
     */
    PM_NOT_IMPLEMENTED = 1060,
    /**
     * A bug of the daemon's.
     */
    PM_BUG = 1061,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pm_status pm_status;
#else
typedef int32_t pm_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Where bytes can be, fast to slow.
 */
enum pm_tier
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Where a tier may be left out: none given.
     */
    PM_TIER_ANY = 0,
    /**
     * Device memory.
     */
    PM_TIER_GPU = 1,
    /**
     * Shared memory.
     */
    PM_TIER_RAM = 2,
    /**
     * Files. Survives a reboot.
     */
    PM_TIER_DISK = 3,
    /**
     * A bucket. Survives the host.
     */
    PM_TIER_OBJECT = 4,
    /**
     * No place: as a spill target, delete instead of moving.
     */
    PM_TIER_VOID = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pm_tier pm_tier;
#else
typedef uint32_t pm_tier;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How far a payload has come.
 */
enum pm_state
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Being written.
     */
    PM_STATE_ALLOCATED = 1,
    /**
     * Committed.
     */
    PM_STATE_ACTIVE = 2,
    /**
     * Readable, and on its way to a slower tier.
     */
    PM_STATE_SPILLING = 3,
    /**
     * Committed, with a copy that survives a reboot.
     */
    PM_STATE_DURABLE = 4,
    /**
     * Readable, and losing its faster copy.
     */
    PM_STATE_EVICTING = 5,
    /**
     * About to be gone.
     */
    PM_STATE_DELETING = 6,
    /**
     * Its time is over.
     */
    PM_STATE_EXPIRED = 7,
    /**
     * Gone.
     */
    PM_STATE_DELETED = 8,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pm_state pm_state;
#else
typedef uint32_t pm_state;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Who could still write after commit.
 */
enum pm_protection
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The producer, if it keeps a pointer: nobody stops it.
     */
    PM_PROTECTION_SHARED = 1,
    /**
     * Nobody but the daemon: commit copies.
     */
    PM_PROTECTION_STRICT = 2,
    /**
     * Nobody: the kernel forbids it.
     */
    PM_PROTECTION_SEALED = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pm_protection pm_protection;
#else
typedef uint32_t pm_protection;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How soon eviction takes a payload.
 */
enum pm_priority
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Before others.
     */
    PM_PRIORITY_LOW = 1,
    /**
     * The default.
     */
    PM_PRIORITY_NORMAL = 2,
    /**
     * After others.
     */
    PM_PRIORITY_HIGH = 3,
    /**
     * Not at all.
     */
    PM_PRIORITY_NEVER = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pm_priority pm_priority;
#else
typedef uint32_t pm_priority;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Whose memory a pointer is of.
 */
enum pm_device
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * The host's: any thread follows the pointer.
     */
    PM_DEVICE_HOST = 0,
    /**
     * A CUDA device's: a CUdeviceptr, good in the device's primary context, for kernels and copies. The host must not
     * follow it. Only payloads that were created in PM_TIER_GPU, and reads with on_device, answer with it.
     *
     * Streams are yours to see to. Before a commit, everything that writes to the payload has finished: synchronize the
     * stream, or give the commit an event. A read has nothing to wait for. Before a view is released, everything that
     * reads from it has finished.
     */
    PM_DEVICE_CUDA = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pm_device pm_device;
#else
typedef uint32_t pm_device;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Where to begin.
 */
enum pm_start
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * At the oldest entry that is kept.
     */
    PM_START_BEGINNING = 0,
    /**
     * At the next that is appended.
     */
    PM_START_LATEST = 1,
    /**
     * At pm_subscribe_options.offset.
     */
    PM_START_OFFSET = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum pm_start pm_start;
#else
typedef uint32_t pm_start;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A connection to this host's daemon. Any number of threads may use it at once. Made by pm_connect; yours until
 * pm_client_close.
 */
typedef struct pm_client pm_client;

/**
 * Edges of a lineage. One thread at a time uses it. Made by pm_lineage_get; yours until pm_lineage_close.
 */
typedef struct pm_lineage pm_lineage;

/**
 * Payloads, newest first. One thread at a time uses it. Made by pm_list_open; yours until pm_list_close.
 */
typedef struct pm_list pm_list;

/**
 * Metadata, or an event of it, with what it points to. Made by pm_metadata_get; yours until pm_metadata_close.
 */
typedef struct pm_metadata pm_metadata;

/**
 * Events, oldest first. One thread at a time uses it. Made by pm_metadata_events; yours until pm_metadata_events_close.
 */
typedef struct pm_metadata_cursor pm_metadata_cursor;

/**
 * A payload that is being written. One thread at a time uses it. Made by pm_create; yours until pm_payload_commit or
 * pm_payload_abort, of which one must come.
 */
typedef struct pm_payload pm_payload;

/**
 * A stream that is followed. One thread at a time uses it. Made by pm_subscribe; yours until pm_subscription_close.
 */
typedef struct pm_subscription pm_subscription;

/**
 * A committed payload's bytes, in place, kept there by a lease that is renewed by itself. Any number of threads may read
 * them and use the view. Made by pm_read; yours until pm_view_release.
 */
typedef struct pm_view pm_view;

/**
 * A payload's name: sixteen bytes, made by the daemon. Copy and compare them as they are.
 */
typedef struct {
    /**
     * In the order in which they are written.
     */
    uint8_t bytes[16];
} pm_id;

/**
 * How to connect. Begin with PM_CONNECT_OPTIONS_INIT.
 */
typedef struct {
    /**
     * sizeof(pm_connect_options).
     */
    uint32_t size;
    /**
     * 0 for now.
     */
    uint32_t reserved;
    /**
     * After so long every call on this connection gives up with PM_DEADLINE; 0 is never.
     */
    uint64_t deadline_ms;
} pm_connect_options;

/**
 * A payload as it is at one moment. Times are milliseconds since 1970.
 */
typedef struct {
    /**
     * Which.
     */
    pm_id id;
    /**
     * Bytes.
     */
    uint64_t size;
    /**
     * Grows at every change of placement or state.
     */
    uint64_t version;
    /**
     * When it was allocated.
     */
    uint64_t created_ms;
    /**
     * When its time is over; 0 if never.
     */
    uint64_t expires_ms;
    /**
     * A pm_tier: that of the fastest copy.
     */
    uint32_t tier;
    /**
     * A pm_state.
     */
    uint32_t state;
    /**
     * The tiers with a copy: bit 1 << tier of each.
     */
    uint32_t copies;
    /**
     * A pm_protection.
     */
    uint32_t protection;
    /**
     * A pm_device: whose memory the fastest copy is in.
     */
    uint32_t device_kind;
    /**
     * Which device of that kind; 0 for the host.
     */
    uint32_t device;
    /**
     * Of the bytes: XXH3, 128 bits, once has_checksum is 1.
     */
    uint8_t checksum[16];
    /**
     * 1 if checksum is known.
     */
    uint8_t has_checksum;
    /**
     * 1 if no copy outlives the daemon.
     */
    uint8_t dies_with_daemon;
    /**
     * 0 for now.
     */
    uint8_t reserved[30];
} pm_descriptor;

/**
 * What a tensor's elements are: a DLDataType.
 */
typedef struct {
    /**
     * A DLDataTypeCode: 0 is signed, 1 unsigned, 2 floating point, 4 bfloat16, 5 complex, 6 bool.
     */
    uint8_t code;
    /**
     * Bits of one element.
     */
    uint8_t bits;
    /**
     * Elements in a vector: 1, mostly.
     */
    uint16_t lanes;
} pm_dtype;

/**
 * A word of one's own about a payload or an entry.
 */
typedef struct {
    /**
     * Not null.
     */
    const char *key;
    /**
     * Null is "".
     */
    const char *value;
} pm_tag;

/**
 * How to make a payload. Begin with PM_CREATE_OPTIONS_INIT.
 */
typedef struct {
    /**
     * sizeof(pm_create_options).
     */
    uint32_t size;
    /**
     * The pm_tier to write in; 0 is PM_TIER_RAM.
     */
    uint32_t tier;
    /**
     * How long it lives; 0 is for ever.
     */
    uint64_t ttl_ms;
    /**
     * A pm_protection; 0 is PM_PROTECTION_SHARED.
     */
    uint32_t protection;
    /**
     * A pm_priority; 0 is PM_PRIORITY_NORMAL.
     */
    uint32_t priority;
    /**
     * The pm_tier that eviction moves it to; 0 is PM_TIER_DISK, and PM_TIER_VOID deletes it.
     */
    uint32_t spill_target;
    /**
     * The slowest pm_tier that eviction may move it to; 0 is any.
     */
    uint32_t min_residency;
    /**
     * 1: eviction leaves it where it is.
     */
    uint8_t no_evict;
    /**
     * 1: eviction may only take a copy while a durable one is there.
     */
    uint8_t require_durable;
    /**
     * 0 for now.
     */
    uint8_t reserved[6];
    /**
     * A dataset's name, or null.
     */
    const char *dataset;
    /**
     * Who makes it, or null.
     */
    const char *producer;
    /**
     * Words of one's own; null if tags_len is 0.
     */
    const pm_tag *tags;
    /**
     * How many.
     */
    size_t tags_len;
    /**
     * For PM_TIER_GPU, the UUID of the device to write on; zeros are any that this process may see.
     */
    uint8_t device[16];
} pm_create_options;

/**
 * A payload's bytes, to be written.
 */
typedef struct {
    /**
     * The first of them; never null in an answer of PM_OK. What they hold before they are written is not specified.
     */
    void *data;
    /**
     * How many there are.
     */
    uint64_t size;
    /**
     * A pm_device.
     */
    uint32_t device_kind;
    /**
     * Which device of that kind, by its number in this process; 0 for the host.
     */
    uint32_t device;
} pm_room;

/**
 * How to read. Begin with PM_READ_OPTIONS_INIT.
 */
typedef struct {
    /**
     * sizeof(pm_read_options).
     */
    uint32_t size;
    /**
     * The slowest pm_tier to read from; 0 is any. What is slower is promoted first.
     */
    uint32_t min_tier;
    /**
     * 1: do not wait for a promotion but answer PM_MIN_TIER_NOT_MET, while it is made in the background.
     */
    uint32_t no_wait;
    /**
     * 1: memory of a GPU will do, too: look at device_kind before the pointer is followed. 0: what lies there alone is
     * answered with PM_PLACE. A min_tier of PM_TIER_GPU means 1.
     */
    uint32_t on_device;
    /**
     * How long a lease to ask for; 0 leaves that to the daemon.
     */
    uint64_t lease_ms;
    /**
     * For a min_tier of PM_TIER_GPU, the UUID of the device to copy it to where it is on none; zeros are any that this
     * process may see.
     */
    uint8_t device[16];
} pm_read_options;

/**
 * A payload's bytes, to be read.
 */
typedef struct {
    /**
     * The first of them; never null in an answer of PM_OK. Not to be written to.
     */
    const void *data;
    /**
     * How many there are.
     */
    uint64_t size;
    /**
     * A pm_device.
     */
    uint32_t device_kind;
    /**
     * Which device of that kind, by its number in this process; 0 for the host.
     */
    uint32_t device;
} pm_bytes;

/**
 * That a payload was made from another.
 */
typedef struct {
    /**
     * What was made; not looked at if you give it.
     */
    pm_id child;
    /**
     * What it was made from.
     */
    pm_id parent;
    /**
     * What was done; null is "" if you give it.
     */
    const char *operation;
    /**
     * What the parent was to it; null is "" if you give it.
     */
    const char *role;
    /**
     * Opaque; may be null if parameters_len is 0 and you give it.
     */
    const void *parameters;
    /**
     * Bytes.
     */
    size_t parameters_len;
} pm_edge;

/**
 * A payload in a list. Times are milliseconds since 1970.
 */
typedef struct {
    /**
     * Which.
     */
    pm_id id;
    /**
     * Bytes.
     */
    uint64_t size;
    /**
     * When it was allocated.
     */
    uint64_t created_ms;
    /**
     * When its time is over; 0 if never.
     */
    uint64_t expires_ms;
    /**
     * A pm_tier: that of the fastest copy.
     */
    uint32_t tier;
    /**
     * A pm_state.
     */
    uint32_t state;
    /**
     * How many leases there are on it.
     */
    uint32_t active_leases;
    /**
     * 0 for now.
     */
    uint32_t reserved;
} pm_summary;

/**
 * What is said about a payload.
 */
typedef struct {
    /**
     * Opaque to everybody but those who wrote it; may be null if data_len is 0 and you give it.
     */
    const void *data;
    /**
     * Bytes.
     */
    size_t data_len;
    /**
     * What data is; null is "" if you give it.
     */
    const char *schema;
    /**
     * Of an event: who said it; null is "" if you give it.
     */
    const char *source;
    /**
     * Of an event: which version said it; null is "" if you give it.
     */
    const char *version;
    /**
     * When it was said, in milliseconds since 1970; not looked at if you give it.
     */
    uint64_t at_ms;
} pm_metadata_info;

/**
 * What a tier holds.
 */
typedef struct {
    /**
     * Payloads whose fastest copy is there.
     */
    uint64_t payloads;
    /**
     * Their bytes.
     */
    uint64_t bytes;
    /**
     * Bytes that it may hold; 0 if it is not configured, UINT64_MAX if there is no limit.
     */
    uint64_t capacity;
    /**
     * Bytes that are free; UINT64_MAX if there is no limit.
     */
    uint64_t free;
} pm_tier_stats;

/**
 * What the daemon holds.
 */
typedef struct {
    /**
     * By pm_tier: GPU at 1, to OBJECT at 4; 0 is not used.
     */
    pm_tier_stats tiers[5];
    /**
     * Leases that hold.
     */
    uint64_t live_leases;
    /**
     * Clients with a session.
     */
    uint64_t sessions;
    /**
     * 0 for now.
     */
    uint64_t reserved[6];
} pm_stats_info;

/**
 * An entry of a stream.
 */
typedef struct {
    /**
     * The payload.
     */
    pm_id id;
    /**
     * Its number in the stream, from 0; not looked at if you give it.
     */
    uint64_t offset;
    /**
     * When it was appended, in milliseconds since 1970; not looked at if you give it.
     */
    uint64_t append_ms;
    /**
     * When what it is about happened: seconds since 1970, if has_event_time is 1.
     */
    int64_t event_seconds;
    /**
     * And nanoseconds.
     */
    uint32_t event_nanos;
    /**
     * 1 if there is an event time.
     */
    uint32_t has_event_time;
    /**
     * How long what it is about took.
     */
    uint64_t duration_ns;
    /**
     * Words of one's own; null if tags_len is 0.
     */
    const pm_tag *tags;
    /**
     * How many.
     */
    size_t tags_len;
} pm_entry;

/**
 * How to follow a stream. Begin with PM_SUBSCRIBE_OPTIONS_INIT.
 */
typedef struct {
    /**
     * sizeof(pm_subscribe_options).
     */
    uint32_t size;
    /**
     * A pm_start; for a group, where to begin when it has committed nothing yet.
     */
    uint32_t start;
    /**
     * For PM_START_OFFSET.
     */
    uint64_t offset;
    /**
     * A group, which goes on after what it has committed; or null.
     */
    const char *group;
} pm_subscribe_options;

/**
 * How to spill. Begin with PM_SPILL_OPTIONS_INIT.
 */
typedef struct {
    /**
     * sizeof(pm_spill_options).
     */
    uint32_t size;
    /**
     * The pm_tier to spill to; 0 is what the payload's policy says.
     */
    uint32_t target;
    /**
     * 1: do not wait until it is done.
     */
    uint32_t no_wait;
    /**
     * 1: wait until nobody reads it.
     */
    uint32_t wait_for_leases;
    /**
     * 1: answer before the copy would survive a loss of power.
     */
    uint32_t no_fsync;
    /**
     * 0 for now.
     */
    uint32_t reserved;
} pm_spill_options;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Why this thread's last failed call failed, in words for people; never null, "" if none failed yet. It belongs to the
 * library and stays as it is until another call of this thread fails.
 */
const char *pm_last_error(void);

/**
 * 1 if what this thread's last failed call asked may succeed later, asked again unchanged; else 0.
 */
uint8_t pm_last_error_is_retryable(void);

/**
 * A status by its name, as "PM_OK"; null for a number that this library does not know. It belongs to the library and
 * stays for ever.
 */
const char *pm_status_name(int32_t status);

/**
 * Reads an id from text as `pm_id_format` writes it; dashes may be left out. Does not block.
 */
pm_status pm_id_parse(const char *text, pm_id *out);

/**
 * Writes an id as text, "0196f3a2-…" with a 0 at the end, into `text`, which has room for PM_ID_TEXT_SIZE bytes. Does
 * not block.
 */
pm_status pm_id_format(const pm_id *id, char *text);

/**
 * The library's version, as "0.1.0". It belongs to the library and stays for ever.
 */
const char *pm_version(void);

/**
 * The version of this interface, as in the library's soname. A program that was built against a header with another
 * PM_ABI_VERSION can't use this library.
 */
uint32_t pm_abi_version(void);

/**
 * Connects to the daemon. Blocks.
 *
 * `address`: the path of its socket or of its runtime folder, "unix:PATH", or "http://HOST:PORT" on loopback; null for
 * this user's own daemon. `options` may be null. `*out` is yours: close it with pm_client_close.
 */
pm_status pm_connect(const char *address, const pm_connect_options *options, pm_client **out);

/**
 * The same connection, with every request part of the caller's trace: where the daemon sends traces, its spans are children
 * of the caller's. What is made with it, like a payload to be committed, belongs to the trace, too. Does not block, and is
 * cheap enough for every request that a program serves.
 *
 * `traceparent`, `tracestate`: as W3C trace context has them in headers; null or ""
 * is none. PM_BAD_ARGUMENT if it is neither. `*out` is yours: close it with pm_client_close, in any order with `client`.
 */
pm_status pm_client_with_trace(const pm_client *client,
                               const char *traceparent,
                               const char *tracestate,
                               pm_client **out);

/**
 * Closes a connection. Payloads, views and cursors made with it stay usable, and keep its thread running, until they are
 * closed too. The last of all that to be closed blocks until the daemon has been told, a second at most. In a child after
 * fork it does nothing but forget.
 */
pm_status pm_client_close(pm_client *client);

/**
 * 1 if leases are taken in shared memory, 0 if each takes a call to the daemon (or the handle is invalid). May block.
 */
uint8_t pm_client_has_session(const pm_client *client);

/**
 * Returns when the daemon has been told of all that was released and dropped before. Blocks.
 */
pm_status pm_flush(const pm_client *client);

/**
 * Where a payload is now: advice, for nothing keeps it there. Blocks.
 */
pm_status pm_resolve(const pm_client *client, const pm_id *id, pm_descriptor *out);

/**
 * Deletes a payload in every tier. PM_LEASED if somebody reads it, unless `force` is 1: then leases are over from that
 * moment, and bytes that are mapped stay until their views are released. Blocks.
 */
pm_status pm_delete(const pm_client *client, const pm_id *id, uint8_t force);

/**
 * A view's bytes as a tensor, row by row, for libraries that take DLPack (version 1.0): no byte is copied. `*out` is a
 * DLManagedTensorVersioned, marked read-only; it has a share of the lease, and is yours until its deleter is called. The
 * view may be released before.
 *
 * The shape has `ndim` numbers, none negative, and elements need not fill the payload. On a GPU the consumer's streams are
 * to have finished reading when the deleter is called. Does not block.
 */
pm_status pm_view_to_dlpack(const pm_view *view,
                            pm_dtype dtype,
                            const int64_t *shape,
                            uint32_t ndim,
                            void **out);

/**
 * Allocates a payload of `size` bytes, to be written in place. Blocks.
 *
 * `options` may be null: RAM, for ever. `*out` is yours: end it with pm_payload_commit or pm_payload_abort. `bytes` is
 * where to write, good until then; it may be null, and asked for later with pm_payload_bytes.
 */
pm_status pm_create(const pm_client *client,
                    uint64_t size,
                    const pm_create_options *options,
                    pm_payload **out,
                    pm_room *bytes);

/**
 * Where to write a payload's bytes: good until it is committed or aborted. Does not block.
 */
pm_status pm_payload_bytes(const pm_payload *payload, pm_room *out);

/**
 * A payload's name, before it is committed. Does not block.
 */
pm_status pm_payload_id(const pm_payload *payload, pm_id *out);

/**
 * Publishes a payload's bytes, for good. Blocks.
 *
 * The handle and the pointer are gone afterwards, whatever the answer (but for PM_INVALID_HANDLE and PM_HANDLE_BUSY, which
 * do nothing): if it failed, the payload is deleted, unless the answer says that the daemon could not be asked. `out` may
 * be null.
 */
pm_status pm_payload_commit(pm_payload *payload,
                            pm_descriptor *out);

/**
 * The same, once a CUDA event has been reached: `event` is a CUevent, or a cudaEvent_t, recorded after the last work that
 * writes to the payload, in a thread that has a CUDA context. Blocks. If that work failed, or there is no driver, the answer is
 * PM_DEVICE_FAILED, and the payload is deleted.
 */
pm_status pm_payload_commit_after_event(pm_payload *payload,
                                        void *event,
                                        pm_descriptor *out);

/**
 * Copies `size` bytes from `from` into a payload at `offset`, wherever it is. Blocks until they are there.
 */
pm_status pm_payload_copy(pm_payload *payload, uint64_t offset, const void *from, size_t size);

/**
 * Gives a payload up and returns when it is deleted. Blocks. The handle and the pointer are gone afterwards.
 */
pm_status pm_payload_abort(pm_payload *payload);

/**
 * Leases a committed payload and maps its bytes, wherever they are. With a session it mostly is a few hundred nanoseconds
 * without a system call; otherwise it blocks.
 *
 * `options` may be null. `*out` is yours: release it. `bytes` is where the bytes are, good until then, even when the lease
 * or the daemon is gone; it may be null, and asked for later with pm_view_bytes.
 */
pm_status pm_read(const pm_client *client,
                  const pm_id *id,
                  const pm_read_options *options,
                  pm_view **out,
                  pm_bytes *bytes);

/**
 * Where a view's bytes are: good until it is released. Does not block.
 */
pm_status pm_view_bytes(const pm_view *view, pm_bytes *out);

/**
 * Copies `size` bytes of a payload from `offset` on to `into`, wherever they are. Blocks until they are there.
 */
pm_status pm_view_copy(const pm_view *view, uint64_t offset, void *into, size_t size);

/**
 * The payload as it was when it was leased. Does not block.
 */
pm_status pm_view_descriptor(const pm_view *view, pm_descriptor *out);

/**
 * 1 while the lease holds, as far as this process knows: the bytes are those that were committed. 0 when it is over, or
 * for an invalid handle. Does not block.
 */
uint8_t pm_view_is_valid(const pm_view *view);

/**
 * Milliseconds that the lease holds from now, unless it is renewed; 0 when it is over, or for an invalid handle. Does not
 * block.
 */
uint64_t pm_view_time_left_ms(const pm_view *view);

/**
 * Renews the lease now; it is renewed by itself anyway. May block.
 */
pm_status pm_view_renew(const pm_view *view);

/**
 * Gives a view up: its handle and its pointer are gone, and the lease is given back, with a session at once, otherwise
 * soon (pm_flush waits for it). Blocks only if it is the last of a connection that is closed.
 */
pm_status pm_view_release(pm_view *view);

/**
 * Remembers what `child` was made from: all `len` edges or none. Blocks.
 */
pm_status pm_lineage_add(const pm_client *client, const pm_id *child, const pm_edge *edges, size_t len);

/**
 * What a payload was made from, or with `descendants` 1 what was made from it, up to `max_depth` steps away (0: all).
 * Blocks. `*out` is yours: close it with pm_lineage_close.
 */
pm_status pm_lineage_get(const pm_client *client,
                         const pm_id *id,
                         uint8_t descendants,
                         uint32_t max_depth,
                         pm_lineage **out);

/**
 * The next edge, or PM_END. Does not block. What `out` points to is good until the next call with this lineage.
 */
pm_status pm_lineage_next(pm_lineage *lineage, pm_edge *out);

/**
 * Ends what pm_lineage_get made. Does not block.
 */
pm_status pm_lineage_close(pm_lineage *lineage);

/**
 * Lists payloads, all of them or those whose fastest copy is in the pm_tier `tier` (0: any). Does not block. `*out` is
 * yours: close it with pm_list_close.
 */
pm_status pm_list_open(const pm_client *client, uint32_t tier, pm_list **out);

/**
 * The next payload, or PM_END. Blocks when it is time for another page.
 */
pm_status pm_list_next(pm_list *list, pm_summary *out);

/**
 * Ends a list. Does not block, unless it is the last of a connection that is closed.
 */
pm_status pm_list_close(pm_list *list);

/**
 * What is said about a payload now; PM_NOTHING, and `*owner` null, if nothing is. Blocks. `out` points into `*owner`,
 * which is yours: close it with pm_metadata_close.
 */
pm_status pm_metadata_get(const pm_client *client, const pm_id *id, pm_metadata **owner, pm_metadata_info *out);

/**
 * Ends what pm_metadata_get made. Does not block.
 */
pm_status pm_metadata_close(pm_metadata *owner);

/**
 * Says something about a payload, instead of what was said; with `merge` 1 the data or the schema that comes empty keeps
 * its stored value. Blocks.
 */
pm_status pm_metadata_set(const pm_client *client,
                          const pm_id *id,
                          const pm_metadata_info *metadata,
                          uint8_t merge);

/**
 * Adds an event to what is said about a payload. Blocks.
 */
pm_status pm_metadata_append_event(const pm_client *client, const pm_id *id, const pm_metadata_info *event);

/**
 * The events of a payload. Does not block. `*out` is yours: close it with pm_metadata_events_close.
 */
pm_status pm_metadata_events(const pm_client *client, const pm_id *id, pm_metadata_cursor **out);

/**
 * The next event, or PM_END. Blocks. What `out` points to is good until the next call with this cursor.
 */
pm_status pm_metadata_events_next(pm_metadata_cursor *events, pm_metadata_info *out);

/**
 * Ends a cursor. Does not block, unless it is the last of a connection that is closed.
 */
pm_status pm_metadata_events_close(pm_metadata_cursor *events);

/**
 * What the daemon holds now. Blocks.
 */
pm_status pm_stats(const pm_client *client, pm_stats_info *out);

/**
 * Makes a stream, called "name" or "namespace/name", that keeps so many entries for so long; 0 is without limit. Blocks.
 */
pm_status pm_stream_create(const pm_client *client,
                           const char *stream,
                           uint64_t max_entries,
                           uint64_t max_age_seconds);

/**
 * Deletes a stream with its entries and groups, and ends its subscriptions. Blocks.
 */
pm_status pm_stream_delete(const pm_client *client, const char *stream);

/**
 * Appends committed payloads: all `len` of them or none. Blocks until they are durable. Of an entry, set `id` and leave
 * the rest 0 if there is nothing to say. `first_offset` is the number of the first, and may be null.
 */
pm_status pm_stream_append(const pm_client *client,
                           const char *stream,
                           const pm_entry *entries,
                           size_t len,
                           uint64_t *first_offset);

/**
 * The offset at which a group goes on, or PM_NOTHING if it has committed nothing. Blocks.
 */
pm_status pm_stream_committed(const pm_client *client, const char *stream, const char *group, uint64_t *out);

/**
 * Follows a stream: what it holds, then what is appended. Blocks. `options` may be null: from the oldest entry. `*out` is
 * yours: close it with pm_subscription_close.
 */
pm_status pm_subscribe(const pm_client *client,
                       const char *stream,
                       const pm_subscribe_options *options,
                       pm_subscription **out);

/**
 * The next entry. Blocks until there is one, at most so many milliseconds (PM_FOREVER: without end), then PM_TIMEOUT. An
 * error is the end of the subscription. What `out` points to is good until the next call with this subscription.
 */
pm_status pm_subscription_next(pm_subscription *subscription,
                               uint64_t timeout_ms,
                               pm_entry *out);

/**
 * Remembers that this subscription's group is done with the entries up to this one. Blocks.
 */
pm_status pm_subscription_commit(const pm_subscription *subscription, uint64_t offset);

/**
 * Ends a subscription. Does not block, unless it is the last of a connection that is closed.
 */
pm_status pm_subscription_close(pm_subscription *subscription);

/**
 * Copies a payload to the pm_tier `to_tier`, which is faster than where it is. Blocks until it is there, unless `no_wait`
 * is 1. `out` may be null.
 */
pm_status pm_promote(const pm_client *client,
                     const pm_id *id,
                     uint32_t to_tier,
                     uint8_t no_wait,
                     pm_descriptor *out);

/**
 * Moves a payload to a slower tier. Blocks. `options` may be null: to where its policy says, and on disk for good when it
 * answers. PM_NOTHING if it is deleted by that (PM_TIER_VOID). `out` may be null.
 */
pm_status pm_spill(const pm_client *client,
                   const pm_id *id,
                   const pm_spill_options *options,
                   pm_descriptor *out);

/**
 * Has a payload copied to the pm_tier `to_tier` in the background. Blocks until the daemon knows.
 */
pm_status pm_prefetch(const pm_client *client, const pm_id *id, uint32_t to_tier);

/**
 * Keeps a payload where it is for so many milliseconds, or with 0 until pm_unpin. Blocks until the daemon knows.
 */
pm_status pm_pin(const pm_client *client, const pm_id *id, uint64_t duration_ms);

/**
 * Ends a pin. Blocks until the daemon knows.
 */
pm_status pm_unpin(const pm_client *client, const pm_id *id);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* PAYLOAD_MANAGER_H */
