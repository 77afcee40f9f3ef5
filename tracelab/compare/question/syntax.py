"""How a variant is said on the command line: `batch`, `UserService/GetUser`, `NAME:key=value,key=value`. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

from tracelab.compare.question.errors import UsageError
from tracelab.compare.question.variant_options import (
    APIS,
    CHANNELS,
    COMPRESSIONS,
    INSTRUMENTATIONS,
    MAX_USERS,
    PAYLOADS,
    STRATEGIES,
    TOP_USERS,
    VariantOptions,
)

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|KiB|MiB)?")
_SIZE_UNITS = {None: 1, "B": 1, "kB": 1_000, "KB": 1_000, "MB": 1_000_000, "KiB": 1024, "MiB": 1024**2}
_LENGTH = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s)")
_LENGTH_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_MAX_NOTE_BYTES = 1024**2


def parse_variants(
    texts: Sequence[str], shared: VariantOptions | None, rpcs: Sequence[str], settings: Mapping[str, str]
) -> dict[str, VariantOptions]:
    """The variants of a command line by name, in its order.

    `settings` are the options that hold for all, as key and value; `rpcs` are the RPCs that exist. UsageError for what
    is not understood. What is called twice is told apart by its settings, or
    numbered: a thing may be compared with itself.
    """
    base = apply(shared or VariantOptions(TOP_USERS, "sequential"), settings, "", rpcs)
    named = shared is not None or "rpc" in settings or "strategy" in settings
    parsed = [(text, *parse_variant(text, base, rpcs, named)) for text in texts]
    heads = [name for _, name, _ in parsed]
    variants: dict[str, VariantOptions] = {}
    for text, head, options in parsed:
        own = text.partition(":")[2]
        name = own if own and heads.count(head) > 1 else head
        variants[_unused(name, variants)] = options
    return variants


def read_numbers(option: str, text: str) -> tuple[int, ...]:
    """The numbers of a sweep in their order. UsageError for what is no list of them."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) for part in parts) or len(set(parts)) < 2:
        raise UsageError(f"--{option}: '{text}' is not like 1,10,100", "two numbers or more, each once")
    return tuple(sorted({int(part) for part in parts}))


def parse_variant(
    text: str, base: VariantOptions, rpcs: Sequence[str], named: bool = False
) -> tuple[str, VariantOptions]:
    """The name and the options of one variant. `named`: what is called is known, so any name will do."""
    name, _, rest = text.partition(":")
    settings = _settings(text, rest)
    if not name:
        raise UsageError(f"'{text}' has no name before its colon", "NAME:key=value,key=value")
    if name in STRATEGIES:
        return name, apply(replace(base, rpc=TOP_USERS, strategy=name), settings, name, rpcs)
    if name in rpcs:
        return name, apply(replace(base, rpc=name, strategy=""), settings, name, rpcs)
    if named or "rpc" in settings or "strategy" in settings:
        return name, apply(base, settings, name, rpcs)
    near = nearest(name, [*STRATEGIES, *rpcs])
    hint = f"did you mean {near}?" if near else f"a strategy ({', '.join(STRATEGIES)}), or an RPC such as {rpcs[0]}"
    raise UsageError(f"'{name}' is neither a strategy of TopUsers nor an RPC", hint)


def apply(base: VariantOptions, settings: Mapping[str, str], where: str, rpcs: Sequence[str]) -> VariantOptions:
    """`base` with settings applied; UsageError names the setting that makes no sense."""
    changed = base
    for key, value in settings.items():
        option = _OPTIONS.get(key.replace("_", "-"))
        place = f"{where}:{key}" if where else f"--{key}"
        if option is None:
            near = nearest(key, _OPTIONS)
            hint = f"did you mean {near}?" if near else f"one of {', '.join(_OPTIONS)}"
            raise UsageError(f"{place}: there is no such setting", hint)
        field_name, read = option
        if key == "rpc" and value not in rpcs:
            near = nearest(value, rpcs)
            raise UsageError(f"{place}: '{value}' is no RPC", f"did you mean {near}?" if near else "")
        try:
            changed = replace(changed, **{field_name: read(value)})
        except ValueError as error:
            near = nearest(value, getattr(read, "allowed", ()))
            raise UsageError(f"{place}: '{value}' {error}", f"did you mean {near}?" if near else "") from None
        if key == "rpc":
            changed = replace(changed, strategy="sequential" if value == TOP_USERS else "")
        if key == "strategy":
            changed = replace(changed, rpc=TOP_USERS)
    return changed


