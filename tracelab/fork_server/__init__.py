"""Starts our processes from one that has loaded what they are made of."""

from tracelab.fork_server.client import (
    ForkedProcess,
    ForkServer,
    can_fork,
    fork_server,
    fork_server_pid,
    has_fork_server,
)
from tracelab.fork_server.loading import loading_environment, prepare_stack
from tracelab.fork_server.starter import ProcessStarter

__all__ = [
    "ForkServer",
    "ForkedProcess",
    "ProcessStarter",
    "can_fork",
    "fork_server",
    "fork_server_pid",
    "has_fork_server",
    "loading_environment",
    "prepare_stack",
]
