import argparse
import logging
import signal
import sys
import time
from concurrent import futures

import grpc
import hello_pb2
import hello_pb2_grpc
from grpc_reflection.v1alpha import reflection

logger = logging.getLogger("greeter")


class Greeter(hello_pb2_grpc.GreeterServicer):
    def __init__(self, upstream=None):
        self.upstream = upstream

    def SayHello(self, request, context):
        logger.info("saying hello to %s", request.name)
        if not request.name:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a name is needed")
        if self.upstream is not None:
            return self.upstream.SayHello(request, timeout=5)
        return hello_pb2.HelloReply(message=f"Hello, {request.name}!")

    def CountDown(self, request, context):
        for number in range(getattr(request, "from"), 0, -1):
            yield hello_pb2.HelloReply(message=str(number))
            time.sleep(0.01)

    def SayHelloToAll(self, request_iterator, context):
        names = [request.name for request in request_iterator]
        return hello_pb2.HelloReply(message=f"Hello, {' and '.join(names)}!")

    def Chat(self, request_iterator, context):
        for request in request_iterator:
            yield hello_pb2.HelloReply(message=f"Hello, {request.name}!")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", default="50061")
    parser.add_argument("--upstream", help="another greeter, which is asked instead")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO)

    upstream = None
    if args.upstream:
        upstream = hello_pb2_grpc.GreeterStub(grpc.insecure_channel(args.upstream))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=10))
    hello_pb2_grpc.add_GreeterServicer_to_server(Greeter(upstream), server)
    names = (hello_pb2.DESCRIPTOR.services_by_name["Greeter"].full_name, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    port = server.add_insecure_port(f"127.0.0.1:{args.port}")
    server.start()
    print(f"listening on {port}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: server.stop(1))
    try:
        server.wait_for_termination()
    except KeyboardInterrupt:
        server.stop(1).wait()
    print("goodbye", file=sys.stderr)


if __name__ == "__main__":
    main()
