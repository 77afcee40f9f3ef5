"""People can call every RPC: each method of the contracts is called by a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tracelab.service_config import CONTRACTS

COMMANDS = Path(__file__).resolve().parents[3] / "clients" / "commands"
METHODS = [
    (contract.package.split(".")[1], method.name)
    for contract in CONTRACTS
    for service in contract.services_by_name.values()
    for method in service.methods
]


@pytest.mark.parametrize(("service", "method"), METHODS)
def test_a_command_calls_it(service: str, method: str) -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in COMMANDS.glob("*.py"))
    assert f"stubs.{service}.{method}(" in sources, f"./lab {service} has no command for it"
