// What the test programs share: a check that says where it failed, a payload, and the status that a call throws.
#ifndef CHECK_HPP
#define CHECK_HPP

#include <payload_manager.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#define CHECK(what) \
    do { \
        if (!(what)) { \
            std::fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #what, pm_last_error()); \
            std::exit(1); \
        } \
    } while (0)

namespace pm = payload_manager;

inline bool holds(const pm::View &view, const char *text) {
    return view.size() == std::strlen(text) && std::memcmp(view.data(), text, view.size()) == 0 && view.text() == text;
}

#ifdef __cpp_exceptions
inline pm::Id make(const pm::Client &client, const char *text) {
    pm::Payload payload = client.create(std::strlen(text));
    std::memcpy(payload.data(), text, payload.size());
    return std::move(payload).commit().id;
}

/** The status of the Error that a call throws; PM_OK if it throws none. */
template <class Call> pm_status thrown(Call call) {
    try {
        call();
    } catch (const pm::Error &error) {
        CHECK(std::strlen(error.what()) > 0);
        return error.status();
    }
    return PM_OK;
}
#endif

#endif
