"""From the words of the command line to a plan: presets, settings for all variants, criteria. Pure but for the seed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tracelab.compare.explanation.prediction import parse_question
from tracelab.compare.foreign_request import ForeignQuestion, N
from tracelab.compare.measurement.block_design import ProtocolSettings
from tracelab.compare.measurement.servers import Subject
from tracelab.compare.prediction_check import refuse_what_cannot_be_checked
from tracelab.compare.question.errors import UsageError
from tracelab.compare.question.method_call import ForeignServer
from tracelab.compare.question.presets import find_preset
from tracelab.compare.question.rpcs import RPCS
from tracelab.compare.question.syntax import nearest, parse_variants, read_numbers
from tracelab.compare.question.variant_options import VariantOptions, population_in_words
from tracelab.compare.session import UNTRACED_CONTROL, Plan
from tracelab.compare.statistics.analysis import AnalysisSettings
from tracelab.compare.statistics.quantiles import QUANTILE_BY_LABEL
from tracelab.compare.statistics.verdict import Criteria

CLOSED_LOOP_S = 60.0
OPEN_LOOP_S = 120.0
SWEEP_S = 20.0
FEW_USERS = 100
"""Above this number of users a call may take a second, and eight blocks of them a minute."""
MOST_VARIANTS = 6
SWEPT = ("users", "concurrency")
_SEEDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for, as it was written. Shares are in per cent; `settings` hold for all variants, by option."""

    variants: Sequence[str] = ()
    preset: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    by: str = "median"
    precision: float = 5.0
    floor: float = 2.0
    margin: float = 10.0
    max_seconds: float | None = None
    seed: int | None = None
    restarts: int = 1
    tail: bool = False
    what_if: Sequence[str] = ()
    check: bool = False
    command_line: str = ""
    foreign: ForeignQuestion | None = None


def plan_of(request: Request, point: int | None = None) -> Plan:
    """The plan of a request; in a sweep, at one `point` of it. UsageError for what makes no sense."""
    if request.foreign:
        return _foreign_plan(request, request.foreign, point)
    variants, question = _variants(request, point)
    questions = tuple(parse_question(text) for text in request.what_if)
    if request.check and not questions:
        raise UsageError("--check: there is no prediction to check", "add --what-if OrderService/ListOrders=2")
    if request.check:
        refuse_what_cannot_be_checked(variants, questions)
    return Plan(
        variants=variants,
        settings=ProtocolSettings(_analysis(request), max_seconds=_max_seconds(request, variants, point)),
        question=question,
        command_line=request.command_line,
        restarts=request.restarts,
        by_tail=request.tail,
        what_if=questions,
    )


def _foreign_plan(request: Request, question: ForeignQuestion, number: int | None) -> Plan:
    if request.preset or request.check:
        option = "--preset" if request.preset else "--check"
        raise UsageError(f"{option} is about our own services", "theirs are asked with --call and --data")
    variants = question.variants(number)
    if len(variants) > MOST_VARIANTS:
        raise UsageError(f"{len(variants)} servers are too many for one run: {MOST_VARIANTS} is the most")
    if request.restarts > 1:
        _refuse_what_cannot_be_restarted(question.servers)
    baseline, *others = variants
    at = f", n = {number}" if number is not None and question.swept == N else ""
    data = variants[baseline].data.words + at
    return Plan(
        variants=variants,
        settings=ProtocolSettings(_analysis(request), max_seconds=_max_seconds(request, variants, number)),
        question=f"{', '.join(others)} against {baseline} ({question.call}, {data})",
        command_line=request.command_line,
        restarts=request.restarts,
        by_tail=request.tail,
        what_if=tuple(parse_question(text) for text in request.what_if),
        control=UNTRACED_CONTROL,
    )


def _refuse_what_cannot_be_restarted(servers: Sequence[ForeignServer]) -> None:
    for server in servers:
        if not server.command:
            raise UsageError(f"--restarts: {server.name} is not ours to restart", "--run NAME=COMMAND starts a server")
        if server.address:
            raise UsageError(
                f"--restarts: {server.name} has one address, and its twin needs another",
                "let it listen on port 0, and leave --target out",
            )


