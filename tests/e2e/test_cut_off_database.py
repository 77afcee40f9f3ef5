"""A database behind a dead switch: nothing answers and nothing refuses, and no call waits for longer than it may."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.own_network import own_network, own_network_is_possible
from tests.postgres_server import PostgresServer

BOUND_S = 60


@pytest.mark.skipif(not own_network_is_possible(), reason="nothing is cut off but in a network of the test's own")
@pytest.mark.parametrize("api", ["aio", "sync"])
def test_a_call_to_a_database_that_is_cut_off_is_refused_and_served_when_it_can_be_reached_again(
    postgres: PostgresServer, api: str
) -> None:
    with own_network() as inside:
        done = subprocess.run(
            [*inside, sys.executable, "-m", "tests.e2e.cut_off_database", str(postgres.socket_file), api],
            capture_output=True, text=True, timeout=BOUND_S,
        )  # fmt: skip
    assert done.stdout.split() == ["refused", "served"], done.stderr
