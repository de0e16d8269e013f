"""Each operator computes what onnxruntime computes, and its gradient is the slope of that."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from garrison.robustness.models.onnx_graph.graph import OPERATORS, Graph
from garrison.robustness.models.onnx_graph.node import Unsupported

MAP = (2, 4, 6, 7)
ROWS = (3, 8)

# Case: shape of the input, body of the graph from x to y, version of the operators if not 17.
SMOOTH: dict[str, tuple[Any, ...]] = {
    "Add": (ROWS, "c = Constant<value_float=2.5>() y = Add(x, c)"),
    "Sub": (ROWS, "c = Constant<value_float=2.5>() y = Sub(c, x)"),
    "Mul": (ROWS, "y = Mul(x, x)"),
    "Div": (ROWS, "c = Constant<value_float=5.0>() d = Add(x, c) y = Div(x, d)"),
    "Pow": (ROWS, "c = Constant<value_float=3.0>() y = Pow(x, c)"),
    "Sqrt": (ROWS, "c = Constant<value_float=5.0>() d = Add(x, c) y = Sqrt(d)"),
    "Sum, Mean": (ROWS, "a = Sum(x, x, x) y = Mean(a, x)"),
    "Neg, Exp": (ROWS, "a = Neg(x) y = Exp(a)"),
    "Log, Reciprocal": (ROWS, "c = Constant<value_float=5.0>() a = Add(x, c) b = Log(a) y = Reciprocal(b)"),
    "Sin, Cos, Atan": (ROWS, "a = Sin(x) b = Cos(a) y = Atan(b)"),
    "Sigmoid": (ROWS, "y = Sigmoid(x)"),
    "Tanh": (ROWS, "y = Tanh(x)"),
    "Erf": (ROWS, "y = Erf(x)"),
    "Softplus, Softsign": (ROWS, "a = Softplus(x) y = Softsign(a)"),
    "Gelu": (ROWS, "y = Gelu(x)", 20),
    "Gelu by tanh": (ROWS, 'y = Gelu<approximate="tanh">(x)', 20),
    "Mish": (ROWS, "y = Mish(x)", 18),
    "Identity, Dropout": (ROWS, "a = Identity(x) y = Dropout(a)"),
    "Cast": (ROWS, "a = Cast<to=11>(x) b = CastLike(a, x) y = Mul(b, b)"),
    "Softmax": (ROWS, "y = Softmax<axis=-1>(x)"),
    "Softmax of rows": (MAP, "y = Softmax<axis=1>(x)", 11),
    "LogSoftmax": (ROWS, "y = LogSoftmax<axis=0>(x)"),
    "LogSoftmax of rows": (MAP, "y = LogSoftmax(x)", 11),
    "MatMul": (MAP, "w = Constant<value=float[7,2]{W}>() y = MatMul(x, w)"),
    "Gemm": (ROWS, "w = Constant<value=float[2,8]{W}>() y = Gemm<transB=1, alpha=0.5>(x, w)"),
    "Gemm with a bias": (
        ROWS,
        "w = Constant<value=float[3,2]{W}>() b = Constant<value=float[2]{W}>() y = Gemm<transA=1, beta=2.0>(x, w, b)",
    ),
    "Einsum": (ROWS, 'y = Einsum<equation="ij,kj->ik">(x, x)'),
    "Conv": (MAP, "w = Constant<value=float[3,4,2,3]{W}>() y = Conv(x, w)"),
    "Conv with pads": (MAP, "w = Constant<value=float[3,4,2,3]{W}>() y = Conv<pads=[1,2,0,1], strides=[2,1]>(x, w)"),
    "Conv by groups": (
        MAP,
        "w = Constant<value=float[4,2,3,3]{W}>() b = Constant<value=float[4]{W}>() "
        "y = Conv<group=2, pads=[2,2,2,2], dilations=[2,2]>(x, w, b)",
    ),
    "Conv, same above": (MAP, 'w = Constant<value=float[2,4,2,2]{W}>() y = Conv<auto_pad="SAME_UPPER">(x, w)'),
    "Conv, same below": (
        MAP,
        'w = Constant<value=float[2,4,2,3]{W}>() y = Conv<auto_pad="SAME_LOWER", strides=[2,2]>(x, w)',
    ),
    "Conv, valid": (MAP, 'w = Constant<value=float[2,4,2,2]{W}>() y = Conv<auto_pad="VALID">(x, w)'),
    "Conv over one axis": ((2, 4, 9), "w = Constant<value=float[2,4,3]{W}>() y = Conv<pads=[1,1]>(x, w)"),
    "ConvTranspose": (
        MAP,
        "w = Constant<value=float[4,2,3,3]{W}>() y = ConvTranspose<strides=[2,2], pads=[1,1,1,1]>(x, w)",
    ),
    "AveragePool": (MAP, "y = AveragePool<kernel_shape=[2,3], strides=[2,2]>(x)"),
    "AveragePool with pads": (MAP, "y = AveragePool<kernel_shape=[2,3], pads=[0,1,1,1]>(x)"),
    "AveragePool that counts pads": (
        MAP,
        "y = AveragePool<kernel_shape=[3,3], pads=[1,1,1,1], count_include_pad=1>(x)",
    ),
    "GlobalAveragePool": (MAP, "y = GlobalAveragePool(x)"),
    "BatchNormalization": (
        MAP,
        "s = Constant<value=float[4]{W}>() v = Constant<value=float[4]{1.0,2.0,3.0,0.5}>() "
        "y = BatchNormalization<epsilon=0.01>(x, s, s, s, v)",
    ),
    "InstanceNormalization": (MAP, "s = Constant<value=float[4]{W}>() y = InstanceNormalization(x, s, s)"),
    "LayerNormalization": (
        MAP,
        "s = Constant<value=float[7]{W}>() y = LayerNormalization<axis=-1>(x, s, s)",
    ),
    "LRN": (MAP, "y = LRN<size=3, alpha=0.1>(x)"),
    "Reshape": (MAP, "s = Constant<value=int64[3]{0,-1,7}>() a = Reshape(x, s) y = Mul(a, a)"),
    "Flatten": (MAP, "a = Flatten(x) b = Flatten<axis=0>(a) c = Flatten<axis=-1>(b) y = Mul(c, c)"),
    "Transpose": (MAP, "a = Transpose<perm=[0,2,3,1]>(x) b = Transpose(a) y = Mul(b, b)"),
    "Concat, Split": (MAP, "a, b = Split<axis=1>(x) c = Mul(a, b) y = Concat<axis=-2>(c, a)"),
    "Split by sizes": (ROWS, "s = Constant<value=int64[2]{3,5}>() a, y = Split<axis=1>(x, s)"),
    "Split before": (ROWS, "a, y = Split<axis=1, split=[3,5]>(x)", 11),
    "Pad": (MAP, "p = Constant<value=int64[8]{0,0,1,2,0,1,0,3}>() v = Constant<value_float=0.5>() y = Pad(x, p, v)"),
    "Pad over axes": (
        MAP,
        "p = Constant<value=int64[2]{1,2}>() a = Constant<value=int64[1]{-1}>() y = Pad(x, p, , a)",
        18,
    ),
    "Pad, reflected": (MAP, 'p = Constant<value=int64[8]{0,0,1,2,0,0,0,3}>() y = Pad<mode="reflect">(x, p)'),
    "Pad, edge": (MAP, 'p = Constant<value=int64[8]{0,0,1,2,0,0,0,3}>() y = Pad<mode="edge">(x, p)'),
    "Pad before": (ROWS, "y = Pad<pads=[0,1,0,2], value=1.0>(x)", 10),
    "ReduceMean": (MAP, "y = ReduceMean<axes=[2,3], keepdims=0>(x)"),
    "ReduceMean of all": (MAP, "y = ReduceMean(x)"),
    "ReduceMean by an input": (MAP, "a = Constant<value=int64[2]{2,-1}>() y = ReduceMean(x, a)", 18),
    "ReduceSum": (MAP, "a = Constant<value=int64[1]{1}>() y = ReduceSum(x, a)"),
    "ReduceSum of nothing": (MAP, "a = ReduceSum<noop_with_empty_axes=1>(x) y = Mul(a, a)"),
    "ReduceProd": (ROWS, "y = ReduceProd<axes=[0], keepdims=0>(x)"),
    "ReduceL2": (ROWS, "y = ReduceL2<axes=[1]>(x)"),
    "ReduceLogSumExp": (ROWS, "y = ReduceLogSumExp<axes=[1]>(x)"),
    "ReduceSumSquare, ReduceLogSum": (ROWS, "a = ReduceSumSquare<axes=[1]>(x) y = ReduceLogSum<axes=[0]>(a)"),
    "Shape, Gather, Unsqueeze": (
        MAP,
        "s = Shape(x) i = Constant<value_int=0>() n = Gather(s, i) a = Constant<value=int64[1]{0}>() "
        "u = Unsqueeze(n, a) m = Constant<value=int64[1]{-1}>() t = Concat<axis=0>(u, m) y = Reshape(x, t)",
    ),
    "Shape of a part, Size": (MAP, "s = Shape<start=1, end=-1>(x) n = Size(s) c = Cast<to=1>(n) y = Mul(x, c)"),
    "Gather": (MAP, "i = Constant<value=int64[2,2]{0,-1,2,0}>() y = Gather<axis=1>(x, i)"),
    "TopK": (ROWS, "k = Constant<value=int64[1]{2}>() y, i = TopK(x, k)"),
    "TopK, the smallest": (ROWS, "k = Constant<value=int64[1]{2}>() y, i = TopK<axis=1, largest=0>(x, k)"),
    "GatherElements": (ROWS, "i = Constant<value=int64[2,1]{3,-1}>() y = GatherElements<axis=1>(x, i)"),
    "Slice": (
        MAP,
        "s = Constant<value=int64[2]{1,-1}>() e = Constant<value=int64[2]{9999,-9999}>() "
        "a = Constant<value=int64[2]{2,3}>() t = Constant<value=int64[2]{2,-2}>() y = Slice(x, s, e, a, t)",
    ),
    "Slice before": (MAP, "y = Slice<starts=[1,-3], ends=[3,-1], axes=[1,3]>(x)", 9),
    "Squeeze, Unsqueeze before": (ROWS, "a = Unsqueeze<axes=[0,-1]>(x) y = Squeeze<axes=[0]>(a)", 11),
    "ConstantOfShape, Expand": (
        ROWS,
        "s = Shape(x) c = ConstantOfShape<value=float[1]{2.0}>(s) t = Constant<value=int64[3]{2,1,1}>() "
        "a = Mul(c, x) y = Expand(a, t)",
    ),
    "Tile": (ROWS, "t = Constant<value=int64[2]{2,1}>() y = Tile(x, t)"),
    "Range": (
        ROWS,
        "a = Constant<value_float=0.0>() b = Constant<value_float=8.0>() c = Constant<value_float=1.0>() "
        "r = Range(a, b, c) y = Mul(x, r)",
    ),
    "DepthToSpace": (MAP, "y = DepthToSpace<blocksize=2>(x)"),
    "DepthToSpace by columns": (MAP, 'y = DepthToSpace<blocksize=2, mode="CRD">(x)'),
    "Resize": (
        MAP,
        "r = Constant<value=float[1]{0.0}>() s = Constant<value=float[4]{1.0,1.0,2.0,3.0}>() y = Resize(x, , s)",
    ),
    "Resize by asymmetric places": (
        MAP,
        "s = Constant<value=float[4]{1.0,1.0,1.5,1.5}>() "
        'y = Resize<coordinate_transformation_mode="asymmetric", nearest_mode="floor">(x, , s)',
    ),
    "Resize, linear": (MAP, 's = Constant<value=int64[4]{2,4,9,10}>() y = Resize<mode="linear">(x, , , s)'),
    "Resize before": (MAP, "s = Constant<value=float[4]{1.0,1.0,2.0,2.0}>() y = Resize(x, s)", 10),
    "Upsample": (MAP, "s = Constant<value=float[4]{1.0,1.0,2.0,2.0}>() y = Upsample(x, s)", 9),
}
KINKED: dict[str, tuple[Any, ...]] = {
    "Relu": (ROWS, "y = Relu(x)"),
    "LeakyRelu": (ROWS, "y = LeakyRelu<alpha=0.2>(x)"),
    "PRelu": (MAP, "s = Constant<value=float[4,1,1]{W}>() y = PRelu(x, s)"),
    "Elu, Celu, Selu": (ROWS, "a = Elu<alpha=0.5>(x) b = Celu<alpha=2.0>(a) y = Selu(b)"),
    "HardSigmoid": (ROWS, "y = HardSigmoid(x)"),
    "HardSwish": (ROWS, "y = HardSwish(x)"),
    "ThresholdedRelu": (ROWS, "y = ThresholdedRelu<alpha=0.3>(x)"),
    "Clip": (ROWS, "a = Constant<value_float=-0.5>() b = Constant<value_float=0.7>() y = Clip(x, a, b)"),
    "Clip from above": (ROWS, "b = Constant<value_float=0.7>() y = Clip(x, , b)"),
    "Clip before": (ROWS, "y = Clip<min=-0.5, max=0.5>(x)", 6),
    "Max, Min": (ROWS, "c = Constant<value_float=0.1>() a = Max(x, c) b = Neg(x) y = Min(a, b, x)"),
    "Abs, Sign": (ROWS, "a = Abs(x) s = Sign(x) y = Mul(a, s)"),
    "Floor, Ceil, Round, Mod": (
        ROWS,
        "a = Floor(x) b = Ceil(x) d = Round(x) e = Add(a, b) f = Add(e, d) c = Constant<value_float=0.7>() "
        "g = Mod<fmod=1>(x, c) y = Add(f, g)",
    ),
    "Where": (ROWS, "c = Constant<value_float=0.1>() t = Greater(x, c) a = Neg(x) y = Where(t, x, a)"),
    "comparisons": (
        ROWS,
        "c = Constant<value_float=0.1>() a = Less(x, c) b = LessOrEqual(x, c) d = GreaterOrEqual(x, c) e = Equal(x, c) "
        "f = And(a, b) g = Or(d, e) h = Not(g) i = And(f, h) j = Cast<to=1>(i) y = Add(j, x)",
    ),
    "MaxPool": (MAP, "y = MaxPool<kernel_shape=[2,3], strides=[2,2]>(x)"),
    "MaxPool with pads": (MAP, "y = MaxPool<kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]>(x)"),
    "MaxPool with more pads after": (MAP, "y = MaxPool<kernel_shape=[2,2], pads=[0,0,1,1]>(x)"),
    "MaxPool to the ceiling": (MAP, "y = MaxPool<kernel_shape=[2,2], strides=[2,2], ceil_mode=1>(x)"),
    "MaxPool apart": (MAP, "y = MaxPool<kernel_shape=[2,2], dilations=[2,2]>(x)"),
    "GlobalMaxPool": (MAP, "y = GlobalMaxPool(x)"),
    "ReduceMax, ReduceMin": (MAP, "a = ReduceMax<axes=[3]>(x) y = ReduceMin<axes=[2], keepdims=0>(a)"),
    "ReduceL1": (ROWS, "y = ReduceL1<axes=[1]>(x)"),
    "ArgMax, ArgMin": (
        ROWS,
        "a = ArgMax<axis=1>(x) b = ArgMin<axis=1>(x) c = Add(a, b) d = Cast<to=1>(c) y = Add(d, x)",
    ),
    "whole numbers divided": (
        ROWS,
        "c = Constant<value_float=4.0>() a = Mul(x, c) b = Cast<to=7>(a) d = Constant<value_int=3>() e = Div(b, d) "
        "f = Cast<to=1>(e) y = Add(f, x)",
    ),
}


def model(shape: tuple[int, ...], body: str, opset: int = 17) -> onnx.ModelProto:
    random = np.random.default_rng(0)
    while "{W}" in body:
        before, after = body.split("{W}", 1)
        sizes = [int(size) for size in before.rpartition("[")[2].rstrip("]").split(",")]
        numbers = ",".join(f"{value:.4f}" for value in random.normal(size=int(np.prod(sizes))))
        body = f"{before} {{{numbers}}}{after}"
    head = f'<ir_version: 8, opset_import: ["": {opset}]>'
    sizes_of_x = ",".join(map(str, shape))
    return onnx.parser.parse_model(f"{head} g (float[{sizes_of_x}] x) => (float y) {{ {body} }}")


def run(found: onnx.ModelProto, inputs: torch.Tensor) -> torch.Tensor:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(found.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return torch.from_numpy(np.asarray(session.run(["y"], {"x": inputs.numpy()})[0]))


@pytest.mark.parametrize("case", {**SMOOTH, **KINKED})
def test_an_operator_computes_what_onnxruntime_computes(case: str) -> None:
    shape, *rest = {**SMOOTH, **KINKED}[case]
    found = model(shape, *rest[:2])
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    answer = Graph(found, "x", "y", torch.device("cpu"))(inputs)
    expected = run(found, inputs)
    assert answer.dtype == expected.dtype
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", SMOOTH)
def test_gradients_are_slopes(case: str) -> None:
    shape, *rest = SMOOTH[case]
    found = model(shape, *rest[:2])
    random = torch.Generator().manual_seed(2)
    inputs = torch.randn(shape, generator=random).requires_grad_()
    direction = torch.randn(shape, generator=random)
    answer = Graph(found, "x", "y", torch.device("cpu"))(inputs)
    weights = torch.rand(answer.shape, generator=random)
    (gradient,) = torch.autograd.grad((answer * weights).sum(), inputs)
    step = 1e-2
    ahead, behind = (run(found, inputs.detach() + sign * step * direction).double() for sign in (1, -1))
    slope = ((ahead - behind) * weights).sum() / (2 * step)
    torch.testing.assert_close((gradient * direction).sum().double(), slope, rtol=0.03, atol=0.02)


def test_every_operator_is_tried() -> None:
    used = {node.op_type for shape, *rest in (SMOOTH | KINKED).values() for node in model(shape, *rest[:2]).graph.node}
    assert set(OPERATORS) - used == {"GroupNormalization", "Swish"}  # which onnxruntime has from later versions on


def test_an_unknown_operator_is_named() -> None:
    found = model(ROWS, "a = Hardmax(x) y = Add(a, x)")
    with pytest.raises(Unsupported, match="Hardmax"):
        Graph(found, "x", "y", torch.device("cpu"))


def test_what_the_output_does_not_need_may_be_unknown() -> None:
    found = model(ROWS, "a = Hardmax(x) y = Add(x, x)")
    assert torch.equal(Graph(found, "x", "y", torch.device("cpu"))(torch.ones(ROWS)), torch.full(ROWS, 2.0))


FORMS = {
    "positions": (MAP, "y, i = MaxPool<kernel_shape=[2,2]>(x) z = Identity(i)"),
    "cubic": (MAP, 's = Constant<value=float[4]{1.0,1.0,2.0,2.0}>() y = Resize<mode="cubic">(x, , s)'),
    "channels resized": (MAP, "s = Constant<value=float[4]{1.0,2.0,2.0,2.0}>() y = Resize(x, , s)"),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_unknown_form_of_an_operator_is_named(form: str) -> None:
    found = model(*FORMS[form])
    with pytest.raises(Unsupported, match=r"^(MaxPool|Resize) "):
        Graph(found, "x", "y", torch.device("cpu"))(torch.ones(MAP))
