"""Attribute inference: can an attacker who knows the rest of a record tell a hidden attribute from the model?

Much of an attribute can be guessed from the rest alone. What counts is what the model adds to that.
"""

import time
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from garrison.core.errors import GarrisonError, UsageError
from garrison.core.robustness_card import Check, Estimate, Inference, rate
from garrison.robustness.attacks.attack import Progress
from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data

_VALUES = 50
"""Values of an attribute that are tried, at most."""
_Z = 1.959963984540054
_TINY = 1e-12

Array = NDArray[np.float64]
Indices = NDArray[np.int64]


def measure(
    classifier: Classifier,
    data: Data,
    *,
    columns: Sequence[int],
    name: str = "",
    samples: int = 2000,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Inference, ...]:
    """Infer a hidden attribute of records (usually the training set's) from the classifier's answers.

    `columns` hold the attribute: one, or a group that encodes one together, such as one-hot columns. The attacker knows
    all else and the true label, and half of the records whole. On the other half three guess: an imputation, which is
    a random forest that never asks the model, and is the baseline; the value that makes the model most confident in
    the true label, weighted by how common the value is (Fredrikson et al. 2014, Yeom et al. 2018); and the imputation
    with the model's answers to every value beside. Raises `UsageError`.
    """
    started = time.monotonic()
    rows, labels, values, truth = _read(classifier, data, columns, samples, seed)
    confidence = _confidence(classifier, rows, labels, values, columns)
    if progress:
        progress(0.5)
    known, hidden = np.arange(len(rows)) % 2 == 0, np.arange(len(rows)) % 2 == 1
    rest = np.column_stack([np.delete(rows, list(columns), axis=1), labels])
    imputed = _trained(rest, truth, known, hidden, seed) == truth[hidden]
    prior = np.bincount(truth[known], minlength=len(values)) + 1
    likely = (np.log(confidence + _TINY) + np.log(prior / prior.sum())).argmax(1)[hidden]
    beside = np.column_stack([rest, confidence])
    guesses = {"most confident value": likely, "trained on the answers": _trained(beside, truth, known, hidden, seed)}
    if progress:
        progress(1.0)
    seconds = time.monotonic() - started
    what = name or ", ".join(data.features[column] for column in columns if column < len(data.features))
    return tuple(
        _inference(attack, what or f"column {columns[0]}", guess == truth[hidden], imputed, seconds)
        for attack, guess in guesses.items()
    )


def _read(
    classifier: Classifier, data: Data, columns: Sequence[int], samples: int, seed: int
) -> tuple[NDArray[np.float32], Indices, NDArray[np.float32], Indices]:
    """Records, labels, the attribute's values, and which of them each record has."""
    if data.kind != "table":
        raise UsageError("attribute inference takes tables")
    table = np.asarray(data.inputs, np.float32)
    if not columns or len(set(columns)) != len(columns) or not all(0 <= column < table.shape[1] for column in columns):
        raise UsageError(f"columns {list(columns)}: give different ones from 0 to {table.shape[1] - 1}")
    if len(columns) == table.shape[1]:
        raise UsageError("the attribute is all there is: leave the attacker a column to know")
    if len(table) < 20:
        raise UsageError(f"{len(table)} records are too few; give 20 or more")
    chosen = np.random.default_rng(seed).permutation(len(table))[:samples]
    rows, labels = table[chosen], np.asarray(data.labels, np.int64)[chosen]
    if not np.isfinite(rows).all():
        raise UsageError("among the records is what is no number")
    if labels.min() < 0 or labels.max() >= classifier.classes:
        raise UsageError(f"labels go to {labels.max()}, but the model has {classifier.classes} classes")
    values, truth = np.unique(rows[:, list(columns)], axis=0, return_inverse=True)
    if not 2 <= len(values) <= _VALUES:
        raise UsageError(f"the attribute has {len(values)} values; it takes 2 to {_VALUES}: group a number into bins")
    return rows, labels, values, truth.reshape(-1).astype(np.int64)


def _confidence(
    classifier: Classifier,
    rows: NDArray[np.float32],
    labels: Indices,
    values: NDArray[np.float32],
    columns: Sequence[int],
) -> Array:
    """(n, values): the probability of the true label if the record had that value."""
    answers = []
    for value in values:
        asked = rows.copy()
        asked[:, list(columns)] = value
        soft = [
            classifier.soft(classifier.scores(batch.to(classifier.device))).double().cpu()
            for batch in torch.split(torch.from_numpy(asked), 4096)
        ]
        answers.append(torch.cat(soft).numpy()[np.arange(len(labels)), labels])
    found = np.stack(answers, 1)
    if not np.isfinite(found).all():
        raise GarrisonError(f"{classifier.name or 'the model'} answers with what is no number")
    return found


def _trained(
    features: Array, truth: Indices, known: NDArray[np.bool_], hidden: NDArray[np.bool_], seed: int
) -> Indices:
    from sklearn.ensemble import RandomForestClassifier  # type: ignore[import-untyped,unused-ignore]

    forest = RandomForestClassifier(100, min_samples_leaf=5, random_state=seed)
    guess: Indices = forest.fit(features[known], truth[known]).predict(features[hidden])
    return guess


def _inference(
    attack: str, target: str, right: NDArray[np.bool_], imputed: NDArray[np.bool_], seconds: float
) -> Inference:
    # The same records are guessed twice: a paired difference.
    gain = right.astype(np.float64) - imputed
    mean = float(gain.mean())
    # One discordant pair each way more than seen keeps a width where none was seen (Agresti and Min 2005).
    count = len(gain) + 2
    spread = _Z * float(np.sqrt(max(((gain**2).sum() + 2) / count - (gain.sum() / count) ** 2, 0) / count))
    advantage = Estimate(value=mean, low=max(mean - spread, -1.0), high=min(mean + spread, 1.0))
    adds = mean - spread > 0
    return Inference(
        attack=attack,
        target=target,
        accuracy=rate(int(right.sum()), len(right)),
        baseline=float(imputed.mean()),
        advantage=advantage,
        samples=len(right),
        seconds=seconds,
        checks=(
            Check(
                name="beyond-imputation",
                verdict="passed" if adds else "unknown",
                seen=f"{mean:+.3f} [{mean - spread:+.3f}, {mean + spread:+.3f}] over guessing without the model",
                advice="" if adds else "What was guessed is no proof that the model leaks: others of its columns tell.",
            ),
        ),
    )
