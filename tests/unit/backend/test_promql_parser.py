"""The subset of PromQL: what is read, what is refused and where; every expression reads back as it was written."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel.backend.promql.parser import parse, parse_selector
from otel.backend.promql.patterns import Pattern
from otel.backend.promql.syntax import (
    AGGREGATORS,
    OPERATORS,
    RANGE_FUNCTIONS,
    Aggregation,
    Binary,
    Call,
    Expression,
    Matcher,
    Number,
    PromqlError,
    Selector,
    is_scalar,
)


def named(name: str, *matchers: Matcher, range_ms: int = 0) -> Selector:
    return Selector((Matcher("__name__", "=", name), *matchers), range_ms)


CALLS_5M = Call("rate", (named("x", range_ms=300_000),))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("1+1", Binary("+", Number(1), Number(1)), id="what Grafana asks for health"),
        pytest.param("x", named("x"), id="a name"),
        pytest.param('{__name__="x"}', named("x"), id="a name as a label"),
        pytest.param("x{}", named("x"), id="no conditions"),
        pytest.param("sum", named("sum"), id="a metric called like an aggregator"),
        pytest.param("rate(x[5m])", CALLS_5M, id="rate"),
        pytest.param("rate(x[4m60s])", CALLS_5M, id="a duration in two units"),
        pytest.param("sum by (a, b) (rate(x[5m]))", Aggregation("sum", ("a", "b"), False, CALLS_5M), id="by before"),
        pytest.param("sum(rate(x[5m])) by (a,)", Aggregation("sum", ("a",), False, CALLS_5M), id="by after"),
        pytest.param("sum without (a) (x)", Aggregation("sum", ("a",), True, named("x")), id="without"),
        pytest.param("sum without () (x)", Aggregation("sum", (), True, named("x")), id="without nothing"),
        pytest.param("sum(x)", Aggregation("sum", (), False, named("x")), id="all together"),
        pytest.param(
            "histogram_quantile(0.95, sum by (le) (rate(x[5m])))",
            Call("histogram_quantile", (Number(0.95), Aggregation("sum", ("le",), False, CALLS_5M))),
            id="a quantile",
        ),
        pytest.param("-x", Binary("*", Number(-1), named("x")), id="a sign"),
        pytest.param(
            "1 - 2 * 3 - 4",
            Binary("-", Binary("-", Number(1), Binary("*", Number(2), Number(3))), Number(4)),
            id="how tightly operators bind",
        ),
        pytest.param("x / on (a) y", Binary("/", named("x"), named("y"), ("a",), True), id="on"),
        pytest.param("x / ignoring (a) y", Binary("/", named("x"), named("y"), ("a",)), id="ignoring"),
        pytest.param("x # a comment\n + 1", Binary("+", named("x"), Number(1)), id="a comment"),
        pytest.param(
            """x{a='it"s',b=`\\d`,c="\\x41\\u00e9\\n"}""",
            named("x", Matcher("a", "=", 'it"s'), Matcher("b", "=", "\\d"), Matcher("c", "=", "Aé\n")),
            id="strings",
        ),
        pytest.param("Inf", Number(float("inf")), id="infinity"),
    ],
)
def test_a_query_is_read(query: str, expected: Expression) -> None:
    assert parse(query) == expected


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "1:1: parse error: unexpected end of input"),
        ("sum(", "1:5: parse error: unexpected end of input"),
        ("sum(x", "1:6: parse error: unexpected end of input, expected ')'"),
        ("x y", "1:3: parse error: unexpected 'y'"),
        ("x{a}", "1:4: parse error: unexpected '}'"),
        ("x{a=1}", "1:5: parse error: unexpected '1'"),
        ('x{a=="b"}', "1:4: parse error: unexpected '=='"),
        ('x{a="b" c="d"}', "1:9: parse error: unexpected 'c', expected '}'"),
        ("x[5]", "1:3: parse error: unexpected '5'"),
        ("x[5m", "1:5: parse error: unexpected end of input, expected ']'"),
        ("x[0s]", "1:3: parse error: duration must be greater than 0"),
        ("x[900y]", "1:3: parse error: duration must be greater than 0 and at most 100 years"),
        ("x[5m:1m]", "1:5: parse error: unexpected ':1m', expected ']'"),
        ("rate(x)", "1:1: parse error: expected type range vector in call to function 'rate'"),
        ("rate(1)", "1:1: parse error: expected type range vector"),
        ("rate(x[5m], 1)", "1:1: parse error: 'rate' takes 1 argument(s), got 2"),
        ("sum(x[5m])", "1:1: parse error: 'sum' takes no range vector; use it in rate()"),
        ("x[5m] + 1", "1:7: parse error: '+' takes no range vector"),
        ("sum(1)", "1:1: parse error: expected type instant vector in aggregation 'sum'"),
        ("histogram_quantile(x, x)", "1:1: parse error: histogram_quantile takes a scalar and an instant vector"),
        ("topk(5, x)", "1:1: parse error: 'topk' is not in the subset; there are rate, irate, increase"),
        ("x offset 5m", "1:3: parse error: 'offset' is not in the subset"),
        ("x or y", "1:3: parse error: unexpected 'or'"),
        ("x > 1", "1:3: parse error: unexpected character: '>'"),
        ("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ('{a=~".*"}', "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ('{a!="b"}', "1:1: parse error: vector selector must contain at least one non-empty matcher"),
        ('x{a=~"["}', "1:6: parse error: [ is not in the subset of regular expressions"),
        ('x{a="\\q"}', "1:6: parse error: unknown escape sequence"),
        ('x{a="b', "1:5: parse error: unexpected character"),
        ("(" * 60 + "1" + ")" * 60, "parse error: nested deeper than 50 levels"),
        ("1" + "+1" * 201, "1:402: parse error: more than 200 operators"),
        ("1" + "+1" * 5000, "1:1: parse error: the query is longer than 8192 characters"),
        ("1e", "1:1: parse error: unexpected character: '1'"),
        ("é", "1:1: parse error: unexpected character"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(query: str, told: str) -> None:
    with pytest.raises(PromqlError) as caught:
        parse(query)
    assert told in str(caught.value)


@pytest.mark.parametrize("text", ["x[5m]", "1", "sum(x)"])
def test_a_selector_is_nothing_else(text: str) -> None:
    with pytest.raises(PromqlError, match="expected a selector"):
        parse_selector(text)


labels_drawn = st.sampled_from(["le", "job", "rpc_method", "by", "on", "sum"])
texts_drawn = st.text(max_size=8)
matchers_drawn = st.builds(Matcher, labels_drawn, st.sampled_from(["=", "!="]), texts_drawn) | st.builds(
    Matcher, labels_drawn, st.sampled_from(["=~", "!~"]), st.sampled_from(["a|b", ".*", "x.+", "(a|b)c"])
)


def selectors_drawn(range_ms: st.SearchStrategy[int]) -> st.SearchStrategy[Selector]:
    return st.builds(
        lambda name, matchers, length: named(name, *matchers, range_ms=length),
        st.sampled_from(["up", "x:y", "rpc_server_call_duration_seconds_bucket", "sum", "offset"]),
        st.lists(matchers_drawn, max_size=3),
        range_ms,
    )


def deeper(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    vectors = inner.filter(lambda expression: not is_scalar(expression))
    names = st.lists(labels_drawn, max_size=3).map(tuple)
    return (
        st.builds(Binary, st.sampled_from(sorted(OPERATORS)), inner, inner, names, st.booleans())
        | st.builds(Aggregation, st.sampled_from(AGGREGATORS), names, st.booleans(), vectors)
        | st.builds(lambda share, vector: Call("histogram_quantile", (Number(share), vector)), st.floats(0, 1), vectors)
    )


expressions_drawn = st.recursive(
    st.builds(Number, st.floats(allow_nan=False))
    | selectors_drawn(st.just(0))
    | st.builds(
        lambda function, selector: Call(function, (selector,)),
        st.sampled_from(RANGE_FUNCTIONS),
        selectors_drawn(st.integers(1, 10**9)),
    ),
    deeper,
    max_leaves=8,
)


@given(expressions_drawn)
def test_every_expression_reads_back_as_it_was_written(expression: Expression) -> None:
    assert parse(str(expression)) == expression


@given(st.text(st.sampled_from("abx{}()[]=~!\"'`\\,.:+-*/#\n 0159msle"), max_size=40) | st.text(max_size=40))
@example("-" * 8000)
@example("(" * 8000)
@example("sum by" * 1000)
def test_no_text_is_answered_otherwise_than_by_a_value_or_a_sentence(text: str) -> None:
    # A value or a sentence; any other exception fails here.
    with contextlib.suppress(PromqlError):
        parse(text)


@pytest.mark.parametrize(
    "pattern", ["[ab]", "a*", "a+", "(a|b)+", "(?i)a", "a{2}", "^a$", "\\d", "a)", "(a", "\\", ".*?", ".**"]
)
def test_a_pattern_outside_the_subset_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"regular expression|subset"):
        Pattern(pattern)


def test_a_pattern_that_multiplies_out_without_end_is_refused() -> None:
    with pytest.raises(ValueError, match="more than 1000 alternatives"):
        Pattern("(a|b)" * 20)


patterns_drawn = st.recursive(
    st.sampled_from(["a", "b", "ab", ".", ".*", ".+", "\\.", "", "-"]),
    lambda inner: (
        st.builds("({}|{})".format, inner, inner)
        | st.builds("{}{}".format, inner, inner)
        | st.builds("{}|{}".format, inner, inner)
    ),
    max_leaves=6,
)


@given(patterns_drawn, st.text(st.sampled_from("ab.-\n"), max_size=8))
def test_a_pattern_matches_what_a_regular_expression_does(pattern: str, value: str) -> None:
    assert Pattern(pattern).matches(value) == bool(re.fullmatch(pattern, value, re.DOTALL))
