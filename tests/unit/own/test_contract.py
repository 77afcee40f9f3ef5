"""What a person may write for a method, and pools of files in any order."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from generated import order_pb2
from tracelab.own.contract import Contract, RpcKind, pool_of, service_and_method
from tracelab.own.contract_files import contract_of_protos
from tracelab.own.errors import ContractError

KNOWN = ("shop.v1.Cart", "shop.v2.Cart", "shop.v1.Till", "Bare")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("shop.v1.Cart/Add", ("shop.v1.Cart", "Add")),
        ("/shop.v1.Cart/Add", ("shop.v1.Cart", "Add")),
        ("shop.v1.Cart.Add", ("shop.v1.Cart", "Add")),
        ("Till/Add", ("shop.v1.Till", "Add")),
        ("Till.Add", ("shop.v1.Till", "Add")),
        ("v2.Cart/Add", ("shop.v2.Cart", "Add")),
        ("shop.v1.Till", ("shop.v1.Till", "")),
        ("Till", ("shop.v1.Till", "")),
        ("Bare", ("Bare", "")),
        ("Bare/Add", ("Bare", "Add")),
    ],
)
def test_a_method_is_found_by_its_full_name_or_a_shorter_one(written: str, meant: tuple[str, str]) -> None:
    assert service_and_method(written, KNOWN) == meant


@pytest.mark.parametrize(
    ("written", "said", "hint"),
    [
        ("Cart/Add", "several services are called 'Cart'", "name one of shop.v1.Cart, shop.v2.Cart"),
        ("Till2/Add", "there is no service 'Till2'", "did you mean shop.v1.Till?"),
        ("art/Add", "there is no service 'art'", ""),
        ("/", "there is no service ''", ""),
    ],
)
def test_what_is_unclear_or_unknown_is_said(written: str, said: str, hint: str) -> None:
    with pytest.raises(ContractError) as caught:
        service_and_method(written, KNOWN)
    assert str(caught.value) == said
    assert hint in caught.value.hint


def file_of(name: str, *imports: str, package: str = "p") -> FileDescriptorProto:
    file = FileDescriptorProto(name=name, package=package, dependency=imports, syntax="proto3")
    message = file.message_type.add(name=name.partition(".")[0].title())
    for number, imported in enumerate(imports, 1):
        if not imported.startswith("google/"):
            target = f".p.{imported.partition('.')[0].title()}"
            message.field.add(name=f"f{number}", number=number, type=11, label=1, type_name=target)
    return file


FILES = [
    file_of("a.proto", "b.proto", "c.proto", "google/protobuf/timestamp.proto"),
    file_of("b.proto", "c.proto"),
    file_of("c.proto"),
]


@pytest.mark.parametrize("order", list(permutations(FILES)), ids=lambda files: "".join(file.name[0] for file in files))
def test_files_are_linked_in_any_order_and_well_known_imports_need_not_come(
    order: tuple[FileDescriptorProto, ...],
) -> None:
    pool = pool_of({file.name: file for file in order})
    linked = pool.FindMessageTypeByName("p.A").fields_by_name["f1"].message_type
    assert linked is not None
    assert linked.full_name == "p.B"


@pytest.mark.parametrize(
    "files",
    [
        pytest.param([FILES[0], FILES[2]], id="an import that nobody sent"),
        pytest.param([file_of("a.proto", "b.proto"), file_of("b.proto", "a.proto")], id="a circle of imports"),
        pytest.param([file_of("a.proto", "a.proto")], id="a file that imports itself"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(files: list[FileDescriptorProto]) -> None:
    with pytest.raises(ContractError, match="the descriptors do not fit together"):
        pool_of({file.name: file for file in files})


def test_a_file_that_is_no_proto_is_refused_with_what_the_compiler_found(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("notes: none\n")
    with pytest.raises(ContractError, match=r"notes\.txt:1:1: Expected top-level statement"):
        contract_of_protos([file], [])


def test_the_kind_of_each_method_is_read_from_its_descriptor() -> None:
    file = FileDescriptorProto()
    order_pb2.DESCRIPTOR.CopyToProto(file)
    contract = Contract(pool_of({file.name: file}), ("tracelab.order.v1.OrderService",))

    kinds = {each.full_name.rpartition("/")[2]: each.kind for each in contract.methods_of(contract.service_names[0])}

    assert kinds["GetOrder"] is RpcKind.UNARY
    assert kinds["StreamOrders"] is RpcKind.SERVER_STREAMING
    assert kinds["ImportOrders"] is RpcKind.CLIENT_STREAMING
    assert kinds["TrackOrders"] is RpcKind.BIDIRECTIONAL
    with pytest.raises(ContractError, match="has no method 'GetOrders'") as caught:
        contract.method(contract.service_names[0], "GetOrders")
    assert caught.value.hint == "did you mean GetOrder?"
