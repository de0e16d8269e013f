"""The messages of the Open Inference Protocol's gRPC service that the guard reads or writes.

`messages.json` describes them: by message the fields, each with its type and number; `choice` stands for a field of
the message's only `oneof`, `map` for one from text to a message. They live in a pool of their own, since model servers
and their clients register files of the same names in protobuf's default one.

Source: the protocol's `open_inference_grpc.proto`, with Triton's extensions (`grpc_service.proto`).
"""

import os
from typing import Any

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"

_Field = descriptor_pb2.FieldDescriptorProto


def _described() -> dict[str, dict[str, str]]:
    with open(os.path.join(os.path.dirname(__file__), "messages.json"), "rb") as file:
        return msgspec.json.decode(file.read(), type=dict[str, dict[str, str]])


def _file(described: dict[str, dict[str, str]]) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="garrison/inference.proto", package=PACKAGE, syntax="proto3")
    made: dict[str, Any] = {}
    for name, fields in described.items():
        outer, _, own = name.rpartition(".")
        message = made[outer].nested_type.add(name=own) if outer else file.message_type.add(name=own)
        made[name] = message
        for field, text in fields.items():
            _add(message, name, field, text.split())
    return file


def _add(message: Any, within: str, name: str, words: list[str]) -> None:
    *labels, kind, number = words
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if labels == ["map"]:
        entry = message.nested_type.add(name=name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        _type(entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL), "string")
        _type(entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL), kind)
        kind = f"{within}.{entry.name}"
    if labels == ["choice"]:
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
        field.oneof_index = 0
    elif labels:
        field.label = _Field.LABEL_REPEATED
    _type(field, kind)


def _type(field: Any, kind: str) -> None:
    if kind[0].isupper():
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    else:
        field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file(_described()))


def message(name: str) -> Any:
    """The class of a message of the protocol."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))


ModelInferRequest = message("ModelInferRequest")
ModelInferResponse = message("ModelInferResponse")
ModelStreamInferResponse = message("ModelStreamInferResponse")
