"""What loaded models say they take, and what they make of arrays."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression

from garrison.core.errors import UsageError
from garrison.serving.mlserver.predictors import Taken, predictor

ROWS = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 2.0], [2.0, 0.0]], np.float32)


def test_an_estimator_tells_its_columns_and_gives_what_it_has_methods_for() -> None:
    found = predictor(LogisticRegression().fit(ROWS, [0, 1, 0, 1]))
    assert found.inputs == (Taken("input", "FP32", (-1, 2)),)
    assert found.outputs == ("predict", "predict_proba", "decision_function")
    answered = found.predict({"anything": ROWS}, ["predict", "predict_proba"])
    assert answered["predict"].tolist() == [0, 1, 0, 1]
    assert answered["predict_proba"].shape == (4, 2)
    with pytest.raises(UsageError, match="takes one input, and 2 were given"):
        found.predict({"a": ROWS, "b": ROWS}, ["predict"])


def graph(*inputs: Any) -> onnx.ModelProto:
    nodes = [helper.make_node("Add", [one.name for one in inputs], ["sum"])]
    outputs = [helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["rows", 2])]
    return helper.make_model(
        helper.make_graph(nodes, "g", list(inputs), outputs), opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    )


def test_a_graph_tells_its_inputs_and_takes_them_by_name() -> None:
    told = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 2]) for name in ("a", "b")]
    found = predictor(graph(*told))
    assert found.inputs == (Taken("a", "FP32", (-1, 2)), Taken("b", "FP32", (-1, 2)))
    answered = found.predict({"b": ROWS.astype(np.float64), "a": ROWS}, ["sum"])
    assert np.array_equal(answered["sum"], ROWS * 2)
    with pytest.raises(UsageError, match="the model takes a, b"):
        found.predict({"a": ROWS, "c": ROWS}, ["sum"])


def test_what_computes_nothing_is_no_model() -> None:
    with pytest.raises(UsageError, match="dict is no model that can be asked"):
        predictor({"weight": ROWS})
