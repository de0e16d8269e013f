"""Calls are held to what their model takes."""

from typing import Any

import numpy as np
import pytest

from garrison.core.errors import UsageError
from garrison.serving.calls import Action, Call, Peer, Wanted
from garrison.serving.config.config import Config, Model
from garrison.serving.refusals import Reason, Refused
from garrison.serving.schema.drafting import from_data, from_metadata, toml
from garrison.serving.schema.settings import Input, Schema
from garrison.serving.schema.stage import SchemaStage, stage
from garrison.serving.tensors.tensor import Tensor

PIXELS = Input(name="x", datatype="FP32", shape=(-1, 4), low=0.0, high=(1.0, 1.0, 1.0, 2.0))
TEXT = Input(name="t", datatype="BYTES", shape=(-1,), most_bytes=50)


def made(*inputs: Input, **settings: Any) -> SchemaStage:
    model = Model(schema=Schema(inputs=inputs, **settings))
    found = stage(Config(), model, None)  # type: ignore[arg-type]
    assert found is not None
    return found


def called(*tensors: Tensor, wanted: tuple[Wanted, ...] = (), **parameters: Any) -> Call:
    call = Call(Action.INFER, transport="http", headers={}, peer=Peer(), model="m")
    call.inputs, call.wanted, call.parameters = tensors, wanted, parameters
    return call


def numbers(*rows: list[float], name: str = "x", dtype: Any = np.float32, **parameters: Any) -> Tensor:
    data = np.array(rows, dtype)
    return Tensor(name, "FP32" if dtype is np.float32 else "FP64", data.shape, data, parameters)


def texts(*elements: str, name: str = "t") -> Tensor:
    data = np.empty(len(elements), object)
    data[:] = [element.encode() for element in elements]
    return Tensor(name, "BYTES", data.shape, data, {})


def test_what_the_model_takes_passes() -> None:
    made(PIXELS).before(called(numbers([0, 0.5, 1, 2], [1, 1, 1, 1])))
    made(PIXELS, TEXT).before(called(numbers([0, 0, 0, 0]), texts("fine")))


