"""The configuration that a guard gets where nobody has written one."""

import json
from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.serving.config.config import Backend, Config, Listen, Model
from garrison.serving.mlserver import defaults
from garrison.serving.mlserver.launching import Served
from garrison.serving.schema.settings import Input

SERVED = Served("m.onnx", "m")
TOLD = json.dumps({"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]}).encode()
BACKEND = Backend(http="unix:/new")


def test_nobody_is_let_in_without_a_key_and_nobody_manages(tmp_path: Path) -> None:
    schema = defaults.schema(TOLD, rows=None, unchecked=False)
    made = defaults.config(
        SERVED, backend=BACKEND, schema=schema, keys="keys.json", audit=str(tmp_path), listen=Listen()
    )
    assert made.listen.http == "127.0.0.1:8000" and made.listen.grpc == ""
    assert made.authenticate.anonymous is None and made.authenticate.keys.endswith("/keys.json")
    ((grant,),) = made.authorise.roles.values()
    assert (grant.actions, grant.models) == (("infer", "metadata"), ("m",))
    assert made.record.on_failure == "closed"
    assert made.models["m"].schema.inputs == (Input(name="x", datatype="FP32", shape=(-1, 4)),)


def test_a_model_that_does_not_tell_is_not_served_by_accident() -> None:
    for metadata in (b'{"inputs": []}', b"{", b""):
        with pytest.raises(UsageError, match="--unchecked-schema"):
            defaults.schema(metadata, rows=None, unchecked=False)
        assert defaults.schema(metadata, rows=None, unchecked=True).unchecked
    given = defaults.schema(b"", rows=lambda told: Input(name="d", datatype="FP32", shape=(-1, 2)), unchecked=False)
    assert given.inputs[0].name == "d" and not given.unchecked


def test_ranges_of_data_go_with_the_name_that_the_model_has() -> None:
    asked: list[Input | None] = []

    def rows(told: Input | None) -> Input:
        asked.append(told)
        return Input(name="x", datatype="FP32", shape=(-1, 4), low=0.0, high=1.0)

    assert defaults.schema(TOLD, rows=rows, unchecked=False).inputs[0].high == 1.0
    assert asked == [Input(name="x", datatype="FP32", shape=(-1, 4))]
    two = json.dumps({"inputs": [{"name": n, "datatype": "FP32", "shape": [-1]} for n in "ab"]}).encode()
    with pytest.raises(UsageError, match="takes 2 inputs"):
        defaults.schema(two, rows=rows, unchecked=False)


def test_a_configuration_of_ones_own_gets_this_server() -> None:
    own = Config(backends={"mine": Backend(http="http://elsewhere:1")}, models={"m": Model(backend="mine")})
    made = defaults.before(own, SERVED, backend=BACKEND, listen=Listen(http="127.0.0.1:9"))
    assert made.backends["mine"] == BACKEND and made.listen.http == "127.0.0.1:9"
    with pytest.raises(UsageError, match=r"has no \[models.m\]; name the model with --name"):
        defaults.before(Config(), SERVED, backend=BACKEND, listen=Listen())
