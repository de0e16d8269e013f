"""Fit, calibrate and try detectors of adversarial and out-of-distribution inputs.

A detector is a directory: `detector.json`, an ONNX graph and safetensors, no pickle. `fit` makes one for a model from
benign data, `score` tries it on data, `show` says what it is. Exit codes: 0 done; 2 wrong usage; 3 garrison failed.
"""

import os
from typing import TYPE_CHECKING

from garrison.cli import exits, terminal
from garrison.cli.arguments import Parser
from garrison.core.errors import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from garrison.robustness.data import Data
    from garrison.robustness.detection.detector import Recipe
    from garrison.robustness.detection.manifest import Manifest

_KINDS = (
    "combination", "autoencoder", "distillation", "neighbours", "ensemble", "squeezing", "mahalanobis", "lid", "energy",
)  # fmt: skip
_HELD = 0.25
"""Of the data, so much calibrates, and is kept from fitting."""


def configure(parser: Parser) -> None:
    add = parser.add_argument
    add("action", choices=tuple(_ACTIONS), metavar="ACTION", help="fit, score or show")
    add("subject", metavar="MODEL|DIR", help="fit: the model; score and show: the directory that fit wrote")
    add("--data", metavar="FILE", help="fit: benign inputs with labels, of which a quarter calibrates; score: inputs")
    add("--label", metavar="COLUMN", help="the column or the array of the labels")
    add("--labels", metavar="FILE", help="the file of the labels, where they have one of their own")
    add("--output", "-o", metavar="DIR", help="fit: the directory to write")
    add("--force", action="store_true", help="fit: replace the detector that is there")
    add(
        "--kind",
        choices=_KINDS,
        default=_KINDS[0],
        help=f"fit: {', '.join(_KINDS)} (default: {_KINDS[0]})",
        metavar="KIND",
    )
    add(
        "--false-positives",
        metavar="SHARE",
        type=_share,
        default=0.01,
        help="fit: the most benign inputs flagged (0.01)",
    )
    add("--layer", metavar="NAME", action="append", help="fit: the model's layer to look at, by name; repeatable")
    add(
        "--architecture",
        metavar="MODULE:FUNCTION",
        default="",
        help="fit: makes the module of a file of weights; is run",
    )
    add("--seed", metavar="N", type=int, default=0, help="fit: of what is random (default: 0)")
    add("--format", choices=("text", "json"), default="text", help="how the result is written (default: text)")


def run(arguments: "argparse.Namespace") -> int:
    result, lines = _ACTIONS[arguments.action](arguments)
    if arguments.format == "json":
        import msgspec

        terminal.write(msgspec.json.format(msgspec.json.encode(result)).decode() + "\n", as_is=True)
    else:
        terminal.say(*lines)
    return exits.PASSED


def _fit(arguments: "argparse.Namespace") -> "tuple[object, Iterator[str]]":
    if not arguments.output:
        raise UsageError("fit: name the directory to write with --output")
    output = os.path.abspath(arguments.output)
    if os.path.lexists(output) and not arguments.force:
        raise UsageError(f"{arguments.output}: is there already; --force replaces a detector")
    if not os.path.isdir(os.path.dirname(output)):
        raise UsageError(f"{arguments.output}: cannot be written: no such directory")
    _require("torch")
    import numpy as np
    import torch

    from garrison.robustness.data import Data
    from garrison.robustness.detection.calibration import needed
    from garrison.robustness.detection.graph_of import classifier_of
    from garrison.robustness.detection.storing import Origin, store
    from garrison.targets import open_model

    data = _data(arguments)
    inputs = np.array(data.inputs, dtype=np.float32)
    held, least = int(len(data) * _HELD), needed(arguments.false_positives)
    if held < least:
        raise UsageError(
            f"{arguments.data}: a quarter of its {len(data):,} inputs calibrates, and {arguments.false_positives:g} "
            f"false positives take {least:,} at the least: give {4 * least:,}"
        )
    opened = open_model(
        arguments.subject,
        data=data,
        architecture=arguments.architecture,
        low=float(inputs.min()),
        high=float(inputs.max()),
    )
    classifier = classifier_of(opened.model, opened.classifier, torch.from_numpy(inputs[:4]))
    order = np.random.default_rng(arguments.seed).permutation(len(data))
    kept, rest = order[:held], order[held:]
    with terminal.progress() as shown:

        def told(share: float) -> None:
            if shown:
                shown(int(100 * share), 100, f"fitting {arguments.kind}")

        detector = _recipe(arguments).fit(
            classifier,
            Data(inputs[rest], data.labels[rest], data.kind, name=data.name),
            seed=arguments.seed,
            progress=told,
        )
    detector.calibrate(inputs[kept], arguments.false_positives)
    origin = Origin(arguments.subject, arguments.data, opened.sha256, data.sha256)
    card = store(detector, output, inputs[kept], origin, replace=arguments.force)
    return card, _described(arguments.output, card)


