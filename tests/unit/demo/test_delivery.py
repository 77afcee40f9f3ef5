"""Waiting for the demo's trace: longer where nobody's spans have arrived yet, and said; not at all where they have."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import httpx
import pytest

from otel.query import TraceQuery
from tracelab.demo.delivery import Patience, await_delivery, is_warming_up

SHORT = Patience(arrival_s=0.01, warm_up_s=0.01)
NOBODY: list[str] = []


@dataclass
class SlowJaeger:
    """Answers as Jaeger does, which keeps no logs; `services` have sent spans. Silent until it was asked some times."""

    services: list[str]
    silent_for: int = 0
    keeps_logs: bool = False
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if len(self.asked) <= self.silent_for:
            raise httpx.ReadError("connection reset", request=request)
        if request.url.path == "/api/lab/logs":
            return httpx.Response(200, json={"result": {}}) if self.keeps_logs else httpx.Response(404)
        if request.url.path == "/api/v3/services":
            return httpx.Response(200, json={"services": self.services})
        if request.url.path == "/api/v3/trace-summaries":
            return httpx.Response(200, json={"summaries": []})
        return httpx.Response(200, text=json.dumps({}))

    @property
    def query(self) -> TraceQuery:
        return TraceQuery("http://127.0.0.1:16686", transport=httpx.MockTransport(self))


def delivered(jaeger: SlowJaeger, patience: Patience = SHORT) -> tuple[list[str], float]:
    said: list[str] = []
    with jaeger.query as query:
        proof, found, waited_s = await_delivery(query, "s-1", None, said.append, patience)
    assert (proof.verdict, found.traces) == ("failed", ())
    return said, waited_s


def test_where_nobody_s_spans_have_arrived_it_says_so_and_waits_longer() -> None:
    said, waited_s = delivered(SlowJaeger(NOBODY))
    assert said == [
        "no span of anybody has arrived at http://127.0.0.1:16686 yet: what passes them on may still be starting; "
        "waiting 0.01 s more at most"
    ]
    assert waited_s == 0.02


def test_where_others_spans_have_arrived_the_way_is_open_and_it_does_not_wait_longer() -> None:
    assert delivered(SlowJaeger(["user"])) == ([], 0.01)


def test_services_that_ran_before_their_backend_are_waited_for_longer_and_it_says_why() -> None:
    said, waited_s = delivered(SlowJaeger(["user"]), Patience(arrival_s=0.01, retry_s=0.01))
    assert said == [
        "the services ran before this backend, and an exporter that found nobody tries again only after a while; "
        "waiting 0.01 s more at most"
    ]
    assert waited_s == 0.02


def test_where_nobody_listens_it_does_not_wait_at_all() -> None:
    assert delivered(SlowJaeger(NOBODY), Patience(arrival_s=0.0)) == ([], 0.0)


@pytest.mark.parametrize(
    ("jaeger", "expected"),
    [
        (SlowJaeger(NOBODY), True),
        (SlowJaeger(NOBODY, silent_for=100), True),
        (SlowJaeger(["user"]), False),
        (SlowJaeger(NOBODY, keeps_logs=True), False),
    ],
    ids=["nothing yet", "no answer yet", "something", "ours, which nobody stands before"],
)
def test_what_has_just_been_started_is_told_from_what_is_broken(jaeger: SlowJaeger, expected: bool) -> None:
    with jaeger.query as query:
        assert is_warming_up(query) is expected


def test_a_backend_that_wants_a_token_is_not_waited_for() -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(401, json={"error": "token"}))
    with TraceQuery("http://127.0.0.1:16686", transport=transport) as query:
        assert not is_warming_up(query)
