"""Boosted trees: their margins are logits, of which softmax makes what they predict."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_iris

from garrison.core.errors import UsageError
from garrison.robustness.data import Data
from garrison.robustness.models.building import build
from garrison.robustness.models.built import Wanted

SETS: dict[int, Any] = {2: load_breast_cancer(return_X_y=True), 3: load_iris(return_X_y=True)}


def data(classes: int, **changes: Any) -> Data:
    found = SETS[classes]
    return Data(found[0].astype(np.float32), found[1].astype(np.int64), "table", **changes)


@pytest.mark.parametrize("classes", SETS)
@pytest.mark.parametrize("form", ["classifier", "booster", "dart", "linear"])
def test_xgboost(classes: int, form: str) -> None:
    xgboost = pytest.importorskip("xgboost")
    settings = {"dart": {"booster": "dart"}, "linear": {"booster": "gblinear"}}.get(form, {"max_depth": 2})
    model = xgboost.XGBClassifier(n_estimators=4, **settings).fit(*SETS[classes])
    used = data(classes)
    built = build(model if form == "classifier" else model.get_booster(), Wanted(data=used))
    made = built.classifier
    inputs = torch.from_numpy(np.asarray(used.inputs))
    assert made.outputs == "logits" and not made.differentiable and made.classes == classes
    np.testing.assert_allclose(made.soft(made.scores(inputs)).numpy(), model.predict_proba(used.inputs), atol=1e-5)
    assert built.class_names == (tuple(map(str, range(classes))) if form == "classifier" else ())


def test_xgboost_counts_the_trees_that_early_stopping_kept(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    rows, labels = SETS[2]
    model = xgboost.XGBClassifier(n_estimators=60, learning_rate=1.0, early_stopping_rounds=3)
    model.fit(rows[:200], labels[:200], eval_set=[(rows[200:], labels[200:])], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    model.save_model(tmp_path / "m.ubj")
    booster = xgboost.Booster(model_file=tmp_path / "m.ubj")
    used = data(2)
    built = build(booster, Wanted(data=used))
    scores = built.classifier.scores(torch.from_numpy(np.asarray(used.inputs)))
    np.testing.assert_allclose(scores.softmax(1).numpy(), model.predict_proba(used.inputs), atol=1e-5)
    assert any("stopped early" in note for note in built.notes)


@pytest.mark.parametrize("classes", SETS)
@pytest.mark.parametrize("form", ["classifier", "booster", "random forest"])
def test_lightgbm(classes: int, form: str) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    rows, labels = SETS[classes]
    forest = {"boosting_type": "rf", "subsample": 0.5, "subsample_freq": 1} if form == "random forest" else {}
    model = lightgbm.LGBMClassifier(n_estimators=4, verbose=-1, **forest).fit(rows, labels)
    booster = lightgbm.Booster(model_str=model.booster_.model_to_string())
    built = build(model if form == "classifier" else booster, Wanted(data=data(classes)))
    scores = built.classifier.scores(torch.from_numpy(rows.astype(np.float32)))
    expected = np.asarray(booster.predict(rows.astype(np.float32)))
    expected = expected if classes > 2 else np.stack([1 - expected, expected], 1)
    np.testing.assert_allclose(scores.softmax(1).numpy(), expected, atol=1e-5)


def test_columns_go_by_name() -> None:
    xgboost = pytest.importorskip("xgboost")
    rows, labels = SETS[3]
    matrix = xgboost.DMatrix(rows, labels, feature_names=["a", "b", "c", "d"])
    booster = xgboost.train({"objective": "multi:softprob", "num_class": 3}, matrix, 3)
    used = Data(rows[:, ::-1].astype(np.float32), labels, "table", features=("d", "c", "b", "a"))
    made = build(booster, Wanted(data=used)).classifier
    scores = made.scores(torch.from_numpy(np.asarray(used.inputs).copy()))
    np.testing.assert_allclose(scores.softmax(1).numpy(), booster.predict(matrix), atol=1e-5)
    with pytest.raises(UsageError, match="lacks 4 of the model's columns, such as 'a'"):
        build(booster, Wanted(data=Data(np.ones((9, 5), np.float32), labels[:9], "table", features=tuple("vwxyz"))))


def test_regressions_are_no_classifiers() -> None:
    xgboost = pytest.importorskip("xgboost")
    lightgbm = pytest.importorskip("lightgbm")
    for model in (xgboost.XGBRegressor(n_estimators=2), lightgbm.LGBMRegressor(n_estimators=2, verbose=-1)):
        model.fit(*SETS[2])
        booster = model.get_booster() if hasattr(model, "get_booster") else model.booster_
        with pytest.raises(UsageError, match="is no classifier"):
            build(booster, Wanted(data=data(2)))
