/*
 * Payload Manager for C++17 and later: payload_manager.h with owners, ranges and errors as C++ has them. Header-only; link
 * with what a C program links with.
 *
 *     #include <payload_manager.hpp>
 *
 *     #include <cstring>
 *     #include <iostream>
 *
 *     namespace pm = payload_manager;
 *
 *     int main() try {
 *         pm::Client client = pm::Client::connect();                        // this user's daemon
 *
 *         pm::Payload payload = client.create(5);
 *         std::memcpy(payload.data(), "hello", payload.size());             // written in place
 *         pm::Id id = std::move(payload).commit().id;                       // published, under that name
 *
 *         pm::View view = client.read(id);                                  // in any process
 *         std::cout << view.text() << '\n';                                 // read in place
 *     } catch (const pm::Error &error) {
 *         std::cerr << error.what() << '\n';
 *         return 1;
 *     }
 *
 * ERRORS. What can fail throws Error. Its twin, `try_` before the name, throws nothing but std::bad_alloc and answers a
 * Result: the value, or the status and the words for it. Define PM_NO_EXCEPTIONS, or build with -fno-exceptions, and only
 * the twins are there. What is no error (nothing there, no more, nothing yet) is an empty std::optional.
 *
 * OWNERSHIP. Client, Payload, View, Metadata and the cursors own what they stand for and give it up in their destructors,
 * in whatever order; they move and are not copied. One that was moved from has no bytes, and its calls answer
 * PM_INVALID_HANDLE. Descriptors, entries and the other structs are those of C; where they point to is good until the next
 * call with the cursor they come from, or its end. handle() is what the functions of C take, and stays the owner's.
 *
 * BLOCKING, THREADS, FORK. As in payload_manager.h, which says so at the function of that name: any number of threads may
 * use a Client and a View at once, and one at a time the others. Destructors and moves are for one thread, as ever.
 *
 * UNITS. Sizes are bytes, times milliseconds; what takes or answers a std::chrono type says so.
 */

#ifndef PAYLOAD_MANAGER_HPP
#define PAYLOAD_MANAGER_HPP

#include "payload_manager.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if !defined(PM_NO_EXCEPTIONS) && defined(__cpp_exceptions)
#define PAYLOAD_MANAGER_THROWS
#endif

