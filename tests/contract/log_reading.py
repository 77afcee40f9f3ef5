"""What every log store promises to those who read it: one suite over all adapters of otel/query's port.

A module that has a store fills it with `records_for` and names its fixture `query`; the real engine does so, too.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from otel.analysis.model import LogRecord, Resource, Scope
from otel.query import LogPage, LogSearch, QueryError, TraceQuery

T0 = 1_795_456_800_000_000_000
MS = 1_000_000
WHOLE = LogSearch(limit=1000)


@dataclass(frozen=True)
class Written:
    """Records that are in a store, in the order of their times, and who reads them. Their services are theirs alone."""

    query: TraceQuery
    records: tuple[LogRecord, ...]

    def events(self, **search: object) -> list[str]:
        """The events of those that a search finds, in the order found."""
        return [record.event_name for record in self.page(**search).records]

    def page(self, **search: object) -> LogPage:
        """Ask for records of one of the two services, the first unless told otherwise."""
        wanted = {"service_name": self.records[0].service_name, **search}
        return self.query.logs(replace(WHOLE, **wanted))  # type: ignore[arg-type]  # names are checked by use


def records_for(run: str = "") -> tuple[LogRecord, ...]:
    """Make records of two services and three traces; two of them are of one and the same time."""
    run = run or f"r{secrets.token_hex(4)}"  # a word that no number that is looked for begins
    traces = [secrets.token_hex(16) for _ in range(3)]

    def record(number: int, at_ms: int, event: str, service: str = "user", **more: object) -> LogRecord:
        made = LogRecord(
            time_unix_nano=T0 + at_ms * MS, observed_time_unix_nano=T0 + at_ms * MS + 1, severity_number=9,
            severity_text="INFO", body=f"{event} in words", event_name=event,
            trace_id=traces[number % 3], span_id=f"{number + 1:016x}", flags=1,
            attributes={"log.record.uid": f"{run}-{number}"},
            resource=Resource({"service.name": f"{service}-{run}", "process.pid": 4711}), scope=Scope("test", "1"),
        )  # fmt: skip
        return replace(made, **more)  # type: ignore[arg-type]  # names are checked by use

    typed = {
        "log.record.uid": f"{run}-1",
        "count": 42,
        "share": 0.5,
        "is_new": True,
        "names": ("Ada", "Bo"),
        "at": "Café",
    }
    return (
        record(0, 0, "user.made"),
        record(1, 1, "user.read", attributes=typed),
        record(2, 2, "user.renamed", severity_number=13, severity_text="WARN"),
        record(3, 2, "user.told"),
        record(
            4, 3, "order.made", service="order", body="an order in words", severity_number=17, severity_text="ERROR"
        ),
        record(5, 4, "user.removed", severity_number=17, severity_text="ERROR", body={"why": "asked", "times": 2}),
    )


def batches(records: Sequence[LogRecord]) -> list[list[LogRecord]]:
    """How they are written: two that begin at the same time, with a record that comes twice, and one around both."""
    return [[records[1]], [records[1], records[4]], [records[0], records[2], records[3], records[5]]]


class LogReading:
    """The suite; a subclass has a fixture `written`."""

    def test_a_record_comes_back_whole(self, written: Written) -> None:
        assert list(written.page().records) == [it for it in written.records if it.event_name != "order.made"]

    def test_the_oldest_is_first_in_whatever_order_they_came(self, written: Written) -> None:
        times = [record.time_unix_nano for record in written.page().records]
        assert times == sorted(times)

    def test_a_record_that_came_twice_is_given_once(self, written: Written) -> None:
        assert written.events().count("user.read") == 1

    def test_a_traces_records_are_those_of_all_its_services(self, written: Written) -> None:
        found = written.query.logs_of_trace(written.records[1].trace_id)
        assert [record.event_name for record in found.records] == ["user.read", "order.made"]
        assert not found.from_span_events

    @pytest.mark.parametrize(
        ("search", "expected"),
        [
            ({"severity_min": 13}, ["user.renamed", "user.removed"]),
            ({"severity_min": 18}, []),
            ({"span_id": f"{3:016x}"}, ["user.renamed"]),
            ({"time_min_unix_nano": T0 + 2 * MS}, ["user.renamed", "user.told", "user.removed"]),
            ({"time_max_unix_nano": T0 + 1 * MS}, ["user.made", "user.read"]),
            ({"time_min_unix_nano": T0 + 3 * MS, "time_max_unix_nano": T0 + 3 * MS}, []),
            ({"service_name": "nobody"}, []),
        ],
        ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
    )
    def test_a_record_is_found_by_what_it_has(
        self, written: Written, search: dict[str, object], expected: list[str]
    ) -> None:
        assert written.events(**search) == expected

    def test_all_conditions_hold_for_one_record_though_its_batch_has_others(self, written: Written) -> None:
        assert written.events(severity_min=13, text="told") == []
        assert written.events(severity_min=13, text="renamed") == ["user.renamed"]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("user.renamed", ["user.renamed"]),
            ("RENAMED", ["user.renamed"]),
            ("renam", ["user.renamed"]),  # words are found by how they begin
            ("named", []),
            ("words told", ["user.told"]),  # each word, in any order
            ("words nowhere", []),
            ("42", ["user.read"]),
            ("is_new true", ["user.read"]),
            ("0.5", ["user.read"]),
            ("café", ["user.read"]),
            ("error", ["user.removed"]),
            ("...", []),
        ],
    )
    def test_words_are_looked_for_in_body_event_severity_and_attributes(
        self, written: Written, text: str, expected: list[str]
    ) -> None:
        assert written.events(text=text) == expected

    @pytest.mark.parametrize("limit", [1, 2, 3])
    def test_pages_give_each_record_once(self, written: Written, limit: int) -> None:
        page = written.page(limit=limit)
        records = list(page.records)
        while page.next_cursor:
            page = written.page(limit=limit, cursor=page.next_cursor)
            assert len(page.records) <= limit
            records += page.records
        once = {record.event_name for record in records}
        assert [record.time_unix_nano for record in records] == sorted(record.time_unix_nano for record in records)
        assert once == {it.event_name for it in written.records if it.event_name != "order.made"}

    def test_a_page_that_holds_all_has_no_cursor(self, written: Written) -> None:
        assert written.page(limit=1000).next_cursor == ""

    def test_what_is_no_cursor_is_refused(self, written: Written) -> None:
        with pytest.raises(QueryError):
            written.page(cursor="not a cursor")