def nearest(word: str, words: Sequence[str] | Mapping[str, Any]) -> str:
    """The word that was probably meant, whatever its case, also by the part after a slash; "" for none."""
    by_form = {form.lower(): one for one in words for form in (one, one.rpartition("/")[2])}
    found = get_close_matches(word.lower(), by_form, n=1)
    return by_form[found[0]] if found else ""


def _settings(text: str, rest: str) -> dict[str, str]:
    settings: dict[str, str] = {}
    if rest.startswith("request="):
        return {"request": rest.removeprefix("request=")}
    for part in filter(None, _parts(rest)):
        key, equals, value = part.partition("=")
        if not equals:
            raise UsageError(f"'{text}': '{part}' is not key=value", "NAME:key=value,key=value")
        settings[key.strip()] = value.strip()
    return settings


def _parts(rest: str) -> list[str]:
    """Split at commas, but for those inside a JSON request."""
    parts, depth, current = [], 0, ""
    for letter in rest:
        depth += (letter in "{[") - (letter in "}]")
        if letter == "," and depth <= 0:
            parts.append(current)
            current = ""
        else:
            current += letter
    return [*parts, current]


def _unused(name: str, taken: Mapping[str, object]) -> str:
    if name not in taken:
        return name
    number = 2
    while f"{name} ({number})" in taken:
        number += 1
    return f"{name} ({number})"


class _OneOf:
    def __init__(self, *allowed: str) -> None:
        self.allowed = allowed

    def __call__(self, text: str) -> str:
        if text not in self.allowed:
            raise ValueError(f"is not one of {', '.join(self.allowed)}")
        return text


def _count(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise ValueError(f"is not a whole number from {least:,} to {most:,}")
        return int(text)

    return read


def _rate(text: str) -> float | None:
    number = _number(text.removesuffix("/s"))
    if not 0 < number <= 10_000:
        raise ValueError("is not a rate such as 200/s")
    return number


def _share(text: str) -> float:
    number = _number(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    if not 0 <= number <= 1:
        raise ValueError("is not a share such as 0.1 or 10%")
    return number


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number


def _flag(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError("is neither true nor false")
    return text == "true"


def read_size(text: str) -> int:
    """Bytes of a text such as `100kB`; ValueError says what is allowed."""
    match = _SIZE.fullmatch(text)
    size = round(float(match[1]) * _SIZE_UNITS[match[2]]) if match else -1
    if not 0 <= size <= _MAX_NOTE_BYTES:
        raise ValueError("is not a size up to 1MiB, such as 100kB")
    return size


def read_deadline(text: str) -> float | None:
    """Seconds of a text such as `200ms`, None for `none`; ValueError says what is allowed."""
    if text == "none":
        return None
    match = _LENGTH.fullmatch(text)
    if match is None or float(match[1]) == 0:
        raise ValueError("is not a time such as 200ms or 2s, or none")
    return float(match[1]) * _LENGTH_UNITS_S[match[2]]


_OPTIONS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "rpc": ("rpc", str),
    "strategy": ("strategy", _OneOf(*STRATEGIES)),
    "request": ("request", str),
    "users": ("users", _count(1, MAX_USERS)),
    "orders-per-user": ("orders_per_user", _count(0, 10_000)),
    "message-size": ("message_size_bytes", read_size),
    "payload": ("payload", _OneOf(*PAYLOADS)),
    "concurrency": ("concurrency", _count(1, 1_000)),
    "rate": ("rate_per_s", _rate),
    "poisson": ("poisson", _flag),
    "fault": ("fault", str),
    "instrumentation": ("instrumentation", _OneOf(*INSTRUMENTATIONS)),
    "api": ("api", _OneOf(*APIS)),
    "sampling": ("sampling", _share),
    "compression": ("compression", _OneOf(*COMPRESSIONS)),
    "channel": ("channel", _OneOf(*CHANNELS)),
    "deadline": ("deadline_s", read_deadline),
}
