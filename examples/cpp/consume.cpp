// Writes a payload's bytes to its output, from where they are, and deletes the payload.
//
// Usage: consume ID

#include <payload_manager.hpp>

#include <iostream>

namespace pm = payload_manager;

namespace {

int take(const pm::Client &client, const pm::Id &id) {
    {
        // What may well fail is asked by the twin that throws nothing.
        const pm::Result<pm::View> view = client.try_read(id);
        if (view.status() == PM_PAYLOAD_NOT_FOUND) {
            std::cerr << "somebody else took it, or its time is over\n";
            return 3;
        }
        // Where the producer wrote them: no copy was made. Any other error is thrown here.
        std::cout << view->text() << std::flush;
    } // its lease is over here, which would keep the payload
    client.remove(id);
    return std::cout ? 0 : 1;
}

} // namespace

int main(int argc, char **argv) try {
    const pm::Result<pm::Id> id = pm::Id::try_parse(argc == 2 ? argv[1] : "");
    if (!id) {
        std::cerr << "usage: consume ID\n";
        return 2;
    }
    return take(pm::Client::connect(), *id);
} catch (const pm::Error &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