namespace payload_manager {
#ifndef PAYLOAD_MANAGER_THROWS
// Other names for the linker, so that files of both kinds can be of one program.
inline namespace without_exceptions {
#endif

/** How a call went. */
class Outcome {
  public:
    /** Of a call of C that this thread made last. */
    explicit Outcome(pm_status status) : status_(status) {
        if (!ok()) {
            message_ = pm_last_error();
            retryable_ = pm_last_error_is_retryable() != 0;
        }
    }

    /** Whether there is no error. */
    bool ok() const noexcept { return status_ < PM_INVALID_HANDLE && status_ >= PM_OK; }
    explicit operator bool() const noexcept { return ok(); }
    /** The answer: PM_OK, an error, or PM_END, PM_TIMEOUT and PM_NOTHING, which are none. */
    pm_status status() const noexcept { return status_; }
    /** What went wrong, in words for people; "" if nothing did. */
    const std::string &message() const noexcept { return message_; }
    /** Whether the same call may succeed later. */
    bool is_retryable() const noexcept { return retryable_; }
  protected:
    void require() const;
  private:
    pm_status status_;
    bool retryable_ = false;
    std::string message_;
};

#ifdef PAYLOAD_MANAGER_THROWS
/** A call that failed. */
class Error : public std::runtime_error {
  public:
    explicit Error(const Outcome &outcome)
        : std::runtime_error(outcome.message()), status_(outcome.status()), retryable_(outcome.is_retryable()) {}

    /** As of an Outcome; what() is its message. */
    pm_status status() const noexcept { return status_; }
    bool is_retryable() const noexcept { return retryable_; }
  private:
    pm_status status_;
    bool retryable_;
};
inline void Outcome::require() const {
    if (!ok()) throw Error(*this);
}
#else
inline void Outcome::require() const {
    if (!ok()) std::terminate();
}
#endif

/** What a call answers that throws nothing: a value, or how it failed. */
template <class T> class [[nodiscard]] Result : public Outcome {
  public:
    Result(pm_status status, T value) : Outcome(status) {
        if (ok()) value_.emplace(std::move(value));
    }

    /** The value. Of a failed call: throws Error, or ends the program where there are no exceptions. */
    T &value() & { return require(), *value_; }
    const T &value() const & { return require(), *value_; }
    T value() && { return require(), *std::move(value_); }
    T &operator*() & { return value(); }
    const T &operator*() const & { return value(); }
    T operator*() && { return std::move(*this).value(); }
    T *operator->() { return &value(); }
    const T *operator->() const { return &value(); }
  private:
    std::optional<T> value_;
};

/** What a call answers that throws nothing and has no value. */
template <> class [[nodiscard]] Result<void> : public Outcome {
  public:
    using Outcome::Outcome;
    /** Nothing. Of a failed call: as that of another Result. */
    void value() const { require(); }
};

namespace detail {
/** The struct of C, with its size where it says so and 0 elsewhere. */
template <class Options> struct Sized : Options {
    Sized() noexcept : Options{} { this->size = static_cast<std::uint32_t>(sizeof(Options)); }
};

/** Owns a handle of C. */
template <class Handle, auto End> class Owner {
  public:
    explicit Owner(Handle *handle = nullptr) noexcept : handle_(handle) {}
    Owner(Owner &&other) noexcept : handle_(other.release()) {}
    Owner &operator=(Owner &&other) noexcept {
        Handle *const taken = other.release(); // and if that is this one, it is put back
        end();
        handle_ = taken;
        return *this;
    }
    ~Owner() { end(); }

    Handle *get() const noexcept { return handle_; }
    Handle *release() noexcept { return std::exchange(handle_, nullptr); }
  private:
    void end() noexcept {
        if (handle_ != nullptr) End(release());
    }

    Handle *handle_;
};

/** A time as C counts it, which knows none below 0. */
template <class Time> std::uint64_t count(Time time) noexcept {
    return time.count() > 0 ? static_cast<std::uint64_t>(time.count()) : 0;
}
/** Waits without end. */
inline pm_status next_entry(pm_subscription *subscription, pm_entry *out) {
    return pm_subscription_next(subscription, PM_FOREVER, out);
}

/** Has a function of C answer with a struct. */
template <class T, class Call, class... Given> Result<T> ask(Call call, Given... given) {
    T answer{};
    const pm_status status = call(given..., &answer);
    return {status, answer};
}
/** Has a function of C answer with a struct or, with a status that is no error, with nothing. */
template <class T, class Call, class... Given> Result<std::optional<T>> ask_for_any(Call call, Given... given) {
    T answer{};
    const pm_status status = call(given..., &answer);
    return {status, status == PM_OK ? std::optional<T>(answer) : std::nullopt};
}
/** Has a function of C make a handle, for T to own. */
template <class T, class Call, class... Given> Result<T> open(Call call, Given... given) {
    decltype(std::declval<const T &>().handle()) made = nullptr;
    const pm_status status = call(given..., &made);
    return {status, T(made)};
}
} // namespace detail

/** A payload's name. */
struct Id : pm_id {
    /** Sixteen zeros: no payload's. */
    Id() noexcept : pm_id{} {}
    Id(const pm_id &id) noexcept : pm_id(id) {}

    /** As text, "0196f3a2-…". */
    std::string to_string() const {
        char text[PM_ID_TEXT_SIZE] = {};
        pm_id_format(this, text);
        return text;
    }
    /** From text as to_string makes it; dashes may be left out. */
    static Result<Id> try_parse(const std::string &text) { return detail::ask<Id>(pm_id_parse, text.c_str()); }
#ifdef PAYLOAD_MANAGER_THROWS
    static Id parse(const std::string &text) { return try_parse(text).value(); }
#endif

    friend bool operator==(const Id &a, const Id &b) noexcept { return std::memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0; }
    friend bool operator!=(const Id &a, const Id &b) noexcept { return !(a == b); }
    friend bool operator<(const Id &a, const Id &b) noexcept { return std::memcmp(a.bytes, b.bytes, sizeof a.bytes) < 0; }
};

/** Options: fields as in payload_manager.h, 0 or null until you set them, which is the default of each. */
using ConnectOptions = detail::Sized<pm_connect_options>;
using CreateOptions = detail::Sized<pm_create_options>;
using ReadOptions = detail::Sized<pm_read_options>;
using SpillOptions = detail::Sized<pm_spill_options>;
using SubscribeOptions = detail::Sized<pm_subscribe_options>;

/** A payload that is being written. Its destructor aborts it, which blocks, unless it was committed. */
class Payload {
  public:
    /** Takes over a handle of C. */
    explicit Payload(pm_payload *handle) noexcept : handle_(handle) {
        if (handle == nullptr) return;
        pm_payload_bytes(handle, &room_);
        pm_payload_id(handle, &id_);
    }

    /** Where to write, until it is committed or aborted; null afterwards, and on a GPU. What is there before is not
     * specified. */
    std::byte *data() noexcept { return static_cast<std::byte *>(bytes()); }
    const std::byte *data() const noexcept { return static_cast<const std::byte *>(bytes()); }
    std::size_t size() const noexcept { return bytes() ? static_cast<std::size_t>(room_.size) : 0; }
    /** Where to write on a GPU, for kernels and copies; null if it is not there. How long it is. Which GPU, by its number in
     * this process. What is to be finished before a commit is said at PM_DEVICE_CUDA. */
    void *device_data() const noexcept { return handle() && !on_host() ? room_.data : nullptr; }
    std::uint64_t device_size() const noexcept { return device_data() ? room_.size : 0; }
    std::uint32_t device() const noexcept { return room_.device; }
    /** Copies bytes into it, wherever it is. */
    Result<void> try_copy(std::uint64_t offset, const void *from, std::size_t size) {
        return Result<void>(pm_payload_copy(handle(), offset, from, size));
    }
    std::byte *begin() noexcept { return data(); }
    std::byte *end() noexcept { return data() + size(); }
    const std::byte *begin() const noexcept { return data(); }
    const std::byte *end() const noexcept { return data() + size(); }
    /** The name that it will have; that of no payload if this was moved from, committed or aborted. */
    Id id() const noexcept { return handle() ? Id(id_) : Id(); }

    /** Publishes the bytes, for good. They are no longer this payload's afterwards, nor is it there if that failed. */
    Result<pm_descriptor> try_commit() && {
        pm_descriptor made{};
        const pm_status status = pm_payload_commit(handle(), &made);
        if (status != PM_HANDLE_BUSY) handle_.release();
        return {status, made};
    }
    /** Gives it up, and says how that went. */
    Result<void> try_abort() && {
        const pm_status status = pm_payload_abort(handle());
        if (status != PM_HANDLE_BUSY) handle_.release();
        return Result<void>(status);
    }
#ifdef PAYLOAD_MANAGER_THROWS
    pm_descriptor commit() && { return std::move(*this).try_commit().value(); }
    void abort() && { std::move(*this).try_abort().value(); }
#endif

    pm_payload *handle() const noexcept { return handle_.get(); }
  private:
    bool on_host() const noexcept { return room_.device_kind == PM_DEVICE_HOST; }
    void *bytes() const noexcept { return handle() && on_host() ? room_.data : nullptr; }
    detail::Owner<pm_payload, pm_payload_abort> handle_;
    pm_room room_{};
    pm_id id_{};
};

/**
 * A committed payload's bytes, in place, kept there by a lease that is renewed by itself. Its destructor gives the lease
 * back. A contiguous range, so that it is a std::span<const std::byte> where one is asked for, good as long as the view.
 */
class View {
  public:
    /** Takes over a handle of C. */
    View(pm_view *handle, const pm_bytes &bytes) noexcept : handle_(handle), bytes_(bytes) {}

    /** The bytes, until this is gone, even when the lease or the daemon is; null if this was moved from, and on a GPU. */
    const std::byte *data() const noexcept { return on_host() ? static_cast<const std::byte *>(bytes_.data) : nullptr; }
    std::size_t size() const noexcept { return on_host() ? static_cast<std::size_t>(bytes_.size) : 0; }
    /** Where they are on a GPU, for kernels and copies; null if they are not there. How many. Which GPU, by its number in
     * this process. What reads from there is to have finished before this is gone. */
    const void *device_data() const noexcept { return handle() && !on_host() ? bytes_.data : nullptr; }
    std::uint64_t device_size() const noexcept { return device_data() ? bytes_.size : 0; }
    std::uint32_t device() const noexcept { return bytes_.device; }
    /** Copies bytes of it, wherever they are. */
    Result<void> try_copy(std::uint64_t offset, void *into, std::size_t size) const {
        return Result<void>(pm_view_copy(handle(), offset, into, size));
    }
    bool empty() const noexcept { return size() == 0; }
    const std::byte *begin() const noexcept { return data(); }
    const std::byte *end() const noexcept { return data() + size(); }
    const std::byte &operator[](std::size_t at) const noexcept { return data()[at]; }
    /** The same bytes as characters. */
    std::string_view text() const noexcept { return {reinterpret_cast<const char *>(data()), size()}; }
    /** Whose memory that is: PM_DEVICE_CUDA only if the read was on_device. */
    pm_device device_kind() const noexcept { return static_cast<pm_device>(bytes_.device_kind); }

    /** Whether the lease holds, as far as this process knows: the bytes are those that were committed. */
    bool valid() const noexcept { return pm_view_is_valid(handle()) != 0; }
    /** How long it holds from now, unless it is renewed; 0 when it is over. */
    std::chrono::milliseconds time_left() const noexcept {
        constexpr auto most = std::chrono::milliseconds::max();
        const std::uint64_t left = pm_view_time_left_ms(handle());
        return left < static_cast<std::uint64_t>(most.count()) ? std::chrono::milliseconds(left) : most;
    }
    /** Renews the lease now; it is renewed by itself anyway. */
    Result<void> try_renew() const { return Result<void>(pm_view_renew(handle())); }
    /** The payload as it was when it was leased. */
    Result<pm_descriptor> try_descriptor() const { return detail::ask<pm_descriptor>(pm_view_descriptor, handle()); }
#ifdef PAYLOAD_MANAGER_THROWS
    void renew() const { try_renew().value(); }
    pm_descriptor descriptor() const { return try_descriptor().value(); }
#endif

    pm_view *handle() const noexcept { return handle_.get(); }
  private:
    bool on_host() const noexcept { return handle() && bytes_.device_kind == PM_DEVICE_HOST; }
    detail::Owner<pm_view, pm_view_release> handle_;
    pm_bytes bytes_;
};

/** Items that come one after the other: a range to be gone through once, or next() by next(). */
template <class Handle, class Item, auto Next, auto Close> class Cursor {
  public:
    /** Takes over a handle of C. */
    explicit Cursor(Handle *handle) noexcept : handle_(handle) {}

    /** The next item, or nothing at the end. */
    Result<std::optional<Item>> try_next() { return detail::ask_for_any<Item>(Next, handle()); }
#ifdef PAYLOAD_MANAGER_THROWS
    std::optional<Item> next() { return try_next().value(); }

    /** Stands at an item, and throws Error where the next can't be had. Good as long as its cursor stays where it is. */
    class iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Item;
        using difference_type = std::ptrdiff_t;
        using pointer = const Item *;
        using reference = const Item &;

        /** Past the end. */
        iterator() noexcept = default;
        explicit iterator(Cursor &cursor) : cursor_(&cursor) { ++*this; }
        reference operator*() const noexcept { return item_; }
        pointer operator->() const noexcept { return &item_; }
        iterator &operator++() {
            const std::optional<Item> next = cursor_->next();
            if (next) item_ = *next;
            else cursor_ = nullptr;
            return *this;
        }
        void operator++(int) { ++*this; }
        friend bool operator==(const iterator &a, const iterator &b) noexcept { return a.cursor_ == b.cursor_; }
        friend bool operator!=(const iterator &a, const iterator &b) noexcept { return a.cursor_ != b.cursor_; }

      private:
        Cursor *cursor_ = nullptr;
        Item item_{};
    };
    /** At the next item, which it waits for. */
    iterator begin() { return iterator(*this); }
    iterator end() noexcept { return {}; }
#endif

    Handle *handle() const noexcept { return handle_.get(); }
  private:
    detail::Owner<Handle, Close> handle_;
};

/** Payloads, newest first. */
using List = Cursor<pm_list, pm_summary, pm_list_next, pm_list_close>;
/** Edges: what was made from what. */
using Lineage = Cursor<pm_lineage, pm_edge, pm_lineage_next, pm_lineage_close>;
/** What was said about a payload, oldest first. */
using Events = Cursor<pm_metadata_cursor, pm_metadata_info, pm_metadata_events_next, pm_metadata_events_close>;

/** A stream that is followed: what it holds, then what is appended, for which next() and a range-for wait without end. */
class Subscription : public Cursor<pm_subscription, pm_entry, detail::next_entry, pm_subscription_close> {
  public:
    using Cursor::Cursor;
    using Cursor::try_next;

