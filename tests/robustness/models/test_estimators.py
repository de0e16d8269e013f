"""Estimators of scikit-learn: the torch module decides as the original does, and says where there is none."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    Perceptron,
    RidgeClassifier,
    SGDClassifier,
)
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC

from garrison.core.errors import UsageError
from garrison.robustness.data import Data
from garrison.robustness.models.building import build
from garrison.robustness.models.built import Wanted

TWO: tuple[Any, Any] = load_breast_cancer(return_X_y=True)
THREE: tuple[Any, Any] = load_iris(return_X_y=True)


def data(found: tuple[Any, Any]) -> Data:
    return Data(found[0][::3].astype(np.float32), found[1][::3].astype(np.int64), "table")


CLASSIFIERS: dict[str, Any] = {
    "logistic regression": LogisticRegression(),
    "logistic regression by liblinear": OneVsRestClassifier(LogisticRegression(solver="liblinear")),
    "linear SVM": LinearSVC(),
    "SGD of hinge loss": SGDClassifier(random_state=0),
    "SGD of log loss": SGDClassifier(loss="log_loss", random_state=0),
    "ridge": RidgeClassifier(),
    "perceptron": Perceptron(),
    "LDA": LinearDiscriminantAnalysis(),
    "naive Bayes": GaussianNB(),
    "MLP of ReLU": MLPClassifier((8,), random_state=0, max_iter=40),
    "MLP of tanh": MLPClassifier((6, 5), activation="tanh", random_state=0, max_iter=40),
    "MLP of sigmoids": MLPClassifier((6,), activation="logistic", random_state=0, max_iter=40),
}


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("found", [TWO, THREE], ids=["two classes", "three classes"])
def test_a_classifier_and_its_module_agree(name: str, found: tuple[Any, Any]) -> None:
    if name == "logistic regression by liblinear":
        if found is THREE:
            pytest.skip("liblinear separates two classes")
        CLASSIFIERS[name] = LogisticRegression(solver="liblinear")
    estimator = make_pipeline(StandardScaler(), CLASSIFIERS[name]).fit(*found)
    used = data(found)
    built = build(estimator, Wanted(data=used))
    made = built.classifier
    inputs = torch.from_numpy(np.asarray(used.inputs))
    assert made.differentiable and made.outputs == "logits", built.notes
    assert made.labels(inputs).tolist() == estimator.predict(used.inputs).tolist()
    if hasattr(estimator, "predict_proba"):
        soft = made.soft(made.scores(inputs)).numpy()
        np.testing.assert_allclose(soft, estimator.predict_proba(used.inputs), atol=1e-4)
    _gradients_are_slopes(made, inputs[:5])


def _gradients_are_slopes(made: Any, inputs: torch.Tensor) -> None:
    inputs = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(made(inputs)[:, 1].sum(), inputs)
    step = 1e-2 * inputs.detach().std(0, correction=0).clamp(min=1e-3)
    for feature in range(3):
        moved = torch.zeros_like(inputs)
        moved[:, feature] = step[feature]
        slope = (made.scores(inputs + moved) - made.scores(inputs - moved))[:, 1] / (2 * step[feature])
        torch.testing.assert_close(gradient[:, feature], slope, rtol=0.05, atol=5e-2)


BEFORE: dict[str, Any] = {
    "min-max": MinMaxScaler(),
    "min-max with a clip": MinMaxScaler((-1, 1), clip=True),
    "max-abs": MaxAbsScaler(),
    "robust": RobustScaler(),
    "l1 norm": Normalizer("l1"),
    "l2 norm": Normalizer(),
    "max norm": Normalizer("max"),
    "PCA": PCA(3),
    "whitened PCA": PCA(2, whiten=True),
    "truncated SVD": TruncatedSVD(2, random_state=0),
    "k best": SelectKBest(k=2),
    "imputer": SimpleImputer(),
    "polynomials": make_pipeline(StandardScaler(), PolynomialFeatures(2)),
    "identity": FunctionTransformer(),
    "union": FeatureUnion([("a", StandardScaler()), ("b", PCA(1)), ("c", "drop")]),
    "columns": ColumnTransformer(
        [("a", StandardScaler(), [2, 0]), ("b", MinMaxScaler(), slice(1, 2))], remainder="drop"
    ),
    "columns with the rest": ColumnTransformer([("a", StandardScaler(), [1])], remainder="passthrough"),
}


@pytest.mark.parametrize("name", BEFORE)
def test_what_stands_before_a_classifier_is_part_of_the_module(name: str) -> None:
    estimator = make_pipeline(BEFORE[name], LogisticRegression(max_iter=2000)).fit(*THREE)
    used = data(THREE)
    built = build(estimator, Wanted(data=used))
    assert built.classifier.differentiable, built.notes
    inputs = torch.from_numpy(np.asarray(used.inputs))
    soft = built.classifier.soft(built.classifier.scores(inputs)).numpy()
    np.testing.assert_allclose(soft, estimator.predict_proba(used.inputs), atol=1e-4)


@pytest.mark.parametrize("kernel", ["linear", "poly", "rbf", "sigmoid"])
def test_support_vectors_of_two_classes(kernel: Any) -> None:
    estimator = make_pipeline(StandardScaler(), SVC(kernel=kernel)).fit(*TWO)
    used = data(TWO)
    made = build(estimator, Wanted(data=used)).classifier
    inputs = torch.from_numpy(np.asarray(used.inputs))
    assert made.differentiable
    scores = made.scores(inputs)
    np.testing.assert_allclose(
        (scores[:, 1] - scores[:, 0]).numpy(), estimator.decision_function(used.inputs), atol=1e-3
    )


BLACK_BOXES: dict[str, tuple[Any, str, str]] = {
    "forest": (RandomForestClassifier(5, random_state=0), "probabilities", "RandomForestClassifier"),
    "neighbours": (KNeighborsClassifier(), "probabilities", "KNeighborsClassifier"),
    "votes": (SVC(), "logits", "votes"),
    "calibrated": (CalibratedClassifierCV(LinearSVC()), "probabilities", "CalibratedClassifierCV"),
    "behind quantiles": (
        make_pipeline(QuantileTransformer(n_quantiles=10), LogisticRegression()),
        "probabilities",
        "QuantileTransf",
    ),
}


@pytest.mark.parametrize("name", BLACK_BOXES)
def test_what_has_no_module_is_a_black_box_that_says_why(name: str) -> None:
    estimator, outputs, reason = BLACK_BOXES[name]
    estimator.fit(*THREE)
    used = data(THREE)
    built = build(estimator, Wanted(data=used))
    assert not built.classifier.differentiable and built.classifier.outputs == outputs
    assert any(reason in note and "no gradients" in note for note in built.notes)
    inputs = torch.from_numpy(np.asarray(used.inputs))
    assert built.classifier.labels(inputs).tolist() == estimator.predict(used.inputs).tolist()


def test_a_search_is_its_best_estimator() -> None:
    search = GridSearchCV(LogisticRegression(max_iter=1000), {"C": [0.1, 1]}, cv=2).fit(*THREE)
    assert build(search, Wanted(data=data(THREE))).classifier.differentiable


def test_classes_have_the_names_of_the_model() -> None:
    names = np.array(["setosa", "versicolor", "virginica"])[THREE[1]]
    estimator = LogisticRegression(max_iter=1000).fit(THREE[0], names)
    built = build(estimator, Wanted(data=data(THREE)))
    assert built.class_names == ("setosa", "versicolor", "virginica")
    assert built.classifier.differentiable


def test_without_data_it_is_compared_on_random_inputs() -> None:
    built = build(LogisticRegression(max_iter=1000).fit(*THREE), Wanted())
    assert built.classifier.differentiable and built.classifier.classes == 3


def test_a_method_that_was_replaced_is_noticed() -> None:
    """The module of what it was fitted to is not what it does."""
    estimator = LogisticRegression(max_iter=1000).fit(*THREE)
    estimator.predict_proba = lambda rows: np.eye(3)[np.zeros(len(rows), int)]
    estimator.predict = lambda rows: np.zeros(len(rows), int)
    built = build(estimator, Wanted(data=data(THREE)))
    assert not built.classifier.differentiable
    assert any("otherwise" in note for note in built.notes)


def test_what_was_fitted_by_another_version_is_a_black_box() -> None:
    estimator = GaussianNB().fit(*THREE)
    estimator.predict_proba = lambda rows: np.full((len(rows), 3), 1 / 3) + np.array([0.1, 0, -0.1])
    estimator.predict = lambda rows: np.zeros(len(rows), int)
    del estimator.var_
    built = build(estimator, Wanted(data=data(THREE)))
    assert not built.classifier.differentiable
    assert any("fails" in note and "var_" in note for note in built.notes)


def test_scores_that_contradict_decisions_are_not_shown() -> None:
    estimator = RandomForestClassifier(5, random_state=0).fit(*THREE)
    estimator.predict = lambda rows: np.full(len(rows), 2)
    built = build(estimator, Wanted(data=data(THREE)))
    assert built.classifier.outputs == "labels"
    assert any("contradict" in note for note in built.notes)


def test_images_are_flattened() -> None:
    images = np.random.default_rng(0).random((30, 1, 2, 2), np.float32)
    labels = np.arange(30) % 2
    estimator = LogisticRegression().fit(images.reshape(30, 4), labels)
    made = build(estimator, Wanted(data=Data(images, labels, "image"))).classifier
    assert made.labels(torch.from_numpy(images)).tolist() == estimator.predict(images.reshape(30, 4)).tolist()


BAD: dict[str, tuple[Any, str]] = {
    "a regression": (LinearRegression().fit(*THREE), "no classifier"),
    "not fitted": (LogisticRegression(), "not fitted"),
    "anomalies": (IsolationForest(n_estimators=5).fit(THREE[0]), "no classifier"),
    "several labels": (KNeighborsClassifier().fit(THREE[0], np.stack([THREE[1], THREE[1]], 1)), "several labels"),
    "other features": (GaussianNB().fit(*TWO), "takes 30 features, and the data has 4"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_classifier_is_said_in_one_line(case: str) -> None:
    estimator, message = BAD[case]
    with pytest.raises(UsageError, match=message) as caught:
        build(estimator, Wanted(data=data(THREE)))
    assert "\n" not in str(caught.value)
