"""Serves and calls by one API or the other, over a secure channel, and logs by two libraries."""

import asyncio
import logging
import sys
from concurrent import futures

import grpc
import hello_pb2
import hello_pb2_grpc
import structlog
from grpc import aio


class Greeter(hello_pb2_grpc.GreeterServicer):
    def SayHello(self, request, context):
        logging.getLogger("shop").warning("by stdlib")
        structlog.get_logger().info("by.structlog", name=request.name)
        return hello_pb2.HelloReply(message=request.name)


class AioGreeter(hello_pb2_grpc.GreeterServicer):
    async def SayHello(self, request, context):
        structlog.get_logger().info("by.structlog", name=request.name)
        return hello_pb2.HelloReply(message=request.name)


def sync():
    server = grpc.server(futures.ThreadPoolExecutor(2))
    hello_pb2_grpc.add_GreeterServicer_to_server(Greeter(), server)
    port = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    server.start()
    with grpc.secure_channel(f"127.0.0.1:{port}", grpc.local_channel_credentials()) as channel:
        print(hello_pb2_grpc.GreeterStub(channel).SayHello(hello_pb2.HelloRequest(name="sync"), timeout=10).message)
    server.stop(None).wait()


async def asynchronous():
    server = aio.server()
    hello_pb2_grpc.add_GreeterServicer_to_server(AioGreeter(), server)
    port = server.add_secure_port("127.0.0.1:0", grpc.local_server_credentials())
    await server.start()
    async with aio.secure_channel(f"127.0.0.1:{port}", grpc.local_channel_credentials()) as channel:
        stub = hello_pb2_grpc.GreeterStub(channel)
        print((await stub.SayHello(hello_pb2.HelloRequest(name="aio"), timeout=10)).message)
    await server.stop(None)


if __name__ == "__main__":
    if "--instrumented" in sys.argv:
        from opentelemetry.instrumentation.grpc import GrpcInstrumentorClient, GrpcInstrumentorServer

        GrpcInstrumentorServer().instrument()
        GrpcInstrumentorClient().instrument()
    sync() if "sync" in sys.argv else asyncio.run(asynchronous())
