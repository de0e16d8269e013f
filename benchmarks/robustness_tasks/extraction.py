"""Extraction: on how many inputs a copy and the model agree, by the number of answers that the copy is trained on.

    python benchmarks/robustness_tasks/extraction.py LIBRARY FOLDER

All copies are the same network, trained for as long with the same optimiser, from the same inputs, and judged on the
same others: those that garrison's split of the data gives. Copies learn the model's probabilities, CopycatCNN's learn
its decisions.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from world import CLASSES, SEED, Results, World, main, seed, timed, untrained

INPUTS, JUDGED = 4000, 1000
"""Test images, and those of them that copies are judged on."""
QUERIES = (100, 300, 1000)
EPOCHS, BATCH, RATE = 20, 64, 1e-3
"""Of every copy; those of garrison's recipe for networks."""


def garrison(world: World, results: Results) -> None:
    import torch

    from garrison.robustness.classifier import of_module
    from garrison.robustness.data import Data
    from garrison.robustness.privacy import extraction

    torch.set_num_threads(1)
    model = world.model("std")
    with timed() as clock:
        rows, _ = extraction.measure(
            of_module(model, CLASSES),
            Data(*world.images("test", INPUTS), "image"),
            model=untrained(),
            queries=QUERIES,
            by=[extraction.RANDOM, extraction.UNCERTAIN],
            behind=[],
            seed=SEED,
        )
    _add(results, ((row.queries, row.strategy, row.fidelity.value) for row in rows))
    results.add("all of it", CPU_s=clock.seconds)


def art(world: World, results: Results) -> None:
    import torch
    from art.attacks.extraction import CopycatCNN, KnockoffNets
    from art.estimators.classification import PyTorchClassifier

    torch.set_num_threads(1)

    def estimator(network: Any) -> Any:
        return PyTorchClassifier(
            network,
            torch.nn.CrossEntropyLoss(),
            (1, 28, 28),
            CLASSES,
            optimizer=torch.optim.Adam(network.parameters(), RATE),
            clip_values=(0.0, 1.0),
            device_type="cpu",
        )

    model = world.model("std")
    served = estimator(torch.nn.Sequential(model, torch.nn.Softmax(1)))
    images, labels = world.images("test", INPUTS)
    order = np.random.default_rng(SEED).permutation(INPUTS)
    judged, pool = order[:JUDGED], order[JUDGED:]
    common = {"batch_size_fit": BATCH, "batch_size_query": 500, "nb_epochs": EPOCHS}
    soft = {"use_probability": True, "verbose": False, **common}
    found = []
    with timed() as clock:
        for queries in QUERIES:
            attacks = {
                "CopycatCNN": CopycatCNN(served, nb_stolen=queries, **common),
                "KnockoffNets": KnockoffNets(served, nb_stolen=queries, **soft),
                "KnockoffNets, adaptive": KnockoffNets(served, nb_stolen=queries, sampling_strategy="adaptive", **soft),
            }
            for name, attack in attacks.items():
                seed()
                copy = attack.extract(images[pool], labels[pool], thieved_classifier=estimator(untrained()))
                agreed = copy.predict(images[judged]).argmax(1) == served.predict(images[judged]).argmax(1)
                found.append((queries, name, float(agreed.mean())))
    _add(results, found)
    results.add("all of it", CPU_s=clock.seconds)


def _add(results: Results, rows: Iterable[tuple[int, str, float]]) -> None:
    by: dict[int, dict[str, float]] = {}
    for queries, strategy, fidelity in rows:
        by.setdefault(queries, {})[strategy] = fidelity
    for queries, fidelities in by.items():
        results.add(f"{queries} queries", fidelity=max(fidelities.values()), **fidelities)


if __name__ == "__main__":
    main({"garrison": garrison, "art": art})
