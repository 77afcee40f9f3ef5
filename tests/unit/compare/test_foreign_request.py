"""What `lab compare --target/--run` makes of its words, and of words that make no sense."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clients.errors import LabError
from tracelab.compare.explanation.trace_parts import Part, PartKey, TraceParts
from tracelab.compare.foreign_request import ForeignWords, read_question
from tracelab.compare.question.errors import UsageError
from tracelab.compare.request import Request, plan_of, sweep_of, swept

TWO = ("a=127.0.0.1:1", "b=localhost:2")
WORDS = ForeignWords(targets=TWO, call="pkg.Service/Method", data='{"n": "$n"}')


def test_two_targets_and_a_call_are_a_plan_whose_words_say_where_and_what() -> None:
    plan = plan_of(Request(foreign=read_question(WORDS, (), {"deadline": "2s", "compression": "gzip"})))
    words = {name: subject.in_words() for name, subject in plan.variants.items()}
    assert [(name, each["server"]) for name, each in words.items()] == [("a", "127.0.0.1:1"), ("b", "localhost:2")]
    assert {key: words["a"][key] for key in ("rpc", "deadline_s", "compression")} == {
        "rpc": "pkg.Service/Method",
        "deadline_s": "2",
        "compression": "gzip",
    }
    assert plan.question.startswith("b against a (pkg.Service/Method")
    assert plan.control is not None


def test_a_command_may_be_given_its_address_and_the_first_mention_is_the_baseline() -> None:
    words = replace(WORDS, runs=("new=python 'new app.py'",), targets=("new=[::1]:7", "old=127.0.0.1:8"))
    new, old = read_question(words, (), {}).servers
    assert (new.name, new.command, new.address) == ("new", ("python", "new app.py"), "[::1]:7")
    assert (old.name, old.command, old.address) == ("old", (), "127.0.0.1:8")


def test_a_sweep_puts_its_numbers_into_the_data_or_makes_so_many_calls_at_once() -> None:
    by_n = Request(foreign=read_question(replace(WORDS, sweep="10,1"), (), {}))
    assert (swept(by_n), sweep_of(by_n)) == ("n", (1, 10))
    assert plan_of(by_n, 10).variants["a"].in_words()["n"] == "10"
    at_once = Request(foreign=read_question(WORDS, (), {"concurrency": "1,8"}))
    assert (swept(at_once), sweep_of(at_once)) == ("concurrency", (1, 8))
    words = plan_of(at_once, 8).variants["a"].in_words()
    assert (words["n"], words["concurrency"]) == ("none", "8")


def test_metadata_is_sent_and_only_its_keys_are_kept_with_the_run() -> None:
    question = read_question(replace(WORDS, metadata=("authorization=Bearer s3cret",)), (), {})
    assert question.metadata == (("authorization", "Bearer s3cret"),)
    assert question.variants()["a"].in_words()["metadata"] == "authorization"


def test_a_file_of_lines_is_one_request_a_line_and_keeps_their_numbers(tmp_path: Path) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text('{"n": 1}\n\n{"n": 2}\n', encoding="utf-8")
    data = read_question(replace(WORDS, data=f"@{file}"), (), {}).data
    assert data.calls == ((1, '{"n": 1}'), (3, '{"n": 2}'))
    assert "2 requests, sha256 " in data.words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (replace(WORDS, targets=TWO[:1]), "a comparison needs two servers or more, and a alone is named"),
        (replace(WORDS, targets=(), data=""), "no server is named"),
        (replace(WORDS, call=""), "--call is missing"),
        (replace(WORDS, targets=("a", "b=127.0.0.1:2")), "'a' is not like NAME=HOST:PORT"),
        (replace(WORDS, targets=("a=127.0.0.1:1", "a=127.0.0.1:2")), "a is named twice"),
        (replace(WORDS, targets=("a=192.0.2.1:1", TWO[1])), "192.0.2.1 is not this machine"),
        (replace(WORDS, targets=("a=127.0.0.1", TWO[1])), "'127.0.0.1' is not HOST:PORT"),
        (replace(WORDS, targets=("a=127.0.0.1:99999", TWO[1])), "is not HOST:PORT"),
        (replace(WORDS, runs=("c='python",)), "the command of c cannot be read"),
        (replace(WORDS, data="{}", sweep="1,2"), r'"\$n" is nowhere in --data'),
        (replace(WORDS, sweep="1"), "--sweep: '1' is not like 1,10,100"),
    ],
)
def test_words_that_make_no_sense_are_refused_in_a_sentence(words: ForeignWords, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_question(words, (), {})


def test_what_is_about_our_own_services_is_refused_beside_them(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'batch' is a variant of our own services"):
        read_question(WORDS, ("batch",), {})
    with pytest.raises(UsageError, match="--users is about our own services"):
        read_question(WORDS, (), {"users": "3"})
    with pytest.raises(UsageError, match="--sweep and --concurrency both"):
        read_question(replace(WORDS, sweep="1,2"), (), {"concurrency": "1,2"})
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n", encoding="utf-8")
    with pytest.raises(UsageError, match="has no line"):
        read_question(replace(WORDS, data=f"@{empty}"), (), {})
    with pytest.raises(LabError):
        read_question(replace(WORDS, metadata=("no equals sign",)), (), {})
    with pytest.raises(UsageError, match="--preset is about our own services"):
        plan_of(Request(preset="n-plus-one", foreign=read_question(WORDS, (), {})))


def test_restarts_need_servers_that_can_be_started_on_ports_of_their_own() -> None:
    with pytest.raises(UsageError, match="a is not ours to restart"):
        plan_of(Request(restarts=2, foreign=read_question(WORDS, (), {})))
    fixed = replace(WORDS, runs=("a=python a.py", "b=python b.py"))
    with pytest.raises(UsageError, match="a has one address, and its twin needs another"):
        plan_of(Request(restarts=2, foreign=read_question(fixed, (), {})))
    plan = plan_of(Request(restarts=2, foreign=read_question(replace(fixed, targets=()), (), {})))
    assert plan.restarts == 2


@pytest.mark.parametrize(
    "method", ["hello.v1.Greeter/SayHello", "/hello.v1.Greeter/SayHello", "hello.v1.Greeter.SayHello"]
)
def test_a_method_s_operation_is_what_traces_call_it(method: str) -> None:
    call = read_question(replace(WORDS, call=method), (), {}).variants()["a"]
    assert (call.service, call.operation) == ("Greeter", "Greeter/SayHello")


def test_two_builds_that_call_themselves_differently_are_laid_side_by_side() -> None:
    served, asked = PartKey("greeter-old", "Greeter/SayHello", "server"), PartKey("greeter-old", "Db/Get", "client")
    behind, caller = PartKey("db", "Db/Get", "server"), PartKey("cli", "Greeter/SayHello", "client")
    parts = TraceParts("1", 9, tuple((key, Part(1, 1)) for key in (caller, served, asked, behind)))
    renamed = parts.with_called_service("Greeter/SayHello", "Greeter")
    assert [key.service_name for key, _ in renamed.parts] == ["cli", "Greeter", "Greeter", "db"]
    assert parts.with_called_service("Other/Method", "Other") == parts
    assert parts.reaches_a_server
    assert not replace(parts, parts=((caller, Part(1, 1)),)).reaches_a_server
