"""What the page computes without drawing, asked in the browser that runs it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import Backend, opened_pages

Ask = Callable[[str], Any]
TRACE = "5a1f0c3e9b7d42468ce013579bdf2468"


@pytest.fixture(scope="module")
def ask(browser: Browser, backend: Backend) -> Iterator[Ask]:
    """Evaluate an expression that may use the exports of all modules without a document, as `m`. They keep no state."""
    names = [
        "address",
        "format",
        "trace_model",
        "search_model",
        "map_model",
        "metrics_model",
        "sequence_model",
        "logs_model",
    ]
    imports = ", ".join(f"import('/static/{name}.js')" for name in [*names, "service_color"])
    with opened_pages(browser, backend) as open_page:
        page = open_page("/search")
        yield lambda expression: page.evaluate(
            f"async () => {{ const m = Object.assign({{}}, ...await Promise.all([{imports}])); return {expression}; }}"
        )


def test_an_address_that_is_read_and_written_again_stays_the_same(ask: Ask) -> None:
    addresses = [
        "/search",
        "/search?service=order&operation=a%2Fb&tags=%7B%22error%22%3A%22true%22%7D&minDuration=1.5s&lookback=2d&limit=20",
        "/search?start=1795456800000000&end=1795456900000000",
        f"/trace/{TRACE}",
        f"/trace/{TRACE}?view=sequence&span=00000000000000a1&uiFind=order+paid&zoom=100-2000",
        f"/trace/{TRACE}?span=00000000000000a1_1",
        f"/trace/{TRACE}...{'0' * 31}7",
        "/map?lookback=15m",
        "/monitor?lookback=1h&side=made",
        f"/logs?service=user&severityMin=13&text=gone&traceId={TRACE}&spanId=00000000000000a1&lookback=7d",
    ]

    again = ask(
        f"{addresses!r}.map((one) => {{ const [path, query] = one.split('?'); "
        "return m.formatAddress(m.parseAddress('/x' + path, query ? '?' + query : '', '/x'), ''); })"
    )

    assert again == addresses


@pytest.mark.parametrize(
    ("path", "query", "expected"),
    [
        ("/", "", "/search"),
        ("/search", "?lookback=yesterday&limit=-3&minDuration=fast&tags=[1]", "/search"),
        ("/search", "?limit=999999", "/search?limit=1500"),
        ("/trace/7", "", f"/trace/{'7':0>32}"),
        (f"/trace/{TRACE.upper()}", "?view=pie&span=zz&zoom=9-1", f"/trace/{TRACE}"),
        ("/search", "?tag=error:true&tag=a:b:c", "/search?tags=%7B%22error%22%3A%22true%22%2C%22a%22%3A%22b%3Ac%22%7D"),
        ("/dependencies", "", "/map"),
        ("/monitor", "?service=order&side=left&lookback=x", "/monitor"),
        (f"/trace/{TRACE}...", "", f"/trace/{TRACE}..."),
    ],
    ids=[
        "start",
        "rubbish",
        "too-many",
        "short-id",
        "odd-trace",
        "older-tags",
        "jaegers-map",
        "jaegers-monitor",
        "half-compare",
    ],
)
def test_rubbish_in_an_address_is_as_if_it_were_not_there(ask: Ask, path: str, query: str, expected: str) -> None:
    assert ask(f"m.formatAddress(m.parseAddress({path!r}, {query!r}))") == expected


def test_durations_have_three_digits_and_a_fitting_unit(ask: Ask) -> None:
    lengths = [0, 1, 999, 1000, 14_210_000, 9_999_000, 999_600_000, 1_000_000_000, 59_000_000_000, 125_000_000_000]

    assert ask(f"{lengths}.map((one) => m.duration(one))") == [
        "0 ns", "1.00 ns", "999 ns", "1.00 µs", "14.2 ms", "10.0 ms", "1.00 s", "1.00 s", "59.0 s", "2 min 5 s",
    ]  # fmt: skip


def test_absolute_times_keep_their_nanoseconds(ask: Ask) -> None:
    assert ask("m.rfc3339('1795456800123456789')") == "2026-11-23T18:00:00.123456789Z"


def test_foreign_text_is_made_visible(ask: Ask) -> None:
    shown = ask(r"['\x1b[31m\n', 'a\u202eb', 'n'.repeat(400)].map((one) => m.plain(one, 20))")

    assert shown == [r"\x1b[31m\n", "a⟨U+202E⟩b", "n" * 20 + "…"]


def test_attribute_filters_are_read_with_quotes_and_refused_with_a_reason(ask: Ask) -> None:
    read = ask(r"""[m.readTags('a=1 b="two words" c="say \\"hi\\""'), m.readTags('a=1 nonsense')]""")

    assert read == [{"tags": {"a": "1", "b": "two words", "c": 'say "hi"'}}, {"problem": "'nonsense' is not key=value"}]
    assert ask("m.readTags(m.tagsText({a: 'x y', b: '', c: '\"'})).tags") == {"a": "x y", "b": "", "c": '"'}


def test_the_sentence_of_a_search_says_what_is_asked(ask: Ask) -> None:
    sentence = ask(
        'm.explain(m.parseAddress(\'/search\', \'?service=order&tags={"error":"true","k":"v"}&minDuration=1s\'))'
    )

    assert sentence == (
        "Traces with a span of order that failed of at least 1s with k = v, in the last hour"
        " (all of it true of one span)"
    )


def test_zooming_stays_inside_the_trace(ask: Ask) -> None:
    found = ask(
        "[m.zoomed({duration: 1e6}, null, 0.5), m.zoomed({duration: 1e6}, {from: 0, to: 5e5}, 0.5, 0),"
        " m.zoomed({duration: 1e6}, {from: 0, to: 5e5}, 2), m.moved({duration: 1e6}, {from: 0, to: 5e5}, -1)]"
    )

    assert found == [{"from": 250_000, "to": 750_000}, {"from": 0, "to": 250_000}, None, {"from": 0, "to": 500_000}]


def test_a_response_ends_the_activation_of_its_own_span(ask: Ask) -> None:
    steps = [
        {"kind": "request", "fromService": "a", "toService": "b", "timeUnixNano": "1", "label": "X", "spanId": "s1"},
        {"kind": "request", "fromService": "a", "toService": "b", "timeUnixNano": "2", "label": "Y", "spanId": "s2"},
        {"kind": "response", "fromService": "b", "toService": "a", "timeUnixNano": "3", "label": "OK", "spanId": "s1"},
    ]

    plan = ask(f"m.layOut({{participants: ['a', 'b'], steps: {steps!r}}}, 1n, 100)")

    assert [(one["key"], one["ended"]) for one in plan["activations"]] == [("s1", True), ("s2", False)]


def test_services_that_call_in_a_circle_still_find_their_columns(ask: Ask) -> None:
    calls = [("a", "b"), ("b", "c"), ("c", "b"), ("a", "c")]
    links = [{"from": one, "to": other, "count": 1} for one, other in calls]

    plan = ask(f"m.layOutMap({{services: ['a', 'b', 'c'].map((name) => ({{name}})), links: {links!r}}})")

    lefts = {box["service"]["name"]: box["x"] for box in plan["boxes"]}
    assert lefts["a"] < lefts["b"] < lefts["c"]


def test_log_lines_are_merged_by_time_and_each_is_kept_once(ask: Ask) -> None:
    merged = ask(
        "m.merge([{key: 'a', time: 1n}, {key: 'c', time: 3n}], [{key: 'b', time: 2n}, {key: 'a', time: 1n}], 2)"
        ".map((line) => line.key)"
    )

    assert merged == ["b", "c"]


def test_a_service_has_the_colour_that_the_terminal_gives_it(ask: Ask) -> None:
    import zlib

    names = ["ledger", "naïve", "zzz"]

    assert ask(f"{names!r}.map((name) => m.serviceClass(name))") == [
        f"service-{4 + zlib.crc32(name.encode()) % 6}" for name in names
    ]


def test_what_core_counted_is_joined_by_method_and_unknown_where_it_is_not_stored(ask: Ask) -> None:
    attempts = "{stepS: 60, series: [{attributes: {'grpc.method': 'a/B'}, values: [3]}]}"
    calls = "{stepS: 60, series: [{attributes: {'rpc.method': 'a/B'}, values: [1 / 60]}]}"

    found = ask(f"[...m.readCore({{attempts: {attempts}, calls: {calls}, wire: null, messages: null}})]")

    assert found == [["a/B", {"attempts": 3, "calls": 1, "wireBytes": None, "messageBytes": None}]]
