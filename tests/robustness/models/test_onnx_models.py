"""ONNX models as classifiers: what onnxruntime decides, with gradients where every operator is known."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from garrison.core.errors import UsageError
from garrison.robustness.data import Data
from garrison.robustness.models.building import build
from garrison.robustness.models.built import Wanted

IMAGES = np.random.default_rng(0).random((20, 1, 8, 8), np.float32)
DATA = Data(IMAGES, np.arange(20) % 5, "image")
WANTED = Wanted(data=DATA)


def model(
    tail: str = "y = Identity(z)", *, batch: str = "n", shape: str = "1,8,8", head: str = "f = Flatten(r)"
) -> onnx.ModelProto:
    """A convolutional network to logits z (n, 5)."""
    found = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 17]> g (float[{batch},{shape}] x) => (float y) {{ '
        f"c = Conv<pads=[1,1,1,1]>(x, w) r = Relu(c) {head} z = MatMul(f, v) {tail} }}"
    )
    random = np.random.default_rng(1)
    weights = {"w": random.normal(size=(2, 1, 3, 3)), "v": random.normal(size=(128, 5))}
    for name, value in weights.items():
        found.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    return found


def run(found: onnx.ModelProto, inputs: Any = IMAGES, output: str = "y") -> torch.Tensor:
    session = onnxruntime.InferenceSession(found.SerializeToString(), providers=["CPUExecutionProvider"])
    return torch.from_numpy(session.run([output], {"x": inputs})[0])


@pytest.mark.parametrize(
    "tail",
    ["y = Identity(z)", "y = Softmax(z)", "y = LogSoftmax(z)", "y = Sigmoid(z)", "s = Softmax(z) y = Identity(s)"],
)
def test_logits_with_gradients(tail: str) -> None:
    built = build(model(tail), WANTED)
    made = built.classifier
    assert made.differentiable and made.outputs == "logits" and made.classes == 5, built.notes
    expected = run(model(tail if "Log" in tail else "y = Identity(z)"))
    inputs = torch.from_numpy(IMAGES)
    torch.testing.assert_close(made.scores(inputs), expected, rtol=1e-4, atol=1e-4)
    inputs.requires_grad_()
    (gradient,) = torch.autograd.grad(made(inputs)[:, 2].sum(), inputs)
    assert bool((gradient.flatten(1).abs().sum(1) > 0).all())
    assert any("taken off" in note for note in built.notes) == (
        ("Softmax(z)" in tail and "Log" not in tail) or "Sig" in tail
    )
    assert built.parameters == 18 + 640


def test_an_unknown_operator_leaves_it_to_onnxruntime_by_name() -> None:
    built = build(model("h = Hardmax(z) y = Add(h, z)"), WANTED)
    assert not built.classifier.differentiable
    assert any("operator Hardmax" in note for note in built.notes)
    torch.testing.assert_close(
        built.classifier.scores(torch.from_numpy(IMAGES)), run(model("h = Hardmax(z) y = Add(h, z)"))
    )


def test_an_operator_without_a_gradient_leaves_it_to_onnxruntime() -> None:
    built = build(
        model(
            "a = ArgMax<axis=1>(z) b = Cast<to=1>(a) s = Sub(z, z) d = Round(s) i = Cast<to=7>(z) "
            "e = Cast<to=1>(i) y = Identity(e)"
        ),
        WANTED,
    )
    assert not built.classifier.differentiable
    assert any("has none" in note for note in built.notes)


@pytest.mark.parametrize("head", ["f = Flatten(r)", "s = Constant<value=int64[2]{3,128}>() f = Reshape(r, s)"])
def test_a_model_of_one_batch_size(head: str) -> None:
    """Asked as many at a time as it takes, or all at once where that is the same."""
    made = build(model(batch="3", head=head), WANTED).classifier
    torch.testing.assert_close(made.scores(torch.from_numpy(IMAGES)), run(model()), rtol=1e-4, atol=1e-4)
    assert made.differentiable


def test_images_in_the_shape_that_the_model_states() -> None:
    last = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 17]> g (float[n,8,8,1] x) => (float[n,64] y) { y = Flatten(x) }'
    )
    built = build(last, WANTED)
    assert "images are handed to it with their channels last" in built.notes
    assert built.classifier.classes == 64


@pytest.mark.parametrize(("dtype", "number"), [("double", 11), ("float16", 10)])
def test_other_precisions(dtype: str, number: int) -> None:
    found = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 17]> g ({dtype}[n,1,8,8] x) => ({dtype}[n,64] y) '
        f"{{ f = Flatten(x) y = Mul(f, f) }}"
    )
    made = build(found, WANTED).classifier
    expected = torch.from_numpy(IMAGES).flatten(1) ** 2
    torch.testing.assert_close(made.scores(torch.from_numpy(IMAGES)), expected, rtol=1e-2, atol=1e-3)
    assert made.differentiable


def test_decisions_alone() -> None:
    built = build(_decisions(), Wanted(5, data=DATA))
    made = built.classifier
    assert made.outputs == "labels" and not made.differentiable
    assert torch.equal(made.labels(torch.from_numpy(IMAGES)), run(model()).argmax(1))


def _decisions() -> onnx.ModelProto:
    found = model("y = ArgMax<axis=1, keepdims=0>(z)")
    found.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    return found


def _converted() -> onnx.ModelProto:
    """As converters of scikit-learn write a logistic regression: the decision, then maps from class to score."""
    weights = np.random.default_rng(2).normal(size=(2, 64))
    both = np.concatenate([-weights, weights])[[0, 1, 3]]
    linear = helper.make_node(
        "LinearClassifier",
        ["f"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        coefficients=both.ravel().tolist(),
        intercepts=[0.0, 0.0, 0.0],
        classlabels_strings=["ant", "bee", "cat"],
        post_transform="SOFTMAX",
    )
    maps = helper.make_node(
        "ZipMap", ["scores"], ["maps"], domain="ai.onnx.ml", classlabels_strings=["ant", "bee", "cat"]
    )
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["f"]), linear, maps],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, ["n"]),
            helper.make_value_info(
                "maps",
                helper.make_sequence_type_proto(
                    helper.make_map_type_proto(
                        TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, None)
                    )
                ),
            ),
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_maps_from_class_to_score() -> None:
    built = build(_converted(), WANTED)
    assert built.class_names == ("ant", "bee", "cat")
    made = built.classifier
    assert made.outputs == "probabilities" and not made.differentiable and made.classes == 3
    session = onnxruntime.InferenceSession(_converted().SerializeToString(), providers=["CPUExecutionProvider"])
    labels = session.run(["label"], {"x": IMAGES})[0]
    assert [built.class_names[i] for i in made.labels(torch.from_numpy(IMAGES))] == list(labels)


def test_without_data_there_is_nothing_to_compare() -> None:
    built = build(model(), Wanted(5))
    assert not built.classifier.differentiable
    assert any("no data" in note for note in built.notes)


def _text(interface: str, body: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["": 17]> g {interface} {{ {body} }}')


BAD: dict[str, tuple[onnx.ModelProto, str]] = {
    "two inputs": (_text("(float[n,4] x, float[n,4] u) => (float[n,4] y)", "y = Add(x, u)"), "takes 2 inputs"),
    "texts": (_text("(string[n] x) => (string[n] y)", "y = Identity(x)"), "inputs of type string"),
    "other images": (
        model(shape="3,8,8", head="f = Flatten(r)"),
        "onnxruntime does not take|inputs of shape any×3|3×8×8",
    ),
    "broken": (
        _text("(float[n,4] x) => (float[n,4] y)", "y = NoSuchOperator(x)"),
        "onnxruntime does not take the model",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_said_in_one_line(case: str) -> None:
    found, message = BAD[case]
    with pytest.raises(UsageError, match=message) as caught:
        build(found, WANTED)
    assert "\n" not in str(caught.value)
