// Says what a payload file on DISK is, from the archive metadata beside it. It needs no daemon and no networking.
//
// Usage: archive FILE.meta.json

#include <exception>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>

#include <google/protobuf/util/json_util.h>

#include "payload/manager/catalog/v1/archive_metadata.pb.h"

namespace catalog = payload::manager::catalog::v1;

namespace {

catalog::PayloadArchiveMetadata read(const std::string& path) {
    std::ifstream file(path);
    const std::string json{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file) {
        throw std::runtime_error(path + " can't be read");
    }
    // Later versions have more fields: leave them out.
    google::protobuf::util::JsonParseOptions options;
    options.ignore_unknown_fields = true;
    catalog::PayloadArchiveMetadata metadata;
    const auto status = google::protobuf::util::JsonStringToMessage(json, &metadata, options);
    if (!status.ok()) {
        throw std::runtime_error(path + ": " + status.ToString());
    }
    return metadata;
}

std::string hex(const std::string& bytes) {
    std::ostringstream out;
    out << std::hex << std::setfill('0');
    for (const char byte : bytes) {
        out << std::setw(2) << static_cast<unsigned>(static_cast<unsigned char>(byte));
    }
    return out.str();
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: archive FILE.meta.json\n";
        return 2;
    }
    try {
        const auto metadata = read(argv[1]);
        std::cout << "payload  " << hex(metadata.uuid().value()) << '\n'
                  << "bytes    " << metadata.payload_descriptor().size_bytes() << '\n'
                  << "checksum " << catalog::HashAlgorithm_Name(metadata.integrity().algorithm()) << ' '
                  << hex(metadata.integrity().checksum()) << '\n';
    } catch (const std::exception& error) {
        std::cerr << "archive: " << error.what() << '\n';
        return 1;
    }
    return 0;
}
