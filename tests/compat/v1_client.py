"""A client of the first version: plain gRPC, and locations that it opens itself.

Usage: v1_client.py STUBS TARGET, where STUBS is a folder of stubs made by grpc_tools.protoc and TARGET is
`unix:/path/to/control.sock` or `host:port`. It uses fields of the first version only. Exits 0 if every byte was right.
"""

import hashlib
import mmap
import os
import sys

sys.path.insert(0, sys.argv[1])

import grpc  # noqa: E402
from payload.manager.admin.v1 import stats_pb2  # noqa: E402
from payload.manager.core.v1 import id_pb2, types_pb2  # noqa: E402
from payload.manager.runtime.v1 import lease_pb2, lifecycle_pb2, stream_pb2, tiering_pb2  # noqa: E402
from payload.manager.services.v1 import payload_admin_service_pb2_grpc  # noqa: E402
from payload.manager.services.v1 import payload_catalog_service_pb2_grpc  # noqa: E402
from payload.manager.services.v1 import payload_data_service_pb2_grpc  # noqa: E402
from payload.manager.services.v1 import payload_stream_service_pb2_grpc  # noqa: E402

SIZE = 1_234_567


def channel(target):
    # Over a Unix socket grpcio sends the escaped path as authority, which HTTP/2 servers may refuse.
    options = [("grpc.default_authority", "localhost")] if target.startswith("unix:") else []
    return grpc.insecure_channel(target, options=options)


def pattern(seed):
    block = hashlib.sha256(str(seed).encode()).digest()
    return (block * (SIZE // len(block) + 1))[:SIZE]


def place(descriptor):
    """Path, offset and length of where a descriptor says that the bytes are."""
    if descriptor.HasField("ram"):
        return "/dev/shm" + descriptor.ram.shm_name, 0, descriptor.ram.length_bytes
    assert descriptor.HasField("disk"), descriptor
    return descriptor.disk.path, descriptor.disk.offset_bytes, descriptor.disk.length_bytes


def write(descriptor, data):
    path, offset, length = place(descriptor)
    assert length == len(data), descriptor
    fd = os.open(path, os.O_RDWR)
    try:
        os.ftruncate(fd, offset + length)
        with mmap.mmap(fd, length, offset=offset) as view:
            view[:] = data
    finally:
        os.close(fd)


def read(descriptor):
    path, offset, length = place(descriptor)
    fd = os.open(path, os.O_RDONLY)
    try:
        with mmap.mmap(fd, length, access=mmap.ACCESS_READ, offset=offset) as view:
            return bytes(view)
    finally:
        os.close(fd)


class Client:
    def __init__(self, target):
        self.channel = channel(target)
        self.catalog = payload_catalog_service_pb2_grpc.PayloadCatalogServiceStub(self.channel)
        self.data = payload_data_service_pb2_grpc.PayloadDataServiceStub(self.channel)
        self.stream = payload_stream_service_pb2_grpc.PayloadStreamServiceStub(self.channel)
        self.admin = payload_admin_service_pb2_grpc.PayloadAdminServiceStub(self.channel)

    def put(self, tier, seed):
        request = lifecycle_pb2.AllocatePayloadRequest(size_bytes=SIZE, preferred_tier=tier)
        made = self.catalog.AllocatePayload(request).payload_descriptor
        assert made.state == types_pb2.PAYLOAD_STATE_ALLOCATED and made.tier == tier, made
        write(made, pattern(seed))
        request = lifecycle_pb2.CommitPayloadRequest(id=made.payload_id)
        done = self.catalog.CommitPayload(request).payload_descriptor
        assert done.state in (types_pb2.PAYLOAD_STATE_ACTIVE, types_pb2.PAYLOAD_STATE_DURABLE), done
        return made.payload_id

    def check(self, payload, seed, tier):
        request = lease_pb2.AcquireReadLeaseRequest(id=payload, min_tier=tier, mode=lease_pb2.LEASE_MODE_READ)
        lease = self.data.AcquireReadLease(request)
        assert read(lease.payload_descriptor) == pattern(seed), "wrong bytes"
        self.data.ReleaseLease(lease_pb2.ReleaseLeaseRequest(lease_id=lease.lease_id))


def refused(code, call, request):
    try:
        call(request)
    except grpc.RpcError as error:
        assert error.code() == code, error
        assert error.details(), "an error without a word"
    else:
        raise AssertionError(f"{code} was expected")


def life(client):
    ram, disk = client.put(types_pb2.TIER_RAM, 1), client.put(types_pb2.TIER_DISK, 2)
    client.check(ram, 1, types_pb2.TIER_UNSPECIFIED)
    client.check(disk, 2, types_pb2.TIER_UNSPECIFIED)

    results = client.catalog.Spill(tiering_pb2.SpillRequest(ids=[ram], fsync=True)).results
    assert [result.ok for result in results] == [True], results
    assert results[0].payload_descriptor.tier == types_pb2.TIER_DISK, results
    client.check(ram, 1, types_pb2.TIER_UNSPECIFIED)
    request = tiering_pb2.PromoteRequest(id=disk, target_tier=types_pb2.TIER_RAM)
    assert client.catalog.Promote(request).payload_descriptor.tier == types_pb2.TIER_RAM
    client.check(disk, 2, types_pb2.TIER_RAM)
    client.check(ram, 1, types_pb2.TIER_RAM)

    listed = client.catalog.ListPayloads(lifecycle_pb2.ListPayloadsRequest())
    assert [row.id for row in listed.payloads] == [disk, ram] and listed.total_count == 2, listed
    stats = client.admin.Stats(stats_pb2.StatsRequest())
    assert (stats.payloads_ram, stats.bytes_ram) == (2, 2 * SIZE), stats

    name = stream_pb2.StreamID(name="frames")
    client.stream.CreateStream(stream_pb2.CreateStreamRequest(stream=name))
    items = [stream_pb2.AppendItem(payload_id=ram), stream_pb2.AppendItem(payload_id=disk)]
    appended = client.stream.Append(stream_pb2.AppendRequest(stream=name, items=items))
    assert (appended.first_offset, appended.last_offset) == (0, 1), appended
    pushed = client.stream.Subscribe(stream_pb2.SubscribeRequest(stream=name, from_beginning=True), timeout=60)
    assert [next(pushed).entry.payload_id for _ in range(2)] == [ram, disk]
    pushed.cancel()
    client.stream.DeleteStream(stream_pb2.DeleteStreamRequest(stream=name))

    for payload in (ram, disk):
        client.catalog.Delete(lifecycle_pb2.DeleteRequest(id=payload))


def mistakes(client):
    short = id_pb2.PayloadID(value=b"short")
    nobody = id_pb2.PayloadID(value=bytes(16))
    refused(grpc.StatusCode.INVALID_ARGUMENT, client.catalog.Delete, lifecycle_pb2.DeleteRequest(id=short))
    refused(grpc.StatusCode.NOT_FOUND, client.catalog.Delete, lifecycle_pb2.DeleteRequest(id=nobody))
    request = lifecycle_pb2.AllocatePayloadRequest(size_bytes=1, preferred_tier=types_pb2.TIER_GPU)
    refused(grpc.StatusCode.FAILED_PRECONDITION, client.catalog.AllocatePayload, request)


def main():
    client = Client(sys.argv[2])
    life(client)
    mistakes(client)
    client.channel.close()
    print("every byte was right")


main()
