"""`--check`: make the change that a what-if asks about, by a fault, and see how good the prediction was."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from tracelab.compare.explanation.prediction import Prediction, Question
from tracelab.compare.question.errors import CompareError, UsageError
from tracelab.compare.question.variant_options import VariantOptions
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.session import Plan, Session

_DELAY = re.compile(r"delay=(\d+(?:\.\d+)?)(us|ms|s)")
_UNIT_NS = {"us": 1e3, "ms": 1e6, "s": 1e9}


def refuse_what_cannot_be_checked(variants: Mapping[str, VariantOptions], questions: tuple[Question, ...]) -> None:
    """UsageError where an operation should get faster and no variant has a fault on it that could be taken away."""
    for question in questions:
        faults = [options.fault for options in variants.values()]
        if question.factor < 1 and not any(delay_ns_of(fault, question.operation) for fault in faults):
            raise UsageError(
                f"--check: nothing delays {question.operation}, so nothing can make it faster",
                f"add --fault {question.operation}:delay=20ms, or ask for a factor above 1",
            )


def checked(session: Session, plan: Plan, run: ComparisonRun) -> ComparisonRun:
    """The run with each prediction measured: the variant beside itself with the change, in a run of its own."""
    return replace(run, what_if=tuple(_checked(session, plan, prediction) for prediction in run.what_if))


def _checked(session: Session, plan: Plan, prediction: Prediction) -> Prediction:
    options = plan.variants[prediction.variant]
    assert isinstance(options, VariantOptions), "faults are known to our services alone"
    change_ns = (prediction.factor - 1) * prediction.span_ns
    delay_ns = delay_ns_of(options.fault, prediction.operation) + change_ns
    if delay_ns < 0:
        if not delay_ns_of(options.fault, prediction.operation):
            return prediction
        share = 1 - delay_ns_of(options.fault, prediction.operation) / prediction.span_ns
        raise CompareError(
            f"--check: the fault on {prediction.operation} is too small for a factor of {prediction.factor:g}",
            f"the smallest factor that can be checked is about {max(0.0, share):.2f}",
        )
    session.watcher.stage(f"checking {prediction.operation} at {prediction.factor:g}x in {prediction.variant}")
    changed = replace(options, fault=with_delay(options.fault, prediction.operation, delay_ns))
    variants = {prediction.variant: options, f"{prediction.variant}, changed": changed}
    question = Question(prediction.operation, Fraction(prediction.factor), round(change_ns))
    return _measured(session.run(replace(plan, variants=variants, restarts=1, what_if=(question,))), prediction)


def _measured(run: ComparisonRun, prediction: Prediction) -> Prediction:
    """The prediction from the second run's own traces, beside what the changed variant took in it."""
    decompositions = run.decompositions()
    again = next((one for one in run.what_if if one.variant == prediction.variant), None)
    if not decompositions or again is None:
        raise CompareError("--check: the second run left no whole traces to compare with", "measure again")
    return replace(again, factor=prediction.factor, measured_ns=float(decompositions[0].variant_ns))


def delay_ns_of(fault: str, operation: str) -> float:
    """The delay of the fault on an operation; 0 where there is none."""
    for part in fault.split("|"):
        match = _DELAY.search(part)
        if part.startswith(f"{operation}:") and match:
            return float(match[1]) * _UNIT_NS[match[2]]
    return 0.0


def with_delay(fault: str, operation: str, delay_ns: float) -> str:
    """The fault with another delay on an operation; nothing else changes."""
    others = [part for part in fault.split("|") if part and not part.startswith(f"{operation}:")]
    own = [f"{operation}:delay={round(delay_ns / 1e3)}us"] if round(delay_ns / 1e3) else []
    return "|".join([*others, *own])
