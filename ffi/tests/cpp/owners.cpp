// Who owns what: moves, destructors, what outlives what, and what is answered by what is empty. With exceptions.
#include "check.hpp"

#include <algorithm>
#include <memory>
#include <set>
#include <type_traits>
#include <unordered_set>

#if __has_include(<span>) && __cplusplus >= 202002L
#include <span>
#endif

namespace {

template <class T> constexpr bool only_moves =
    !std::is_copy_constructible_v<T> && !std::is_copy_assignable_v<T> && std::is_nothrow_move_constructible_v<T> &&
    std::is_nothrow_move_assignable_v<T>;
static_assert(only_moves<pm::Client> && only_moves<pm::Payload> && only_moves<pm::View> && only_moves<pm::Metadata>);
static_assert(only_moves<pm::Subscription> && only_moves<pm::List> && only_moves<pm::Lineage> && only_moves<pm::Events>);

bool is_there(const pm::Client &client, const pm_id &id) {
    return thrown([&] { client.resolve(id); }) == PM_OK;
}

/** The same object, of which the compiler does not know that it is. */
template <class T> T &itself(T &object) { return *std::addressof(object); }

void owners_move(const char *address) {
    pm::Client first = pm::Client::connect(address);
    pm::Client client = std::move(first);
    CHECK(client.has_session() && !first.has_session());
    CHECK(thrown([&] { first.stats(); }) == PM_INVALID_HANDLE);
    CHECK(thrown([&] { first.create(1); }) == PM_INVALID_HANDLE);
    client = std::move(itself(client));
    CHECK(client.stats().sessions >= 1);

    const char trace[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    CHECK(client.with_trace(trace, "a=1").with_trace("").stats().sessions >= 1);
    CHECK(thrown([&] { client.with_trace("nonsense"); }) == PM_BAD_ARGUMENT);

    pm::Payload made = client.create(5), written = std::move(made);
    CHECK(made.data() == nullptr && made.size() == 0 && made.begin() == made.end() && made.id() == pm::Id());
    CHECK(thrown([&] { std::move(made).commit(); }) == PM_INVALID_HANDLE);
    CHECK(thrown([&] { std::move(made).abort(); }) == PM_INVALID_HANDLE);
    written = std::move(itself(written));
    CHECK(written.size() == 5 && written.id() != pm::Id());
    std::memcpy(written.data(), "hello", 5);
    const pm::Id id = written.id();
    CHECK(std::move(written).commit().id == id && written.data() == nullptr);
    CHECK(thrown([&] { std::move(written).commit(); }) == PM_INVALID_HANDLE);

    pm::View one = client.read(id), view = std::move(one);
    CHECK(one.data() == nullptr && one.empty() && one.begin() == one.end() && one.text().empty() && !one.valid());
    CHECK(one.time_left().count() == 0 && thrown([&] { one.renew(); }) == PM_INVALID_HANDLE);
    CHECK(thrown([&] { one.descriptor(); }) == PM_INVALID_HANDLE);
    view = std::move(itself(view));
    CHECK(holds(view, "hello") && view.valid() && view.time_left().count() > 0 && view[1] == std::byte('e'));
    CHECK(view.device_kind() == PM_DEVICE_HOST && view.descriptor().id == id);
    view.renew();
    // What is moved onto is given up first: its lease no longer keeps the payload.
    const pm::Id other = make(client, "other");
    CHECK(thrown([&] { client.remove(id); }) == PM_LEASED);
    view = client.read(other);
    client.remove(id);
    CHECK(!is_there(client, id) && holds(view, "other"));
}

void destructors_give_up(const pm::Client &client) {
    const pm::Id id = make(client, "leased");
    pm::Id unfinished;
    try {
        const pm::View view = client.read(id);
        const pm::Payload payload = client.create(1 << 20);
        unfinished = payload.id();
        CHECK(is_there(client, unfinished) && thrown([&] { client.remove(id); }) == PM_LEASED);
        client.read(pm::Id());
        CHECK(!"nobody's payload was read");
    } catch (const pm::Error &error) {
        // Not what the destructors did since, nor this.
        CHECK(!client.try_resolve(unfinished));
        CHECK(error.status() == PM_PAYLOAD_NOT_FOUND && !error.is_retryable());
    }
    client.remove(id);
    pm::Payload aborted = client.create(1);
    unfinished = aborted.id();
    std::move(aborted).abort();
    CHECK(!is_there(client, unfinished));
}

void a_view_outlives_its_client(const char *address) {
    std::optional<pm::Client> client = pm::Client::connect(address);
    pm::Payload payload = client->create(4);
    pm::View view = client->read(make(*client, "kept"));
    client.reset();
    CHECK(holds(view, "kept") && view.valid());
    std::memcpy(payload.data(), "late", 4);
    const pm::Id late = std::move(payload).commit().id;
    CHECK(pm::Client::connect(address).read(late).text() == "late");
}

void ids_are_values(const pm::Client &client) {
    const pm::Id a = make(client, "a"), b = make(client, "b");
    CHECK(a == pm::Id(a) && a != b && (a < b) != (b < a) && !(a < a));
    CHECK(pm::Id::parse(a.to_string()) == a && a.to_string().size() == PM_ID_TEXT_SIZE - 1);
    CHECK(thrown([] { pm::Id::parse("no id"); }) == PM_BAD_ARGUMENT);
    CHECK((std::set<pm::Id>{a, b, a}.size()) == 2 && (std::unordered_set<pm::Id>{a, b, a}.size()) == 2);
}

#ifdef __cpp_lib_span
static_assert(std::ranges::contiguous_range<pm::View> && std::ranges::contiguous_range<pm::Payload>);

std::byte last(std::span<const std::byte> bytes) { return bytes.back(); }

void bytes_are_spans(const pm::Client &client) {
    pm::Payload payload = client.create(3);
    std::span<std::byte> room = payload;
    std::fill(room.begin(), room.end(), std::byte(7));
    const pm::View view = client.read(std::move(payload).commit().id);
    std::span<const std::byte> bytes = view;
    CHECK(bytes.data() == view.data() && bytes.size() == 3 && last(view) == std::byte(7));
}
#else
void bytes_are_spans(const pm::Client &) {}
#endif

} // namespace

int main(int argc, char **argv) {
    CHECK(argc == 2);
    owners_move(argv[1]);
    a_view_outlives_its_client(argv[1]);
    pm::ConnectOptions options;
    options.deadline_ms = 60000;
    const pm::Client client = pm::Client::connect(argv[1], options);
    destructors_give_up(client);
    ids_are_values(client);
    bytes_are_spans(client);
    client.flush();
    CHECK(thrown([] { pm::Client::connect("/nowhere"); }) == PM_UNREACHABLE);
}
