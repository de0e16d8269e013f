"""The messages are those of the servers' own: the same fields, numbers and types."""

import subprocess
import sys
from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from garrison.serving.grpc import messages
from garrison.serving.grpc.methods import METHODS
from tests.serving.servers import environment

PRINT = """
import importlib, sys
from google.protobuf import descriptor_pb2
for name in sys.argv[1:]:
    file = descriptor_pb2.FileDescriptorProto()
    importlib.import_module(name).DESCRIPTOR.CopyToProto(file)
    print(file.SerializeToString().hex())
"""
MODULES = {
    "triton": ["tritonclient.grpc.service_pb2"],
    "mlserver": ["mlserver.grpc.dataplane_pb2", "mlserver.grpc.model_repository_pb2"],
}


def files(kind: str) -> list[Any]:
    command = [environment(kind), "-c", PRINT, *MODULES[kind]]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [descriptor_pb2.FileDescriptorProto.FromString(bytes.fromhex(line)) for line in printed.split()]


def fields(described: list[Any], prefix: str = "") -> dict[str, dict[str, Any]]:
    """By message, by field: its number, type, label and whether it is one of a choice."""
    found: dict[str, dict[str, Any]] = {}
    for one in described:
        name = f"{prefix}{one.name}"
        found[name] = {
            field.name: (field.number, field.type, field.label, field.type_name, field.HasField("oneof_index"))
            for field in one.field
        }
        found |= fields(one.nested_type, f"{name}.")
    return found


def own() -> dict[str, dict[str, Any]]:
    file = descriptor_pb2.FileDescriptorProto()
    messages.ModelInferRequest.DESCRIPTOR.file.CopyToProto(file)
    return fields(file.message_type)


@pytest.mark.parametrize("kind", ["triton", "mlserver"])
def test_they_are_the_servers(kind: str) -> None:
    theirs = files(kind)[0]
    described = fields(theirs.message_type)
    shared = own().keys() & described.keys()
    assert {"ModelInferRequest", "ModelInferResponse.InferOutputTensor", "InferTensorContents"} <= shared
    if kind == "triton":
        assert shared == own().keys()
    for name in shared:
        if kind == "mlserver" and name == "InferParameter":
            # MLServer's has not all of the choices; the others are the same.
            assert described[name].items() <= own()[name].items()
        else:
            assert described[name] == own()[name], name


@pytest.mark.parametrize("kind", ["triton", "mlserver"])
def test_no_method_of_the_servers_is_left_out(kind: str) -> None:
    for file in files(kind):
        for service in file.service:
            for method in service.method:
                assert f"/{file.package}.{service.name}/{method.name}" in METHODS


def test_they_stand_beside_those_of_clients_in_one_process() -> None:
    program = """
from google.protobuf import descriptor_pb2, descriptor_pool
file = descriptor_pb2.FileDescriptorProto(name="grpc_service.proto", package="inference", syntax="proto3")
file.message_type.add(name="ModelInferRequest")
descriptor_pool.Default().Add(file)
from garrison.serving.grpc import messages
assert messages.ModelInferRequest(model_name="m").SerializeToString()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
