#!/usr/bin/env bash
# 50051, the port of gRPC's examples, is among those that Linux gives to outgoing connections (32768 to 60999). While one
# of them has it, a gRPC server cannot listen there, though nobody listens.
# A guess: a port on which nobody listens is free, and SO_REUSEPORT, gRPC's default, would help otherwise.
# Source: Linux, Documentation/networking/ip-sysctl.rst, ip_local_port_range and ip_local_reserved_ports. Linux alone; root
# or user namespaces are needed, for the script makes a network of its own.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check grpcio==1.85.1
network=(unshare --net)
((EUID == 0)) || network=(unshare --map-root-user --net)
GRPC_VERBOSITY=NONE timeout 60 "${network[@]}" "$work/venv/bin/python" - <<'PY'
import fcntl
import pathlib
import platform
import socket
import struct
from concurrent import futures

import grpc

with socket.socket() as device:  # brings up loopback
    fcntl.ioctl(device, 0x8914, struct.pack("16sH14x", b"lo", 1))
file = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range")
first, last = map(int, file.read_text().split())
print(f"versions: grpcio {grpc.__version__}, Python {platform.python_version()}, Linux {platform.release()}")
print(f"outgoing connections get ports {first} to {last}")
assert first <= 50051 <= last, "50051 is outside of the range here"
file.write_text("50051 50051")  # so that the kernel's choice is the one that comes about by chance


def listen():
    server = grpc.server(futures.ThreadPoolExecutor(1))
    try:
        return server.add_insecure_port("127.0.0.1:50051") == 50051
    except RuntimeError as error:
        print("   ", error)
        return False


with socket.create_server(("127.0.0.1", 8000)), socket.create_connection(("127.0.0.1", 8000)) as outgoing:
    print("an outgoing connection has port", outgoing.getsockname()[1])
    beside_it = listen()
after_it = listen()
print("a gRPC server can listen at 50051: beside it", beside_it, "- after it", after_it)
print("guess: True both times, since nobody listens there")
print("behavior: a server fails to start by chance; net.ipv4.ip_local_reserved_ports=50051 keeps the port free")
assert not beside_it and after_it, "the behavior has changed"
PY