    /** The next entry, or nothing if none came in that time. */
    Result<std::optional<pm_entry>> try_next(std::chrono::milliseconds timeout) {
        return detail::ask_for_any<pm_entry>(pm_subscription_next, handle(), detail::count(timeout));
    }
    /** Remembers that the group of SubscribeOptions is done with the entries up to the one with that offset. */
    Result<void> try_commit(std::uint64_t offset) { return Result<void>(pm_subscription_commit(handle(), offset)); }
#ifdef PAYLOAD_MANAGER_THROWS
    using Cursor::next;
    std::optional<pm_entry> next(std::chrono::milliseconds timeout) { return try_next(timeout).value(); }
    void commit(std::uint64_t offset) { try_commit(offset).value(); }
#endif
};

/** What is said about a payload. */
class Metadata {
  public:
    /** Takes over a handle of C and what points into it. */
    Metadata(pm_metadata *handle, const pm_metadata_info &info) noexcept : handle_(handle), info_(info) {}

    /** What it says; not to be followed once this was moved from or is gone. */
    const pm_metadata_info &operator*() const noexcept { return info_; }
    const pm_metadata_info *operator->() const noexcept { return &info_; }
  private:
    detail::Owner<pm_metadata, pm_metadata_close> handle_;
    pm_metadata_info info_;
};

/** A connection to this host's daemon. What was made with it may outlive it. */
class Client {
  public:
    /** Takes over a handle of C. */
    explicit Client(pm_client *handle) noexcept : handle_(handle) {}

