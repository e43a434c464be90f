// The half that throws nothing, in a program that is built without exceptions.
#include "check.hpp"

using namespace std::chrono_literals;

namespace {

pm::Result<pm::Id> make(const pm::Client &client, const char *text) {
    pm::Result<pm::Payload> payload = client.try_create(std::strlen(text));
    if (!payload) return {payload.status(), pm::Id()};
    std::memcpy(payload->data(), text, payload->size());
    const pm::Result<pm_descriptor> made = (*std::move(payload)).try_commit();
    return {made.status(), made ? pm::Id(made->id) : pm::Id()};
}

void results_say_how_it_went(const pm::Client &client) {
    const pm::Result<pm::Id> id = make(client, "hello");
    CHECK(id && id.status() == PM_OK && id.message().empty());
    {
        const pm::Result<pm::View> view = client.try_read(*id);
        CHECK(view && holds(*view, "hello") && view->try_renew() && view->try_descriptor()->id == *id);
        const pm::Result<void> removed = client.try_remove(*id);
        // The words are the result's own, whatever fails after it.
        CHECK(!client.try_read(pm::Id()));
        CHECK(!removed && removed.status() == PM_LEASED && removed.is_retryable());
        CHECK(!removed.message().empty() && removed.message() != pm_last_error());
    }
    CHECK(client.try_remove(*id) && client.try_flush());
    const pm::Result<pm_descriptor> gone = client.try_resolve(*id);
    CHECK(!gone.ok() && gone.status() == PM_PAYLOAD_NOT_FOUND && !gone.is_retryable());
    CHECK(make(client, "").status() == PM_SIZE_ZERO && !pm::Id::try_parse("no id"));
    pm::Result<pm::Payload> aborted = client.try_create(1);
    CHECK(aborted && std::move(*aborted).try_abort() && std::move(*aborted).try_abort().status() == PM_INVALID_HANDLE);
}

void what_is_no_error_is_empty(const pm::Client &client) {
    const pm::Id id = *make(client, "entry");
    CHECK(client.try_metadata(id).ok() && !*client.try_metadata(id));
    CHECK(client.try_metadata(id).status() == PM_NOTHING);
    CHECK(client.try_create_stream("results") && *client.try_append("results", id) == 0);
    pm::Result<pm::Subscription> entries = client.try_subscribe("results");
    CHECK(entries);
    const pm::Result<std::optional<pm_entry>> entry = entries->try_next();
    CHECK(entry && *entry && (*entry)->id == id);
    const pm::Result<std::optional<pm_entry>> none = entries->try_next(1ms);
    CHECK(none && !*none && none.status() == PM_TIMEOUT);
    pm::Result<pm::List> list = client.try_list();
    std::size_t rows = 0;
    while (const std::optional<pm_summary> row = *list->try_next()) rows += row->id == id;
    CHECK(rows == 1 && list->try_next().status() == PM_END);
    CHECK(client.try_remove_stream("results"));
}

} // namespace

int main(int argc, char **argv) {
    CHECK(argc == 2);
    pm::Result<pm::Client> nobody = pm::Client::try_connect("/nowhere");
    CHECK(!nobody && nobody.status() == PM_UNREACHABLE);
    pm::Result<pm::Client> connected = pm::Client::try_connect(argv[1]);
    CHECK(connected);
    const pm::Client client = *std::move(connected);
    CHECK(!connected->has_session() && connected->try_stats().status() == PM_INVALID_HANDLE);
    results_say_how_it_went(client);
    what_is_no_error_is_empty(client);
}
