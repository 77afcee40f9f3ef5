"""Server reflection as the tools of other languages ask it: by `grpc.reflection.v1` too, and for a method's symbol.

The library's servicer answers `v1alpha` alone and says NOT_FOUND for a method, so that `grpcurl describe` of a method
and ghz without a proto file fail on a Python server. The messages of both versions are the same on the wire. Source:
gRPC reflection.proto v1, which is v1alpha under another name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import Default, DescriptorPool
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

SERVICE_NAMES = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
V1_FILE = "grpc/reflection/v1/reflection.proto"
_ALPHA, _V1 = ".grpc.reflection.v1alpha.", ".grpc.reflection.v1."


def enable_reflection(server: grpc.aio.Server, service_names: Iterable[str]) -> None:
    """Answer reflection for `service_names` and for itself, in both versions. Before the server starts."""
    names = (*service_names, *SERVICE_NAMES)
    servicer = reflection.aio.ReflectionServicer(names, pool=cast("DescriptorPool", _SymbolPool(_pool_with_v1())))
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    v1 = grpc.method_handlers_generic_handler(SERVICE_NAMES[0], {"ServerReflectionInfo": handler})
    server.add_generic_rpc_handlers((v1,))


class _SymbolPool:
    """A descriptor pool that finds the file of a method, too. Has what the library's servicer asks a pool for."""

    def __init__(self, pool: DescriptorPool) -> None:
        self.FindFileByName = pool.FindFileByName
        self.FindMessageTypeByName = pool.FindMessageTypeByName
        self.FindExtensionByNumber = pool.FindExtensionByNumber
        self.FindAllExtensions = pool.FindAllExtensions
        self._pool = pool

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802  # the pool's name
        """Return the file that defines a type, a service, a field or a method; KeyError where none does."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            service_name, _, method_name = symbol.rpartition(".")
            service = self._pool.FindServiceByName(service_name)
            if method_name not in service.methods_by_name:
                raise
            return service.file


def _pool_with_v1() -> DescriptorPool:
    pool = Default()
    try:
        pool.FindFileByName(V1_FILE)
    except KeyError:
        pool.Add(_v1_file())
    return pool


def _v1_file() -> FileDescriptorProto:
    proto = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(proto)
    proto.name, proto.package = V1_FILE, "grpc.reflection.v1"
    for message in proto.message_type:
        for field in message.field:
            if field.HasField("type_name"):
                field.type_name = field.type_name.replace(_ALPHA, _V1)
    for method in proto.service[0].method:
        method.input_type = method.input_type.replace(_ALPHA, _V1)
        method.output_type = method.output_type.replace(_ALPHA, _V1)
    return proto
