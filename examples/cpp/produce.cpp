// Makes a payload of a file, and prints the name under which every process of this host may read it.
//
// Usage: produce FILE

#include <payload_manager.hpp>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <stdexcept>

namespace pm = payload_manager;

namespace {

pm::Id publish(const pm::Client &client, const std::filesystem::path &path) {
    pm::CreateOptions options;
    options.ttl_ms = 3600 * 1000; // if nobody deletes it, it is gone in an hour
    options.producer = "examples/cpp/produce";

    // Read straight into the payload: the bytes are nowhere else, and nobody sees them before the commit.
    pm::Payload payload = client.create(std::filesystem::file_size(path), options);
    std::ifstream file(path, std::ios::binary);
    if (!file.read(reinterpret_cast<char *>(payload.data()), static_cast<std::streamsize>(payload.size()))) {
        throw std::runtime_error("the file can't be read to its end"); // and the payload was never there
    }
    return std::move(payload).commit().id;
}

} // namespace

int main(int argc, char **argv) try {
    if (argc != 2) {
        std::cerr << "usage: produce FILE\n";
        return 2;
    }
    const pm::Client client = pm::Client::connect(); // this user's daemon
    std::cout << publish(client, argv[1]).to_string() << '\n';
} catch (const std::exception &error) { // pm::Error is one
    std::cerr << error.what() << '\n';
    return 1;
}