    /** Connects to the daemon at an address as pm_connect takes it; "" is this user's own. */
    static Result<Client> try_connect(const std::string &address = {}, const ConnectOptions &options = {}) {
        return detail::open<Client>(pm_connect, address.c_str(), &options);
    }
    /** The same connection, with every request part of the caller's trace, given as in the headers of W3C trace context. */
    Result<Client> try_with_trace(const std::string &traceparent, const std::string &tracestate = {}) const {
        pm_client *traced = nullptr;
        const pm_status status = pm_client_with_trace(handle(), traceparent.c_str(), tracestate.c_str(), &traced);
        return {status, Client(traced)};
    }
    /** Whether leases are taken in shared memory, without a call to the daemon. */
    bool has_session() const noexcept { return pm_client_has_session(handle()) != 0; }
    /** Returns when the daemon has been told of all that was released and dropped before. */
    Result<void> try_flush() const { return Result<void>(pm_flush(handle())); }

    /** Allocates a payload of so many bytes, to be written in place. */
    Result<Payload> try_create(std::uint64_t size, const CreateOptions &options = {}) const {
        pm_payload *made = nullptr;
        const pm_status status = pm_create(handle(), size, &options, &made, nullptr);
        return {status, Payload(made)};
    }
    /** Leases a committed payload and maps its bytes, wherever they are. */
    Result<View> try_read(const pm_id &id, const ReadOptions &options = {}) const {
        pm_view *view = nullptr;
        pm_bytes bytes{};
        const pm_status status = pm_read(handle(), &id, &options, &view, &bytes);
        return {status, View(view, bytes)};
    }
    /** Where a payload is now: advice, for nothing keeps it there. */
    Result<pm_descriptor> try_resolve(const pm_id &id) const {
        return detail::ask<pm_descriptor>(pm_resolve, handle(), &id);
    }
    /** Deletes a payload in every tier, unless somebody reads it (PM_LEASED). */
    Result<void> try_remove(const pm_id &id) const { return Result<void>(pm_delete(handle(), &id, 0)); }
    /** Deletes a payload though it may be read: its leases are over from that moment. */
    Result<void> try_remove_by_force(const pm_id &id) const { return Result<void>(pm_delete(handle(), &id, 1)); }

