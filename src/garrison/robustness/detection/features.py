"""What a model computes on the way to its scores, by the names of its layers.

A layer's name is what the model itself calls it: `named_modules()` of a module, the nodes of an exported program, the
tensors of an ONNX graph. The name alone means what the layer gives; `NAME:input` means what it
is given. No layer is ever chosen by its index.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier
from garrison.robustness.detection.onnx_module import OnnxModule

INPUT = ":input"
PENULTIMATE = "penultimate"
"""Stands for what the last layer with weights is given; `resolved` says which that is."""
BEFORE_DENSE = "before-dense"
"""Stands for what the first of the fully connected layers at the end is given; the same where there is only one."""


class Logits(nn.Module):
    """The scores of a classifier as logits: (n, *shape) -> (n, classes)."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        if not classifier.differentiable or not isinstance(classifier.forward, nn.Module):
            raise UsageError(
                f"{classifier.name or 'the model'}: detectors are built around the model's own graph, which this one "
                "does not show; give a PyTorch module, TorchScript, an exported program or an ONNX file"
            )
        if classifier.outputs == "labels":
            raise UsageError(f"{classifier.name or 'the model'}: detectors need scores, and it gives labels alone")
        self.model = classifier.forward
        self.probabilities = classifier.outputs == "probabilities"

    def forward(self, inputs: Tensor) -> Tensor:
        return self.logits(self.model(inputs))

    def logits(self, scores: Tensor) -> Tensor:
        """Logits of what the model itself gave."""
        return scores.clamp(min=1e-12).log() if self.probabilities else scores


class Tapped(nn.Module):
    """Features at chosen layers, each (n, d), and the logits (n, classes), from one pass through the model."""

    def __init__(self, logits: Logits, layers: tuple[str, ...]) -> None:
        super().__init__()
        self.logits = logits
        self.layers = layers

    def forward(self, inputs: Tensor) -> tuple[list[Tensor], Tensor]:
        seen, scores = recorded(self.logits.model, inputs, self.layers)
        return [flat(seen[name]) for name in self.layers], self.logits.logits(scores)


def flat(features: Tensor) -> Tensor:
    """Features as vectors (n, d): means over the places of images (Lee et al. 2018, section 2.2) and of sequences."""
    if features.dim() == 3:
        return features.mean(1)
    return features.flatten(2).mean(2) if features.dim() > 3 else features.flatten(1)


def recorded(model: nn.Module, inputs: Tensor, layers: Iterable[str] | None = None) -> tuple[dict[str, Tensor], Tensor]:
    """What the layers (all of them if none are named) were given and gave for `inputs`, and the model's scores.

    Raises `UsageError` for layers that it does not have, or whose insides cannot be seen.
    """
    wanted = None if layers is None else set(layers)
    seen: dict[str, Tensor] = {}

    def see(name: str, value: object) -> None:
        if isinstance(value, Tensor) and (wanted is None or name in wanted):
            seen[name] = value

    scores = _run_onnx(model, inputs, see, wanted) if isinstance(model, OnnxModule) else _run(model, inputs, see)
    missing = sorted(wanted - seen.keys()) if wanted else []
    if missing:
        raise UsageError(
            f"no layer named {missing[0]!r} was run; the model's layers are {_listed(names(model, inputs))}"
        )
    return seen, scores


def names(model: nn.Module, example: Tensor) -> tuple[str, ...]:
    """The layers of a model in the order in which they ran, without the `:input` ones."""
    return tuple(name for name in recorded(model, example)[0] if not name.endswith(INPUT))


def resolved(logits: Logits, layers: Iterable[str], example: Tensor) -> tuple[str, ...]:
    """The layers with `penultimate` and `before-dense` replaced by what they stand for. Raises `UsageError`."""
    found = list(layers)
    for index, name in enumerate(found):
        if name in (PENULTIMATE, BEFORE_DENSE):
            end = dense_end(logits, example)
            found[index] = (end[-1] if name == PENULTIMATE else end[0]) + INPUT
    with torch.no_grad():
        recorded(logits.model, example, found)
    return tuple(found)


@torch.no_grad()
def dense_end(logits: Logits, example: Tensor) -> tuple[str, ...]:
    """The names of the layers with weights that end the model, fully connected all but perhaps the last, in order.

    That the last one gives the scores is seen in the numbers, not taken from its place. Raises `UsageError` where it
    does not.
    """
    model = logits.model
    seen, scores = recorded(model, example)
    weighted = [name for name in _with_weights(model, seen) if name + INPUT in seen]
    if not weighted or not _gives(seen[weighted[-1]], scores):
        why = f"{weighted[-1]!r} does not give the scores" if weighted else "none has weights"
        raise UsageError(
            f"the last layer cannot be told: {why}; name layers yourself, of {_listed(names(model, example))}"
        )
    end = [weighted.pop()]
    while weighted and seen[weighted[-1]].dim() == seen[weighted[-1] + INPUT].dim() == seen[end[0] + INPUT].dim() == 2:
        end.insert(0, weighted.pop())
    return tuple(end)


