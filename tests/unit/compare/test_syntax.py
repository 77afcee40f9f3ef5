from __future__ import annotations

import pytest

from tracelab.compare.question.errors import UsageError
from tracelab.compare.question.presets import PRESETS, find_preset
from tracelab.compare.question.rpcs import RPCS, read_requests
from tracelab.compare.question.syntax import parse_variants
from tracelab.compare.question.variant_options import VariantOptions
from tracelab.compare.request import Request, plan_of, sweep_of, swept

NAMES = list(RPCS)


def parsed(*texts: str, **settings: str) -> dict[str, VariantOptions]:
    return parse_variants(texts, None, NAMES, {key.replace("_", "-"): value for key, value in settings.items()})


def test_a_strategy_and_an_rpc_are_variants() -> None:
    variants = parsed("batch", "UserService/GetUser")
    assert variants == {
        "batch": VariantOptions("ReportService/TopUsers", "batch"),
        "UserService/GetUser": VariantOptions("UserService/GetUser"),
    }


def test_settings_are_for_one_variant_or_for_all() -> None:
    variants = parsed("batch:fault=OrderService/ListOrders:delay=20ms,sampling=10%", "sequential", users="7")
    assert variants["batch"].fault == "OrderService/ListOrders:delay=20ms"
    assert variants["batch"].sampling == 0.1
    assert [options.users for options in variants.values()] == [7, 7]


def test_a_name_of_ones_own_needs_to_know_what_is_called() -> None:
    variants = parsed("off:instrumentation=off", "on:deadline=200ms", rpc="UserService/GetUser")
    assert [(name, options.rpc) for name, options in variants.items()] == [
        ("off", "UserService/GetUser"),
        ("on", "UserService/GetUser"),
    ]
    assert variants["on"].deadline_s == pytest.approx(0.2)
    assert parsed("mine:strategy=batch", "batch")["mine"].strategy == "batch"


def test_one_name_with_different_settings_is_told_apart_by_them() -> None:
    assert list(parsed("batch", "batch:compression=gzip")) == ["batch", "compression=gzip"]


def test_a_variant_can_be_compared_with_itself() -> None:
    assert list(parsed("batch", "batch")) == ["batch", "batch (2)"]


def test_a_request_may_hold_commas() -> None:
    variants = parsed('a:rpc=UserService/ListUsers,request={"pageSize": 3, "pageToken": ""}', "batch")
    assert variants["a"].request == '{"pageSize": 3, "pageToken": ""}'


@pytest.mark.parametrize(
    ("texts", "message", "hint"),
    [
        pytest.param(
            ["batched"], "'batched' is neither a strategy of TopUsers nor an RPC", "did you mean batch?", id="strategy"
        ),
        pytest.param(["GetUsr"], "'GetUsr' is neither", "did you mean UserService/GetUser?", id="method alone"),
        pytest.param(
            ["batch:chanel=reuse"], "batch:chanel: there is no such setting", "did you mean channel?", id="setting"
        ),
        pytest.param(
            ["batch:channel=resue"], "batch:channel: 'resue' is not one of", "did you mean reuse?", id="value"
        ),
        pytest.param(["batch:users=0"], "batch:users: '0' is not a whole number from 1 to 1,000", "", id="number"),
        pytest.param(["batch:users"], "'users' is not key=value", "NAME:key=value,key=value", id="no value"),
        pytest.param(
            ["x:rpc=UserService/GetUsr"],
            "x:rpc: 'UserService/GetUsr' is no RPC",
            "did you mean UserService/GetUser?",
            id="rpc",
        ),
        pytest.param(["batch:deadline=soon"], "batch:deadline: 'soon' is not a time such as 200ms", "", id="time"),
        pytest.param(["batch:message-size=2MiB"], "batch:message-size: '2MiB' is not a size up to 1MiB", "", id="size"),
        pytest.param(["batch:rate=-1"], "batch:rate: '-1' is not a rate", "", id="rate"),
        pytest.param(["batch:sampling=2"], "batch:sampling: '2' is not a share", "", id="share"),
        pytest.param([":users=1"], "has no name", "NAME:key=value,key=value", id="no name"),
    ],
)
def test_what_is_not_understood_is_refused_with_what_was_meant(texts: list[str], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(*texts)
    assert message in caught.value.text
    assert caught.value.hint == hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_makes_a_plan(preset: object) -> None:
    name = getattr(preset, "name", "")
    request = Request(preset=name, seed=1)
    plan = plan_of(request, next(iter(sweep_of(request)), None))
    assert len(plan.variants) >= 2
    assert plan.question.startswith(find_preset(name).question)


def test_an_unknown_preset_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        plan_of(Request(preset="n-plus-on"))
    assert caught.value.hint == "did you mean n-plus-one?"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        pytest.param(Request(), "nothing to compare", id="nothing"),
        pytest.param(Request(variants=["batch"]), "two variants", id="one"),
        pytest.param(Request(variants=["batch"] * 7), "too many", id="seven"),
        pytest.param(Request(variants=["batch"], preset="n-plus-one"), "its own variants", id="preset and variants"),
        pytest.param(Request(variants=["batch", "batch:rate=10"]), "a rate and some have none", id="mixed loops"),
        pytest.param(Request(variants=["batch", "batch"], by="p96"), "--by: 'p96'", id="quantile"),
        pytest.param(Request(variants=["batch", "batch"], precision=0), "--precision", id="precision"),
        pytest.param(Request(variants=["batch", "batch"], floor=12), "not below the margin", id="floor"),
        pytest.param(Request(variants=["batch", "batch"], check=True), "no prediction to check", id="check alone"),
        pytest.param(Request(variants=["batch", "batch"], what_if=["x"]), "is not like", id="what-if"),
        pytest.param(
            Request(variants=["batch", "batch"], what_if=["OrderService/ListOrders=0.5"], check=True),
            "nothing delays OrderService/ListOrders",
            id="nothing to take away",
        ),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(request_: Request, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan_of(request_)


def test_several_numbers_of_users_make_a_sweep() -> None:
    assert sweep_of(Request(settings={"users": "100,1,10"})) == (1, 10, 100)
    assert sweep_of(Request(settings={"users": "20"})) == ()
    with pytest.raises(UsageError, match="is not like 1,10,100"):
        sweep_of(Request(settings={"users": "1,x"}))


def test_several_numbers_of_calls_at_once_make_a_sweep_too_also_a_preset_s() -> None:
    assert sweep_of(Request(settings={"concurrency": "8,1"})) == (1, 8)
    preset = Request(preset="aio-or-sync")
    assert (swept(preset), sweep_of(preset)) == ("concurrency", (1, 8, 64))
    assert sweep_of(Request(preset="aio-or-sync", settings={"concurrency": "8"})) == ()
    with pytest.raises(UsageError, match="both have several numbers"):
        sweep_of(Request(settings={"users": "1,2", "concurrency": "1,2"}))
    words = [subject.in_words() for subject in plan_of(preset, 64).variants.values()]
    assert [(each["api"], each["concurrency"]) for each in words] == [("aio", "64"), ("sync", "64")]


def test_every_rpc_but_the_one_without_an_end_can_be_called() -> None:
    assert "OrderService/TrackOrders" not in RPCS
    assert {rpc.service for rpc in RPCS.values()} == {"user", "order", "report"}


def test_a_request_with_an_unknown_field_is_refused() -> None:
    with pytest.raises(UsageError, match="the request is no GetUserRequest"):
        read_requests(RPCS["UserService/GetUser"], {"user": "u"}, "a")