    /** Copies a payload to a tier that is faster than where it is, and returns when it is there. */
    Result<pm_descriptor> try_promote(const pm_id &id, pm_tier to) const {
        return detail::ask<pm_descriptor>(pm_promote, handle(), &id, to, std::uint8_t{0});
    }
    /** Moves a payload to a slower tier; nothing if it is deleted by that (PM_TIER_VOID). */
    Result<std::optional<pm_descriptor>> try_spill(const pm_id &id, const SpillOptions &options = {}) const {
        return detail::ask_for_any<pm_descriptor>(pm_spill, handle(), &id, &options);
    }
    /** Has a payload copied to a faster tier in the background. */
    Result<void> try_prefetch(const pm_id &id, pm_tier to) const { return Result<void>(pm_prefetch(handle(), &id, to)); }
    /** Keeps a payload where it is for that time, or without one until it is unpinned. */
    Result<void> try_pin(const pm_id &id, std::chrono::milliseconds time = {}) const {
        return Result<void>(pm_pin(handle(), &id, detail::count(time)));
    }
    /** Ends a pin. */
    Result<void> try_unpin(const pm_id &id) const { return Result<void>(pm_unpin(handle(), &id)); }

    /** Lists payloads: all of them, or those whose fastest copy is in that tier. */
    Result<List> try_list(pm_tier tier = PM_TIER_ANY) const { return detail::open<List>(pm_list_open, handle(), tier); }
    /** What is said about a payload now, if anything is. */
    Result<std::optional<Metadata>> try_metadata(const pm_id &id) const {
        pm_metadata *owner = nullptr;
        pm_metadata_info info{};
        const pm_status status = pm_metadata_get(handle(), &id, &owner, &info);
        return {status, owner ? std::optional<Metadata>(Metadata(owner, info)) : std::nullopt};
    }
    /** Says something about a payload, instead of what was said. */
    Result<void> try_set_metadata(const pm_id &id, const pm_metadata_info &said) const {
        return Result<void>(pm_metadata_set(handle(), &id, &said, 0));
    }
    /** The same, but what comes empty, the data or the schema, keeps its stored value. */
    Result<void> try_merge_metadata(const pm_id &id, const pm_metadata_info &said) const {
        return Result<void>(pm_metadata_set(handle(), &id, &said, 1));
    }
    /** Adds an event to what is said about a payload. */
    Result<void> try_append_event(const pm_id &id, const pm_metadata_info &event) const {
        return Result<void>(pm_metadata_append_event(handle(), &id, &event));
    }
    /** The events of a payload. */
    Result<Events> try_events(const pm_id &id) const { return detail::open<Events>(pm_metadata_events, handle(), &id); }
    /** Remembers what a payload was made from, `parent` of each edge: all of them or none. */
    Result<void> try_add_lineage(const pm_id &id, const std::vector<pm_edge> &edges) const {
        return Result<void>(pm_lineage_add(handle(), &id, edges.data(), edges.size()));
    }
    /** What a payload was made from, up to so many steps away; 0 is all. */
    Result<Lineage> try_ancestors(const pm_id &id, std::uint32_t depth = 0) const {
        return detail::open<Lineage>(pm_lineage_get, handle(), &id, std::uint8_t{0}, depth);
    }
    /** What was made from a payload, up to so many steps away; 0 is all. */
    Result<Lineage> try_descendants(const pm_id &id, std::uint32_t depth = 0) const {
        return detail::open<Lineage>(pm_lineage_get, handle(), &id, std::uint8_t{1}, depth);
    }

