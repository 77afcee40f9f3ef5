"""ReportService: keeps nothing and combines what UserService and OrderService know.

Run it with `python -m services.report_service`; `--help` names its options, USER_ADDRESS and ORDER_ADDRESS say where
the services behind are.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial

if __name__ == "__main__":
    from otel.tls.core_lines import choose_verbosity

    choose_verbosity(os.environ, sys.argv)  # read when grpc is imported

import grpc
import structlog

from generated import order_pb2_grpc, report_pb2, report_pb2_grpc, user_pb2_grpc
from services import paging, serving
from services.behaviors import Context
from services.deadlines import Deadline
from services.grpc_api.aio import AIO
from services.grpc_api.ports import Api
from services.report_strategies import STRATEGIES, Backends, Selection, Total, ranked
from services.validation import Violations

log = structlog.get_logger()

DEFAULT_PORT = 50053
DEFAULT_USER_ADDRESS = "127.0.0.1:50051"
DEFAULT_ORDER_ADDRESS = "127.0.0.1:50052"
DEFAULT_TOP_LIMIT = 10


class ReportServicer(report_pb2_grpc.ReportServiceServicer):
    """Answers report.proto's calls by asking the two services behind."""

    def __init__(
        self, users: user_pb2_grpc.UserServiceAsyncStub, orders: order_pb2_grpc.OrderServiceAsyncStub, api: Api = AIO
    ) -> None:
        self._backends = partial(Backends, users, orders, api=api)

    async def GetUserReport(
        self, request: report_pb2.GetUserReportRequest, context: Context
    ) -> report_pb2.GetUserReportResponse:
        """Fulfil the contract's GetUserReport: the user first, so that orders of nobody are never asked for."""
        violations = Violations()
        violations.required("user_id", request.user_id)
        violations.raise_if_any()
        backends = self._backends(deadline=Deadline.of(context))
        user = await backends.user(request.user_id)
        total = await backends.total_of(user.user_id)
        log.info("report.built", user_id=user.user_id, order_count=total.order_count)
        return report_pb2.GetUserReportResponse(report=_report(user.user_id, user.name, total))

    async def TopUsers(self, request: report_pb2.TopUsersRequest, context: Context) -> report_pb2.TopUsersResponse:
        """Fulfil the contract's TopUsers."""
        violations = Violations()
        limit = paging.page_limit(violations, request.limit, "limit", DEFAULT_TOP_LIMIT)
        violations.ids("user_ids", request.user_ids)
        strategy = STRATEGIES.get(request.strategy)
        if strategy is None:
            violations.add("strategy", f"must be 0 to {max(STRATEGIES)}, is {request.strategy}")
        violations.raise_if_any()
        assert strategy is not None
        backends = self._backends(deadline=Deadline.of(context))
        names = await backends.user_names(request.user_ids)
        totals = await strategy(backends, Selection(tuple(names), are_all=not request.user_ids))
        reports = ranked((_report(user_id, name, totals[user_id]) for user_id, name in names.items()), limit)
        log.info("ranking.built", strategy=_name_of(request.strategy), user_count=len(names), shown_count=len(reports))
        return report_pb2.TopUsersResponse(users=reports)


def _report(user_id: str, name: str, total: Total) -> report_pb2.UserReport:
    return report_pb2.UserReport(
        user_id=user_id, user_name=name, order_count=total.order_count, total_minor_units=total.total_minor_units
    )


def _name_of(strategy: report_pb2.TopUsersStrategy.ValueType) -> str:
    return report_pb2.TopUsersStrategy.Name(strategy).removeprefix("TOP_USERS_STRATEGY_").lower()


def report_service(users: grpc.aio.Channel, orders: grpc.aio.Channel, api: Api = AIO) -> serving.Service:
    """Return ReportService over channels to the services behind, ready to serve."""
    servicer = ReportServicer(user_pb2_grpc.UserServiceStub(users), order_pb2_grpc.OrderServiceStub(orders), api)
    return serving.Service(
        name="report",
        service_names=(report_pb2.DESCRIPTOR.services_by_name["ReportService"].full_name,),
        add_to=partial(report_pb2_grpc.add_ReportServiceServicer_to_server, servicer),
    )


async def _serve(
    options: serving.ServingOptions, telemetry: serving.Telemetry, environ: Mapping[str, str], api: Api
) -> None:
    async with AsyncExitStack() as closing:
        users = serving.open_channel(telemetry, environ.get("USER_ADDRESS") or DEFAULT_USER_ADDRESS, options, api)
        closing.push_async_callback(users.close)
        orders = serving.open_channel(telemetry, environ.get("ORDER_ADDRESS") or DEFAULT_ORDER_ADDRESS, options, api)
        closing.push_async_callback(orders.close)
        await serving.serve(report_service(users, orders, api), options, telemetry, api)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ReportService until it is told to stop; return the exit code."""
    return serving.run("report", DEFAULT_PORT, _serve, arguments, os.environ)


if __name__ == "__main__":
    sys.exit(main())