@pytest.mark.parametrize(
    "tensors, reason",
    [
        ((), Reason.MALFORMED),
        ((numbers([0, 0, 0]),), Reason.MALFORMED),
        ((numbers([0, 0, 0, 0], dtype=np.float64),), Reason.MALFORMED),
        ((numbers([0, 0, 0, 0], name="y"),), Reason.MALFORMED),
        ((numbers([0, 0, 0, 0]), numbers([0], name="y")), Reason.MALFORMED),
        ((numbers([0, 0, 0, -0.1]),), Reason.UNACCEPTABLE),
        ((numbers([1.1, 0, 0, 0]),), Reason.UNACCEPTABLE),
        ((numbers([0, 0, 0, 2.1]),), Reason.UNACCEPTABLE),
        ((numbers([0, 0, 0, np.nan]),), Reason.UNACCEPTABLE),
        ((numbers([0, 0, 0, np.inf]),), Reason.UNACCEPTABLE),
        ((numbers(*[[0, 0, 0, 0]] * 1025),), Reason.TOO_LARGE),
    ],
)
def test_what_it_does_not_take_is_refused(tensors: tuple[Tensor, ...], reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        made(PIXELS).before(called(*tensors))
    assert refused.value.reason is reason


@pytest.mark.parametrize("bits", [0x7F80, 0xFF80, 0x7FC0])
def test_numbers_in_bf16_are_finite_as_others_are(bits: int) -> None:
    stage = made(Input(name="x", datatype="BF16", shape=(-1,)))
    stage.before(called(Tensor("x", "BF16", (2,), np.array([0x3F80, 0xFF7F], np.uint16), {})))
    with pytest.raises(Refused) as refused:
        stage.before(called(Tensor("x", "BF16", (2,), np.array([0x3F80, bits], np.uint16), {})))
    assert refused.value.reason is Reason.UNACCEPTABLE


def test_there_are_rows() -> None:
    with pytest.raises(Refused, match="no rows"):
        made(PIXELS).before(called(Tensor("x", "FP32", (0, 4), np.empty((0, 4), np.float32), {})))


def test_inputs_may_be_left_out_where_that_is_said() -> None:
    optional = Input(name="t", datatype="BYTES", shape=(-1,), optional=True)
    made(PIXELS, optional).before(called(numbers([0, 0, 0, 0])))
    with pytest.raises(Refused, match="takes an input 't'"):
        made(PIXELS, TEXT).before(called(numbers([0, 0, 0, 0])))


def test_values_are_of_those_that_are_named() -> None:
    found = made(Input(name="x", datatype="FP32", shape=(-1, 1), values=(0.0, 1.0)))
    found.before(called(numbers([0], [1])))
    with pytest.raises(Refused):
        found.before(called(numbers([0.5])))
    found = made(Input(name="t", datatype="BYTES", shape=(-1,), values=("red", "blue")))
    found.before(called(texts("red")))
    with pytest.raises(Refused):
        found.before(called(texts("green")))


@pytest.mark.parametrize("text", ["http://169.254.169.254/", "x" * 51])
def test_texts_are_short_and_no_addresses(text: str) -> None:
    with pytest.raises(Refused) as refused:
        made(TEXT).before(called(texts(text)))
    assert refused.value.reason is Reason.UNACCEPTABLE
    assert "169" not in refused.value.message


def test_addresses_may_be_of_hosts_that_are_named() -> None:
    found = made(Input(name="t", datatype="BYTES", shape=(-1,), hosts=("images.example",)))
    found.before(called(texts("https://images.example/a.png")))
    with pytest.raises(Refused):
        found.before(called(texts("https://images.example.evil/a.png")))


def test_texts_may_have_a_form() -> None:
    found = made(Input(name="t", datatype="BYTES", shape=(-1,), pattern="[a-z]+"))
    found.before(called(texts("abc")))
    with pytest.raises(Refused):
        found.before(called(texts("abc\n")))


@pytest.mark.parametrize(
    "call",
    [
        called(numbers([0, 0, 0, 0]), shared_memory_region="r"),
        called(numbers([0, 0, 0, 0]), headers="x"),
        called(numbers([0, 0, 0, 0], shared_memory_region="r")),
        called(numbers([0, 0, 0, 0], content_type="pd")),
        called(numbers([0, 0, 0, 0]), wanted=(Wanted("scores", {"shared_memory_region": "r"}),)),
    ],
)
def test_parameters_that_are_not_named_are_refused(call: Call) -> None:
    with pytest.raises(Refused, match="is not taken"):
        made(PIXELS).before(call)


def test_parameters_that_are_named_pass_and_hold_no_address() -> None:
    found = made(PIXELS, parameters=("sequence_id", "source"))
    found.before(called(numbers([0, 0, 0, 0], binary_data_size=16), sequence_id=7))
    with pytest.raises(Refused, match="address"):
        found.before(called(numbers([0, 0, 0, 0]), source="s3://bucket"))


def test_outputs_may_be_limited() -> None:
    found = made(PIXELS, outputs=("label",))
    found.before(called(numbers([0, 0, 0, 0]), wanted=(Wanted("label"),)))
    with pytest.raises(Refused, match="the model gives label"):
        found.before(called(numbers([0, 0, 0, 0]), wanted=(Wanted("scores"),)))


def test_a_model_of_which_nothing_is_said_is_not_served() -> None:
    with pytest.raises(UsageError, match="nothing says what the model takes"):
        made()
    found = made(unchecked=True)
    found.before(called(numbers([0, 0, 0, 0]), texts("anything")))
    with pytest.raises(Refused):
        found.before(called(numbers([0, 0, 0, 0]), shared_memory_region="r"))


@pytest.mark.parametrize(
    "wanted, said",
    [
        (Input(name="x", datatype="FP31", shape=()), "no datatype 'FP31'"),
        (Input(name="x", datatype="FP32", shape=(-2,)), "-1 for any"),
        (Input(name="x", datatype="FP32", shape=(-1, 3), low=(0.0, 0.0)), "2 bounds"),
        (Input(name="x", datatype="BYTES", shape=(-1,), low=0.0), "for numbers"),
        (Input(name="x", datatype="FP32", shape=(-1,), pattern="x"), "for texts"),
        (Input(name="x", datatype="BYTES", shape=(-1,), pattern="("), "pattern: "),
        (Input(name="x", datatype="BYTES", shape=(-1,), values=(1.0,)), "another kind"),
    ],
)
def test_what_no_input_can_be_is_said(wanted: Input, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        made(wanted)


def test_a_draft_of_data_takes_that_data(tmp_path: Any) -> None:
    import tomllib

    import msgspec

    data = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    draft = toml("m", (from_data("x", data),))
    config = msgspec.convert(tomllib.loads(draft), Config)
    found = stage(config, config.models["m"], None)  # type: ignore[arg-type]
    assert found is not None
    found.before(called(Tensor("x", "FP32", data.shape, data, {})))
    with pytest.raises(Refused):
        found.before(called(Tensor("x", "FP32", data.shape, data * 3, {})))


def test_a_draft_of_what_a_server_says() -> None:
    (one,) = from_metadata(b'{"name": "m", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 64]}]}')
    assert (one.name, one.shape) == ("x", (-1, 64))
    with pytest.raises(UsageError, match="says nothing"):
        from_metadata(b'{"name": "m", "inputs": []}')
    with pytest.raises(UsageError, match="cannot be read"):
        from_metadata(b"<html>")