    /** Makes a stream, "name" or "namespace/name", that keeps so many entries for so long; 0 is without limit. */
    Result<void> try_create_stream(
        const std::string &stream, std::uint64_t entries = 0, std::chrono::seconds age = {}) const {
        return Result<void>(pm_stream_create(handle(), stream.c_str(), entries, detail::count(age)));
    }
    /** Deletes a stream with its entries and groups, and ends its subscriptions. */
    Result<void> try_remove_stream(const std::string &stream) const {
        return Result<void>(pm_stream_delete(handle(), stream.c_str()));
    }
    /** Appends committed payloads, all or none, and answers the offset of the first. */
    Result<std::uint64_t> try_append(const std::string &stream, const std::vector<pm_entry> &entries) const {
        return detail::ask<std::uint64_t>(pm_stream_append, handle(), stream.c_str(), entries.data(), entries.size());
    }
    /** Appends one with nothing to say about it. */
    Result<std::uint64_t> try_append(const std::string &stream, const pm_id &id) const {
        pm_entry entry{};
        entry.id = id;
        return try_append(stream, std::vector<pm_entry>{entry});
    }
    /** The offset at which a group goes on, if it has committed any. */
    Result<std::optional<std::uint64_t>> try_committed(const std::string &stream, const std::string &group) const {
        return detail::ask_for_any<std::uint64_t>(pm_stream_committed, handle(), stream.c_str(), group.c_str());
    }
    /** Follows a stream: from its oldest entry, if the options do not say otherwise. */
    Result<Subscription> try_subscribe(const std::string &stream, const SubscribeOptions &options = {}) const {
        return detail::open<Subscription>(pm_subscribe, handle(), stream.c_str(), &options);
    }
    /** What the daemon holds now. */
    Result<pm_stats_info> try_stats() const { return detail::ask<pm_stats_info>(pm_stats, handle()); }

#ifdef PAYLOAD_MANAGER_THROWS
    static Client connect(const std::string &address = {}, const ConnectOptions &options = {}) {
        return try_connect(address, options).value();
    }
    Client with_trace(const std::string &traceparent, const std::string &tracestate = {}) const {
        return try_with_trace(traceparent, tracestate).value();
    }
    void flush() const { try_flush().value(); }
    Payload create(std::uint64_t size, const CreateOptions &options = {}) const { return try_create(size, options).value(); }
    View read(const pm_id &id, const ReadOptions &options = {}) const { return try_read(id, options).value(); }
    pm_descriptor resolve(const pm_id &id) const { return try_resolve(id).value(); }
    void remove(const pm_id &id) const { try_remove(id).value(); }
    void remove_by_force(const pm_id &id) const { try_remove_by_force(id).value(); }
    pm_descriptor promote(const pm_id &id, pm_tier to) const { return try_promote(id, to).value(); }
    std::optional<pm_descriptor> spill(const pm_id &id, const SpillOptions &options = {}) const {
        return try_spill(id, options).value();
    }
    void prefetch(const pm_id &id, pm_tier to) const { try_prefetch(id, to).value(); }
    void pin(const pm_id &id, std::chrono::milliseconds time = {}) const { try_pin(id, time).value(); }
    void unpin(const pm_id &id) const { try_unpin(id).value(); }
    List list(pm_tier tier = PM_TIER_ANY) const { return try_list(tier).value(); }
    std::optional<Metadata> metadata(const pm_id &id) const { return try_metadata(id).value(); }
    void set_metadata(const pm_id &id, const pm_metadata_info &said) const { try_set_metadata(id, said).value(); }
    void merge_metadata(const pm_id &id, const pm_metadata_info &said) const { try_merge_metadata(id, said).value(); }
    void append_event(const pm_id &id, const pm_metadata_info &event) const { try_append_event(id, event).value(); }
    Events events(const pm_id &id) const { return try_events(id).value(); }
    void add_lineage(const pm_id &id, const std::vector<pm_edge> &edges) const { try_add_lineage(id, edges).value(); }
    Lineage ancestors(const pm_id &id, std::uint32_t depth = 0) const { return try_ancestors(id, depth).value(); }
    Lineage descendants(const pm_id &id, std::uint32_t depth = 0) const { return try_descendants(id, depth).value(); }
    void create_stream(const std::string &stream, std::uint64_t entries = 0, std::chrono::seconds age = {}) const {
        try_create_stream(stream, entries, age).value();
    }
    void remove_stream(const std::string &stream) const { try_remove_stream(stream).value(); }
    std::uint64_t append(const std::string &stream, const std::vector<pm_entry> &entries) const {
        return try_append(stream, entries).value();
    }
    std::uint64_t append(const std::string &stream, const pm_id &id) const { return try_append(stream, id).value(); }
    std::optional<std::uint64_t> committed(const std::string &stream, const std::string &group) const {
        return try_committed(stream, group).value();
    }
    Subscription subscribe(const std::string &stream, const SubscribeOptions &options = {}) const {
        return try_subscribe(stream, options).value();
    }
    pm_stats_info stats() const { return try_stats().value(); }
#endif

    pm_client *handle() const noexcept { return handle_.get(); }
  private:
    detail::Owner<pm_client, pm_client_close> handle_;
};

#ifndef PAYLOAD_MANAGER_THROWS
} // namespace without_exceptions
#endif
} // namespace payload_manager

/** Ids as keys. */
template <> struct std::hash<payload_manager::Id> {
    std::size_t operator()(const payload_manager::Id &id) const noexcept {
        return std::hash<std::string_view>()({reinterpret_cast<const char *>(id.bytes), sizeof id.bytes});
    }
};

#undef PAYLOAD_MANAGER_THROWS

#endif
