"""The command line of the services."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.options import ServingOptions, parse_options


def test_every_option_reaches_the_value() -> None:
    channel_options = ["--channel-option", "grpc.a=1", "--channel-option", "grpc.b=x=y"]
    files = ["--witness", "w", "--log-file", "l", "--ready-file", "r"]
    arguments = ["--host", "0.0.0.0", "--port", "0", "--allow-faults", "--until-stdin-ends", *channel_options, *files]
    arguments += ["--max-concurrent-calls", "7", "--api", "sync"]
    assert parse_options("user", 50051, arguments) == ServingOptions(
        host="0.0.0.0",
        port=0,
        allow_faults=True,
        channel_options=(("grpc.a", 1), ("grpc.b", "x=y")),
        witness_file=Path("w"),
        log_file=Path("l"),
        ready_file=Path("r"),
        until_stdin_ends=True,
        max_concurrent_calls=7,
        api="sync",
    )


def test_without_options_it_is_the_loopback_and_the_service_s_port() -> None:
    assert parse_options("user", 50051, []) == ServingOptions(host="127.0.0.1", port=50051)


def test_the_environment_names_the_api_unless_the_command_line_does() -> None:
    assert parse_options("user", 50051, [], {"LAB_API": "sync"}).api == "sync"
    assert parse_options("user", 50051, ["--api", "aio"], {"LAB_API": "sync"}).api == "aio"
    assert parse_options("user", 50051, [], {"LAB_API": ""}).api == "aio"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "x"], "--port: 'x' is no port, 0 to 65535"),
        (["--port", "65536"], "--port: '65536' is no port, 0 to 65535"),
        (["--channel-option", "a"], "--channel-option: 'a' is not KEY=VALUE"),
        (["--api", "x"], "--api: 'x' (of LAB_API, if not of the option) is neither aio nor sync"),
        (["--prot", "1"], "unrecognized arguments: --prot 1"),
    ],
    ids=["no number", "too big", "no value", "no api", "unknown"],
)
def test_a_mistake_is_one_line_with_a_hint_and_exit_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_options("user", 50051, arguments)
    assert caught.value.code == 2
    first, second, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith(f"error: {message}")
    assert second == "hint: python -m services.user_service --help"
    assert rest == []
