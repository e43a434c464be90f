/* What the test programs share: a check that says where it failed, and the wait for their test to go on. */
#ifndef CHECK_H
#define CHECK_H

#include <payload_manager.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #what, pm_last_error()); \
            exit(1); \
        } \
    } while (0)

#define ANSWERS(expected, call) \
    do { \
        pm_status answer = (call); \
        if (answer != (expected)) { \
            const char *name = pm_status_name(answer); \
            fprintf(stderr, "%s:%d: %s: %s: %s\n", __FILE__, __LINE__, #call, name ? name : "?", pm_last_error()); \
            exit(1); \
        } \
    } while (0)

/* Says that it got so far, and waits until the test has done its part. */
static inline void turn(const char *said) {
    puts(said);
    fflush(stdout);
    CHECK(getchar() == '\n');
}

static inline pm_id make(const pm_client *client, const char *text) {
    pm_payload *payload;
    pm_room room;
    pm_descriptor made;
    ANSWERS(PM_OK, pm_create(client, strlen(text), NULL, &payload, &room));
    memcpy(room.data, text, strlen(text));
    ANSWERS(PM_OK, pm_payload_commit(payload, &made));
    return made.id;
}

#endif
