// The life of a payload by the contract alone: gRPC for control, shm_open and mmap for the bytes.
//
// Usage: life SOCKET, where SOCKET is the daemon's control.sock. It makes a payload in RAM, writes it in place, commits
// it, leases it, checks every byte through a mapping that is read-only, gives the lease back and deletes the payload.
// Nothing here knows of Payload Manager but the generated messages and stubs.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <exception>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>

#include <grpcpp/grpcpp.h>

#include "payload/manager/services/v1/payload_catalog_service.grpc.pb.h"
#include "payload/manager/services/v1/payload_data_service.grpc.pb.h"

namespace core = payload::manager::core::v1;
namespace runtime = payload::manager::runtime::v1;
namespace services = payload::manager::services::v1;

namespace {

constexpr std::uint64_t kSize = 1 << 20;

// The byte that belongs at `offset`.
std::uint8_t expected(std::uint64_t offset) { return static_cast<std::uint8_t>(offset * 31 + (offset >> 8)); }

// A failed call as an exception; the status says in words what was wrong.
void check(const grpc::Status& status, const char* call) {
    if (!status.ok()) {
        throw std::runtime_error(std::string(call) + ": " + status.error_message());
    }
}

void check_os(bool fine, const char* call) {
    if (!fine) {
        throw std::system_error(errno, std::generic_category(), call);
    }
}

enum class Access { kRead, kWrite };

// The bytes of a payload in RAM, mapped until it goes out of scope.
class Mapping {
public:
    Mapping(const core::RamLocation& at, Access access) : length_(at.length_bytes()) {
        const bool writes = access == Access::kWrite;
        const int fd = shm_open(at.shm_name().c_str(), writes ? O_RDWR : O_RDONLY, 0);
        check_os(fd >= 0, "shm_open");
        // The daemon has reserved the room; the producer gives the object its length.
        const auto offset = static_cast<off_t>(at.offset_bytes());
        const bool sized = !writes || ftruncate(fd, offset + static_cast<off_t>(length_)) == 0;
        const int protection = writes ? PROT_READ | PROT_WRITE : PROT_READ;
        void* mapped = sized ? mmap(nullptr, length_, protection, MAP_SHARED, fd, offset) : MAP_FAILED;
        const int why = errno;
        close(fd); // the mapping stays
        errno = why;
        check_os(mapped != MAP_FAILED, "mmap");
        bytes_ = static_cast<std::uint8_t*>(mapped);
    }
    ~Mapping() { munmap(bytes_, length_); }
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;

    std::uint8_t* bytes() { return bytes_; }
    std::uint64_t length() const { return length_; }

private:
    std::uint8_t* bytes_ = nullptr;
    std::uint64_t length_;
};

class Client {
public:
    explicit Client(const std::string& socket) {
        // gRPC's C core would send the socket's path as authority, which HTTP/2 servers refuse: name another one.
        grpc::ChannelArguments arguments;
        arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, "localhost");
        const auto channel =
            grpc::CreateCustomChannel("unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
        catalog_ = services::PayloadCatalogService::NewStub(channel);
        data_ = services::PayloadDataService::NewStub(channel);
    }

    core::PayloadID put() {
        runtime::AllocatePayloadRequest request;
        request.set_size_bytes(kSize);
        request.set_preferred_tier(core::TIER_RAM);
        runtime::AllocatePayloadResponse made;
        grpc::ClientContext allocating;
        check(catalog_->AllocatePayload(&allocating, request, &made), "AllocatePayload");

        {
            Mapping mapping(made.payload_descriptor().ram(), Access::kWrite);
            for (std::uint64_t i = 0; i < mapping.length(); ++i) {
                mapping.bytes()[i] = expected(i);
            }
        }

        // From here on nobody can change the bytes.
        runtime::CommitPayloadRequest commit;
        *commit.mutable_id() = made.payload_descriptor().payload_id();
        runtime::CommitPayloadResponse committed;
        grpc::ClientContext committing;
        check(catalog_->CommitPayload(&committing, commit, &committed), "CommitPayload");
        return committed.payload_descriptor().payload_id();
    }

    // Reads under a lease: while it lives the bytes stay where they are.
    void verify(const core::PayloadID& id) {
        runtime::AcquireReadLeaseRequest request;
        *request.mutable_id() = id;
        request.set_min_tier(core::TIER_RAM);
        runtime::AcquireReadLeaseResponse lease;
        grpc::ClientContext acquiring;
        check(data_->AcquireReadLease(&acquiring, request, &lease), "AcquireReadLease");

        {
            Mapping mapping(lease.payload_descriptor().ram(), Access::kRead);
            if (mapping.length() != kSize) {
                throw std::runtime_error("a length of " + std::to_string(mapping.length()));
            }
            for (std::uint64_t i = 0; i < mapping.length(); ++i) {
                if (mapping.bytes()[i] != expected(i)) {
                    throw std::runtime_error("a wrong byte at " + std::to_string(i));
                }
            }
        }

        runtime::ReleaseLeaseRequest release;
        *release.mutable_lease_id() = lease.lease_id();
        google::protobuf::Empty nothing;
        grpc::ClientContext releasing;
        check(data_->ReleaseLease(&releasing, release, &nothing), "ReleaseLease");
    }

    void remove(const core::PayloadID& id) {
        runtime::DeleteRequest request;
        *request.mutable_id() = id;
        google::protobuf::Empty nothing;
        grpc::ClientContext deleting;
        check(catalog_->Delete(&deleting, request, &nothing), "Delete");
    }

private:
    std::unique_ptr<services::PayloadCatalogService::Stub> catalog_;
    std::unique_ptr<services::PayloadDataService::Stub> data_;
};

} // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: life SOCKET\n";
        return 2;
    }
    try {
        Client client(argv[1]);
        const core::PayloadID id = client.put();
        client.verify(id);
        client.remove(id);
        std::cout << "every byte was right\n";
    } catch (const std::exception& error) {
        std::cerr << "life: " << error.what() << '\n';
        return 1;
    }
    return 0;
}
