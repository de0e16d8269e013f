"""Boosted trees of XGBoost and LightGBM: margins before the link function, which are logits, and no gradients."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from garrison.core.errors import UsageError
from garrison.robustness.models.built import Built, Wanted, classifier
from garrison.robustness.models.feature_frames import matched

_NO_GRADIENTS = "trees have no gradients; attacks see their margins, which are logits"


def of_xgboost(model: Any, wanted: Wanted) -> Built:
    """An `xgboost.Booster`, or the classifier around one."""
    import xgboost

    booster = model if isinstance(model, xgboost.Booster) else model.get_booster()
    learner = json.loads(booster.save_config())["learner"]
    objective = str(learner["objective"]["name"])
    if not objective.startswith(("binary:", "multi:")):
        raise UsageError(f"an XGBoost model of {objective} is no classifier")
    count = int(learner["learner_model_param"]["num_class"]) if objective.startswith("multi:") else 2
    names = tuple(booster.feature_names or ())
    seen = matched(names, booster.num_features(), wanted.data)
    best = booster.attr("best_iteration")
    stop = 0 if best is None else int(best) + 1

    def margins(inputs: Tensor) -> NDArray[Any]:
        rows = seen.selected(inputs).detach().cpu().numpy()
        matrix = xgboost.DMatrix(rows, feature_names=booster.feature_names, feature_types=booster.feature_types)
        return np.asarray(booster.predict(matrix, output_margin=True, iteration_range=(0, stop)))

    made, said = classifier(margins, wanted, differentiable=False, outputs="logits", classes=count)
    notes = [*seen.notes, *said, _NO_GRADIENTS]
    if stop:
        notes.append(f"of its trees the first {stop} rounds count, where training stopped early")
    return Built(made, _names(model), None, tuple(notes))


def of_lightgbm(model: Any, wanted: Wanted) -> Built:
    """A `lightgbm.Booster`, or the classifier around one."""
    import lightgbm

    booster = model if isinstance(model, lightgbm.Booster) else model.booster_
    header = booster.model_to_string(num_iteration=1).splitlines()
    objective = next((line.partition("=")[2] for line in header if line.startswith("objective=")), "")
    kind = objective.partition(" ")[0]
    if kind not in ("binary", "multiclass", "multiclassova", "cross_entropy"):
        raise UsageError(f"a LightGBM model of {kind or 'an objective of its own'} is no classifier that is known here")
    settings = dict(part.split(":", 1) for part in objective.split() if ":" in part)
    slope = float(settings.get("sigmoid", 1)) if kind in ("binary", "multiclassova") else 1.0
    if "average_output" in header:  # a random forest, whose raw scores are sums
        slope /= booster.current_iteration()
    names = tuple(booster.feature_name())
    own = () if all(name == f"Column_{position}" for position, name in enumerate(names)) else names
    seen = matched(own, booster.num_feature(), wanted.data)

    def margins(inputs: Tensor) -> NDArray[Any]:
        rows = seen.selected(inputs).detach().cpu().numpy()
        return slope * np.asarray(booster.predict(rows, raw_score=True, validate_features=False))

    count = int(settings.get("num_class", 2))
    made, said = classifier(margins, wanted, differentiable=False, outputs="logits", classes=count)
    return Built(made, _names(model), None, (*seen.notes, *said, _NO_GRADIENTS))


def _names(model: Any) -> tuple[str, ...]:
    found = getattr(model, "classes_", None)
    return () if found is None else tuple(str(name) for name in np.asarray(found).tolist())
