"""From the text of a query to its expression, by recursive descent. Pure.

What PromQL has and the subset lacks is refused by name, so that nobody takes a wrong answer for a right one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from otel.backend.promql.lexer import Token, TokenKind, duration_ms, tokens_of
from otel.backend.promql.patterns import Pattern
from otel.backend.promql.syntax import (
    AGGREGATORS,
    FUNCTIONS,
    MAX_QUERY_CHARACTERS,
    OPERATORS,
    QUANTILE_FUNCTION,
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

# Deeper than any panel nests, and far from the end of the stack.
MAX_DEPTH = 50
# As many levels has the tree of a flat sum; whoever evaluates it calls itself for each.
MAX_OPERATORS = 200
MAX_MATCHERS = 100
NAME_LABEL = "__name__"
LITERALS = {"inf": math.inf, "nan": math.nan}
MATCH_OPERATORS = ("=", "!=", "=~", "!~")
# Words of PromQL outside the subset, told apart from names of metrics.
OTHER_WORDS = frozenset(
    {"offset", "bool", "and", "or", "unless", "on", "ignoring", "group_left", "group_right", "by", "without", "topk"}
    | {"bottomk", "quantile", "count_values", "stddev", "stdvar", "group", "atan2", "start", "end"}
)

T = TypeVar("T")


def parse(query: str) -> Expression:
    """Read a query; PromqlError says where it cannot be read."""
    if len(query) > MAX_QUERY_CHARACTERS:
        raise PromqlError(0, f"the query is longer than {MAX_QUERY_CHARACTERS} characters")
    parser = _Parser(query)
    expression = parser.expression(0)
    parser.expect_end()
    return expression


def parse_selector(text: str) -> Selector:
    """Read an instant selector, as `match[]` takes it."""
    expression = parse(text)
    if not isinstance(expression, Selector) or expression.range_ms:
        raise PromqlError(0, "expected a selector such as up{job='x'}")
    return expression


class _Parser:
    def __init__(self, query: str) -> None:
        self._tokens = list(tokens_of(query))
        self._next = 0
        self._depth = 0
        self._operators = 0

    def expect_end(self) -> None:
        token = self._peek()
        if token.kind is not TokenKind.END:
            raise self._unexpected(token)

    def expression(self, tightness: int) -> Expression:
        """Read operands joined by operators that bind tighter than `tightness`; equal ones go from left to right."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise PromqlError(self._peek().position, f"nested deeper than {MAX_DEPTH} levels")
        left = self._operand()
        while OPERATORS.get(self._mark(), 0) > tightness:
            operator = self._take()
            self._operators += 1
            if self._operators > MAX_OPERATORS:
                raise PromqlError(operator.position, f"more than {MAX_OPERATORS} operators")
            labels, is_on = self._matching()
            right = self.expression(OPERATORS[operator.text])
            self._refuse_range(left, operator)
            self._refuse_range(right, operator)
            left = Binary(operator.text, left, right, labels, is_on)
        self._depth -= 1
        return left

    def _operand(self) -> Expression:
        token = self._peek()
        if token.kind is TokenKind.NUMBER:
            return Number(float(self._take().text))
        if token.text in ("+", "-") and token.kind is TokenKind.MARK:
            return self._signed()
        if token.text == "(" and token.kind is TokenKind.MARK:
            self._take()
            inside = self.expression(0)
            self._expect(")")
            return inside
        if token.text == "{" and token.kind is TokenKind.MARK:
            return self._selector(None)
        if token.kind is TokenKind.NAME:
            return self._named()
        raise self._unexpected(token)

    def _signed(self) -> Expression:
        sign = self._take()
        value = self.expression(OPERATORS["*"])
        self._refuse_range(value, sign)
        if sign.text == "+":
            return value
        return Number(-value.value) if isinstance(value, Number) else Binary("*", Number(-1.0), value)

    def _named(self) -> Expression:
        token = self._take()
        is_called = self._mark() == "("
        if token.text in AGGREGATORS and (is_called or self._peek().text in ("by", "without")):
            return self._aggregation(token)
        if is_called:
            return self._call(token)
        if token.text.lower() in LITERALS:
            return Number(LITERALS[token.text.lower()])
        if token.text in OTHER_WORDS:
            raise PromqlError(token.position, f"'{token.text}' is not in the subset of PromQL that is served here")
        return self._selector(token)

    def _aggregation(self, operator: Token) -> Expression:
        grouping = self._grouping()
        self._expect("(")
        argument = self.expression(0)
        self._refuse_range(argument, operator)
        if is_scalar(argument):
            raise PromqlError(operator.position, f"expected type instant vector in aggregation '{operator.text}'")
        self._expect(")")
        labels, without = grouping or self._grouping() or ((), False)
        return Aggregation(operator.text, labels, without, argument)

    def _grouping(self) -> tuple[tuple[str, ...], bool] | None:
        token = self._peek()
        if token.kind is not TokenKind.NAME or token.text not in ("by", "without"):
            return None
        self._take()
        return self._labels(), token.text == "without"

    def _matching(self) -> tuple[tuple[str, ...], bool]:
        token = self._peek()
        if token.kind is not TokenKind.NAME or token.text not in ("on", "ignoring"):
            return (), False
        self._take()
        return self._labels(), token.text == "on"

    def _labels(self) -> tuple[str, ...]:
        self._expect("(")
        return tuple(self._list(")", lambda: self._expect_name("a label")))

    def _call(self, name: Token) -> Expression:
        if name.text not in FUNCTIONS:
            known = ", ".join((*FUNCTIONS, *AGGREGATORS))
            raise PromqlError(name.position, f"'{name.text}' is not in the subset; there are {known}")
        self._expect("(")
        arguments = tuple(self._list(")", lambda: self.expression(0)))
        wanted = 2 if name.text == QUANTILE_FUNCTION else 1
        if len(arguments) != wanted:
            raise PromqlError(name.position, f"'{name.text}' takes {wanted} argument(s), got {len(arguments)}")
        if name.text == QUANTILE_FUNCTION:
            self._refuse_range(arguments[1], name)
            if not is_scalar(arguments[0]) or is_scalar(arguments[1]):
                raise PromqlError(name.position, "histogram_quantile takes a scalar and an instant vector")
        elif not isinstance(arguments[0], Selector) or not arguments[0].range_ms:
            raise PromqlError(name.position, f"expected type range vector in call to function '{name.text}'")
        return Call(name.text, arguments)

    def _selector(self, name: Token | None) -> Selector:
        begin = name or self._peek()
        matchers = [Matcher(NAME_LABEL, "=", name.text)] if name else []
        if self._mark() == "{":
            self._take()
            matchers += self._list("}", self._matcher)
        if len(matchers) > MAX_MATCHERS:
            raise PromqlError(begin.position, f"more than {MAX_MATCHERS} matchers")
        if all(_takes_nothing(matcher) for matcher in matchers):
            raise PromqlError(begin.position, "vector selector must contain at least one non-empty matcher")
        range_ms = 0
        if self._mark() == "[":
            self._take()
            token = self._take()
            if token.kind is not TokenKind.DURATION:
                raise self._unexpected(token)
            range_ms = duration_ms(token)
            self._expect("]")
        if self._peek().text == "offset":
            raise PromqlError(self._peek().position, "'offset' is not in the subset of PromQL that is served here")
        return Selector(tuple(matchers), range_ms)

    def _matcher(self) -> Matcher:
        label = self._expect_name("a label")
        operator = self._take()
        if operator.text not in MATCH_OPERATORS or operator.kind is not TokenKind.MARK:
            raise self._unexpected(operator)
        value = self._take()
        if value.kind is not TokenKind.STRING:
            raise self._unexpected(value)
        if operator.text in ("=~", "!~"):
            try:
                Pattern(value.text)
            except ValueError as error:
                raise PromqlError(value.position, str(error)) from error
        return Matcher(label, operator.text, value.text)

    def _list(self, end: str, read: Callable[[], T]) -> list[T]:
        """Read what `read` reads, between commas, up to `end`; a comma may stand before the end."""
        found: list[T] = []
        while self._mark() != end:
            found.append(read())
            if self._mark() != ",":
                break
            self._take()
        self._expect(end)
        return found

    def _refuse_range(self, expression: Expression, token: Token) -> None:
        if isinstance(expression, Selector) and expression.range_ms:
            raise PromqlError(token.position, f"'{token.text}' takes no range vector; use it in rate()")

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _mark(self) -> str:
        token = self._peek()
        return token.text if token.kind is TokenKind.MARK else ""

    def _take(self) -> Token:
        token = self._peek()
        if token.kind is not TokenKind.END:
            self._next += 1
        return token

    def _expect(self, mark: str) -> None:
        token = self._take()
        if token.kind is not TokenKind.MARK or token.text != mark:
            raise self._unexpected(token, f", expected '{mark}'")

    def _expect_name(self, what: str) -> str:
        token = self._take()
        if token.kind is not TokenKind.NAME or ":" in token.text:
            raise self._unexpected(token, f", expected {what}")
        return token.text

    def _unexpected(self, token: Token, more: str = "") -> PromqlError:
        shown = token.kind.value if token.kind is TokenKind.END else f"'{token.text[:40]}'"
        return PromqlError(token.position, f"unexpected {shown}{more}")


def _takes_nothing(matcher: Matcher) -> bool:
    """Say whether a matcher lets series through that lack its label."""
    if matcher.operator == "=":
        return not matcher.value
    if matcher.operator == "!=":
        return bool(matcher.value)
    return Pattern(matcher.value).matches("") == (matcher.operator == "=~")