def _gives(given: Tensor, scores: Tensor) -> bool:
    given = given.flatten(1)
    return given.shape == scores.shape and any(
        torch.allclose(one, scores, rtol=1e-4, atol=1e-5) for one in (given, given.softmax(1), given.log_softmax(1))
    )


def _run(model: nn.Module, inputs: Tensor, see: Callable[[str, object], None]) -> Tensor:
    if isinstance(model, torch.fx.GraphModule):
        return _run_graph(model, inputs, see)
    if isinstance(model, torch.jit.ScriptModule):
        return _run_script(model, inputs, see)
    return _run_module(model, inputs, see)


def _run_onnx(model: OnnxModule, inputs: Tensor, see: Callable[[str, object], None], wanted: set[str] | None) -> Tensor:
    for name, given in model.given.items():
        for layer, tensor in ((name + INPUT, given), (name, name)):
            if tensor and (layer in wanted if wanted is not None else name in model.weighted):
                see(layer, model.tensor(tensor, inputs))
    scores: Tensor = model(inputs)
    return scores


def _run_module(model: nn.Module, inputs: Tensor, see: Callable[[str, object], None]) -> Tensor:
    handles = []
    try:
        for name, layer in model.named_modules():
            if name and not any(True for _ in layer.children()):

                def hook(_: nn.Module, given: tuple[object, ...], gives: object, name: str = name) -> None:
                    if given:
                        see(name + INPUT, given[0])
                    see(name, gives)

                handles.append(layer.register_forward_hook(hook))
        scores: Tensor = model(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return scores


def _run_graph(model: torch.fx.GraphModule, inputs: Tensor, see: Callable[[str, object], None]) -> Tensor:
    class Seeing(torch.fx.Interpreter):
        def run_node(self, n: torch.fx.Node) -> object:
            value = super().run_node(n)
            if n.op in ("call_function", "call_module", "call_method"):
                first = n.args[0] if n.args else None
                if isinstance(first, torch.fx.Node):
                    see(n.name + INPUT, self.env[first])
                see(n.name, value)
            return value

    # The interpreter would drop what later nodes do not use before the hook above has seen it.
    scores: Tensor = Seeing(model, garbage_collect_values=False).run(inputs)
    return scores


def _run_script(model: torch.jit.ScriptModule, inputs: Tensor, see: Callable[[str, object], None]) -> Tensor:
    """Compiled code runs no hooks; a chain of modules can be run one by one, and its result compared."""
    value = inputs
    try:
        for name, layer in _chain(model):
            see(name + INPUT, value)
            value = layer(value)
            see(name, value)
    except (RuntimeError, TypeError, NotImplementedError):
        value = torch.empty(0)
    if not torch._C._get_tracing_state():
        with torch.no_grad():
            scores = model(inputs)
        if value.shape != scores.shape or not torch.allclose(value, scores, rtol=1e-4, atol=1e-5):
            raise UsageError(
                "the layers of this TorchScript model cannot be seen, since it is no chain of modules; give the "
                "PyTorch module or an ONNX file, or a kind of detector that needs no layers"
            )
    return value


def _chain(model: nn.Module, prefix: str = "") -> Iterable[tuple[str, nn.Module]]:
    for name, layer in model.named_children():
        if getattr(layer, "original_name", "") == "Sequential":
            yield from _chain(layer, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", layer


def _with_weights(model: nn.Module, seen: dict[str, Tensor]) -> list[str]:
    """The layers that ran and multiply by weights, in order."""
    ran = [name for name in seen if not name.endswith(INPUT)]
    if isinstance(model, OnnxModule):
        return [name for name in ran if name in model.weighted]
    if isinstance(model, torch.fx.GraphModule):
        nodes = {node.name: node for node in model.graph.nodes}
        return [name for name in ran if any(_holds_weights(one) for one in nodes[name].all_input_nodes[1:])]
    modules = dict(model.named_modules())
    return [name for name in ran if any(one.dim() > 1 for one in modules[name].parameters())]


def _holds_weights(node: torch.fx.Node) -> bool:
    """Whether a node is a parameter, perhaps transposed on its way."""
    return node.op == "get_attr" or (len(node.all_input_nodes) == 1 and _holds_weights(node.all_input_nodes[0]))


def _listed(found: tuple[str, ...]) -> str:
    shown = ", ".join(found[:20])
    return f"{shown} and {len(found) - 20} more" if len(found) > 20 else shown or "none that can be seen"
