"""gRPC's ways to write an address, taken apart."""

from __future__ import annotations

import pytest

from otel.instrument.method_names import method_name, service_name
from otel.instrument.peers import peer_attributes, target_attributes


@pytest.mark.parametrize(
    ("target", "address", "port"),
    [
        ("127.0.0.1:50051", "127.0.0.1", 50051),
        ("localhost:50051", "localhost", 50051),
        ("[::1]:50051", "::1", 50051),
        ("dns:user:50051", "user", 50051),
        ("dns:///user:50051", "user", 50051),
        ("dns://8.8.8.8/user:50051", "user", 50051),
        ("ipv4:10.0.0.1:50051", "10.0.0.1", 50051),
        ("ipv6:[::1]:50051", "::1", 50051),
        ("ipv4:10.0.0.1:1,10.0.0.2:2", "ipv4:10.0.0.1:1,10.0.0.2:2", None),
        ("unix:/tmp/user.sock", "unix:/tmp/user.sock", None),
        ("unix:///tmp/user.sock", "unix:///tmp/user.sock", None),
        ("xds:///user", "xds:///user", None),
        ("user", "user", None),
        ("::1", "::1", None),
        ("user:99999", "user:99999", None),
        (":50051", ":50051", None),
    ],
)
def test_a_target_gives_address_and_port_or_itself(target: str, address: str, port: int | None) -> None:
    expected = {"server.address": address} if port is None else {"server.address": address, "server.port": port}
    assert dict(target_attributes(target)) == expected


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("ipv4:127.0.0.1:40000", {"network.peer.address": "127.0.0.1", "network.peer.port": 40000}),
        ("ipv6:%5B::1%5D:40000", {"network.peer.address": "::1", "network.peer.port": 40000}),
        ("ipv4:10.2.1.1:57284,127.0.0.1:57284", {"network.peer.address": "10.2.1.1", "network.peer.port": 57284}),
        ("unix:/tmp/user.sock", {"network.peer.address": "/tmp/user.sock"}),
        ("unix:", {}),
        ("unknown", {}),
        ("", {}),
    ],
)
def test_a_peer_gives_what_it_says_and_nothing_made_up(peer: str, expected: dict[str, object]) -> None:
    assert dict(peer_attributes(peer)) == expected


@pytest.mark.parametrize("path", ["/tracelab.user.v1.UserService/GetUser", b"/tracelab.user.v1.UserService/GetUser"])
def test_a_method_is_named_without_its_slash(path: str | bytes) -> None:
    assert method_name(path) == "tracelab.user.v1.UserService/GetUser"
    assert service_name(path) == "tracelab.user.v1.UserService"