def _score(arguments: "argparse.Namespace") -> "tuple[object, Iterator[str]]":
    import numpy as np

    from garrison.core.robustness_card import rate
    from garrison.robustness.detection.stored import StoredDetector

    stored = StoredDetector.load(arguments.subject)
    data = _data(arguments)
    scores = stored.scores(np.asarray(data.inputs, dtype=np.float32))
    flags = ~(scores <= stored.card.calibration.threshold)
    flagged = rate(int(flags.sum()), len(flags))
    result = {
        "detector": arguments.subject,
        "data": arguments.data,
        "threshold": stored.card.calibration.threshold,
        "flagged": flagged,
        "scores": [float(score) for score in scores],
    }
    budget = stored.card.calibration.false_positives

    def lines() -> "Iterator[str]":
        yield (
            f"{arguments.data}: {flagged.count:,} of {flagged.of:,} inputs flagged, {flagged.value:.2%} "
            f"(95 % interval {flagged.low:.2%} to {flagged.high:.2%})"
        )
        yield f"benign inputs are flagged in {budget:.2%} of cases at the most, on average"

    return result, lines()


def _show(arguments: "argparse.Namespace") -> "tuple[object, Iterator[str]]":
    from garrison.robustness.detection.stored import StoredDetector

    card = StoredDetector.load(arguments.subject).card
    return card, _described(arguments.subject, card)


def _described(path: str, card: "Manifest") -> "Iterator[str]":
    calibration = card.calibration
    yield f"{path}: {card.kind} for {card.model}, fitted with {card.fitted_with:,} inputs of {card.data}"
    settings = ", ".join(
        f"{name} {', '.join(value) if isinstance(value, list) else value}" for name, value in card.settings.items()
    )
    if settings:
        yield f"  {settings}"
    yield (
        f"  flags above {calibration.threshold:.6g}: at most {calibration.false_positives:.2%} of benign inputs on "
        f"average, below {calibration.bound:.2%} with 95 % confidence ({calibration.count:,} inputs)"
    )
    if card.cost:
        yield f"  {card.cost.microseconds:,.0f} µs an input, one at a time, on {card.cost.machine}"
    yield "  an attacker who knows of it may pass it: measure that too, with attacks that take it into account"


def _data(arguments: "argparse.Namespace") -> "Data":
    if not arguments.data:
        raise UsageError(f"{arguments.action}: name the inputs with --data")
    _require("numpy")
    from garrison.robustness.inputs.reading import read

    data = read(arguments.data, label=arguments.label, labels=arguments.labels)
    if data.kind == "text":
        raise UsageError(f"{arguments.data}: detectors take images and tables, and this is text")
    return data


_ACTIONS = {"fit": _fit, "score": _score, "show": _show}


def _recipe(arguments: "argparse.Namespace") -> "Recipe":
    from garrison.robustness.detection.kinds import KINDS, LAYERED

    if not arguments.layer:
        return KINDS[arguments.kind]()
    if arguments.kind not in LAYERED:
        raise UsageError(f"--layer is for {', '.join(sorted(LAYERED))}; {arguments.kind} looks at no layers of its own")
    return KINDS[arguments.kind](layers=tuple(arguments.layer))  # type: ignore[call-arg]


def _require(name: str) -> None:
    import importlib.util

    if importlib.util.find_spec(name) is None:
        raise UsageError(f"this takes {name}: pip install 'garrison[robustness]'")


def _share(text: str) -> float:
    import argparse

    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share between 0 and 1, such as 0.01")
    return value