def seed_of(request: Request) -> int:
    """The seed that was given, or a new one."""
    return secrets.randbelow(_SEEDS) if request.seed is None else request.seed


def swept(request: Request) -> str:
    """The option of which a sweep takes several numbers; "" for none. UsageError for two."""
    if request.foreign:
        return request.foreign.swept
    found = [key for key in SWEPT if "," in _settings(request).get(key, "")]
    if len(found) > 1:
        raise UsageError(f"--{found[0]} and --{found[1]} both have several numbers", "give one of them one number")
    return found[0] if found else ""


def sweep_of(request: Request) -> tuple[int, ...]:
    """The numbers of a sweep; empty if it is none. UsageError for a list that is not understood."""
    if request.foreign:
        return request.foreign.numbers
    key = swept(request)
    if not key:
        return ()
    return read_numbers(key, _settings(request)[key])


def _settings(request: Request) -> Mapping[str, str]:
    preset = find_preset(request.preset) if request.preset else None
    return {**(preset.settings if preset else {}), **request.settings}


def _variants(request: Request, point: int | None) -> tuple[Mapping[str, VariantOptions], str]:
    preset = find_preset(request.preset) if request.preset else None
    if preset and request.variants:
        raise UsageError(f"--preset {preset.name} has its own variants; {request.variants[0]} is one too many")
    settings = {**_settings(request)}
    if point is not None:
        settings[swept(request)] = str(point)
    texts = preset.variants if preset else request.variants
    if len(texts) < 2:
        raise UsageError(
            "a comparison needs two variants or more" if texts else "there is nothing to compare yet",
            "try ./lab compare sequential batch, or ./lab compare --preset n-plus-one",
        )
    if len(texts) > MOST_VARIANTS:
        raise UsageError(f"{len(texts)} variants are too many for one run: {MOST_VARIANTS} is the most")
    variants = parse_variants(texts, None, list(RPCS), settings)
    _refuse_mixed_loops(variants)
    return variants, _question(preset.question if preset else "", variants)


def _refuse_mixed_loops(variants: Mapping[str, VariantOptions]) -> None:
    """Service times and times from an intended start are two different things."""
    if len({options.rate_per_s is None for options in variants.values()}) > 1:
        raise UsageError("some variants have a rate and some have none", "give --rate to all of them, or to none")


def _question(asked: str, variants: Mapping[str, VariantOptions]) -> str:
    baseline, *others = variants
    first = variants[baseline]
    against = f"{', '.join(others)} against {baseline}"
    on = f"{first.rpc}, {population_in_words(first)}"
    return f"{asked} {against} ({on})" if asked else f"{against} ({on})"


def _analysis(request: Request) -> AnalysisSettings:
    quantile = QUANTILE_BY_LABEL.get(request.by)
    if quantile is None:
        near = nearest(request.by, QUANTILE_BY_LABEL)
        text = f"--by: '{request.by}' is not one of {', '.join(QUANTILE_BY_LABEL)}"
        raise UsageError(text, f"did you mean {near}?" if near else "")
    shares = {"precision": request.precision, "floor": request.floor, "margin": request.margin}
    for name, share in shares.items():
        if not 0 < share <= 1_000:
            raise UsageError(f"--{name}: {share:g} is not a per cent above 0")
    if request.floor >= request.margin:
        raise UsageError(f"--floor: {request.floor:g} is not below the margin, {request.margin:g}")
    criteria = Criteria(request.floor / 100, request.margin / 100, request.precision / 100)
    return AnalysisSettings(seed_of(request), quantile, criteria)


def _max_seconds(request: Request, variants: Mapping[str, Subject], point: int | None) -> float:
    if request.max_seconds is not None:
        return request.max_seconds
    if point is not None and point <= FEW_USERS:
        return SWEEP_S
    return OPEN_LOOP_S if any(subject.load.rate_per_s for subject in variants.values()) else CLOSED_LOOP_S
