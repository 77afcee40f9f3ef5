import argparse
import asyncio
import logging

import grpc.aio
import hello_pb2
import hello_pb2_grpc
from grpc_reflection.v1alpha import reflection

log = logging.getLogger(__name__)


class Greeter(hello_pb2_grpc.GreeterServicer):
    async def SayHello(self, request, context):
        log.warning("hello to %s", request.name)
        await asyncio.sleep(0.005)
        if not request.name:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a name is needed")
        return hello_pb2.HelloReply(message=f"Hello, {request.name}!")

    async def CountDown(self, request, context):
        for number in range(getattr(request, "from"), 0, -1):
            yield hello_pb2.HelloReply(message=str(number))
            await asyncio.sleep(0.01)

    async def SayHelloToAll(self, request_iterator, context):
        names = [request.name async for request in request_iterator]
        return hello_pb2.HelloReply(message=f"Hello, {' and '.join(names)}!")

    async def Chat(self, request_iterator, context):
        async for request in request_iterator:
            yield hello_pb2.HelloReply(message=f"Hello, {request.name}!")


async def serve(port):
    server = grpc.aio.server()
    hello_pb2_grpc.add_GreeterServicer_to_server(Greeter(), server)
    reflection.enable_server_reflection(["hello.Greeter", reflection.SERVICE_NAME], server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print(f"listening on {bound}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=50062)
    asyncio.run(serve(parser.parse_args().port))
