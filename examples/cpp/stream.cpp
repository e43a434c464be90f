// Sends texts through a stream, or follows one and goes on where its group stopped the last time.
//
// Usage: stream append NAME TEXT...
//        stream follow NAME GROUP COUNT

#include <payload_manager.hpp>

#include <iostream>

namespace pm = payload_manager;

namespace {

pm::Id publish(const pm::Client &client, std::string_view text) {
    pm::CreateOptions options;
    options.ttl_ms = 3600 * 1000; // those who follow have an hour
    pm::Payload payload = client.create(text.size(), options);
    text.copy(reinterpret_cast<char *>(payload.data()), payload.size());
    return std::move(payload).commit().id;
}

void append(const pm::Client &client, const std::string &stream, const std::vector<std::string> &texts) {
    const pm::Result<void> made = client.try_create_stream(stream, 1000); // the newest thousand are kept
    if (made.status() != PM_STREAM_EXISTS) made.value();                  // any other error is thrown
    pm_tag tag = {"language", "C++"};                                     // words of one's own, for those who follow
    for (const std::string &text : texts) {
        pm_entry entry{}; // what is 0 is not said
        entry.id = publish(client, text);
        entry.tags = &tag;
        entry.tags_len = 1;
        client.append(stream, {entry});
    }
}

void follow(const pm::Client &client, const std::string &stream, const std::string &group, long count) {
    if (count <= 0) return;
    pm::SubscribeOptions options;
    options.group = group.c_str();
    pm::Subscription entries = client.subscribe(stream, options);
    for (const pm_entry &entry : entries) { // waits for each
        std::cout << entry.offset << ": " << client.read(entry.id).text() << std::endl;
        entries.commit(entry.offset);
        if (--count == 0) break;
    }
}

} // namespace

int main(int argc, char **argv) try {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() >= 3 && words[0] == "append") {
        append(pm::Client::connect(), words[1], {words.begin() + 2, words.end()});
    } else if (words.size() == 4 && words[0] == "follow") {
        follow(pm::Client::connect(), words[1], words[2], std::stol(words[3]));
    } else {
        std::cerr << "usage: stream append NAME TEXT...\n       stream follow NAME GROUP COUNT\n";
        return 2;
    }
} catch (const std::exception &error) { // pm::Error is one
    std::cerr << error.what() << '\n';
    return 1;
}
