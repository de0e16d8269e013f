"""Tables reach a pipeline as what it was fitted on: its columns, in its order, with categories as categories."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from garrison.core.errors import UsageError
from garrison.robustness.data import Data
from garrison.robustness.models.building import build
from garrison.robustness.models.built import Wanted

pandas = pytest.importorskip("pandas")

AGE = np.array([20.0, 30, 40, 50, 60, 70] * 5)
SEX = np.array(["Female", "Male"] * 15)
LABELS = ((AGE > 40) ^ (SEX == "Male")).astype(np.int64)
FRAME = pandas.DataFrame({"age": AGE, "sex": SEX})


def pipeline(last: Any) -> Any:
    encoder = ColumnTransformer([("n", StandardScaler(), ["age"]), ("c", OneHotEncoder(), ["sex"])])
    return make_pipeline(encoder, last).fit(FRAME, LABELS)


def data(order: tuple[str, ...] = ("age", "sex")) -> Data:
    columns = {"age": AGE, "sex": (SEX == "Male").astype(float), "more": AGE * 0}
    inputs = np.stack([columns[name] for name in order], 1).astype(np.float32)
    return Data(inputs, LABELS, "table", features=order, categories={"sex": ("Female", "Male")})


@pytest.mark.parametrize("order", [("age", "sex"), ("sex", "age"), ("more", "sex", "age")])
def test_categories_and_columns(order: tuple[str, ...]) -> None:
    estimator = pipeline(RandomForestClassifier(5, random_state=0))
    used = data(order)
    built = build(estimator, Wanted(data=used))
    decided = built.classifier.labels(torch.from_numpy(np.asarray(used.inputs)))
    assert decided.tolist() == estimator.predict(FRAME).tolist()


ENCODERS = {
    "one-hot": OneHotEncoder(),
    "one-hot without the first": OneHotEncoder(drop="first"),
    "one-hot without one of two": OneHotEncoder(drop="if_binary", handle_unknown="ignore"),
    "one-hot in another order": OneHotEncoder(categories=[["Male", "Other", "Female"]]),
    "ordinal": OrdinalEncoder(),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_numbers_beside_categories_have_gradients(name: str) -> None:
    encoder = ColumnTransformer([("n", StandardScaler(), ["age"]), ("c", ENCODERS[name], ["sex"])])
    # Of labels that are balanced over the ages, a linear model may learn a slope of exactly zero.
    estimator = make_pipeline(encoder, LogisticRegression()).fit(FRAME, (AGE > 40).astype(np.int64))
    used = data(("sex", "age"))
    built = build(estimator, Wanted(data=used))
    made = built.classifier
    assert made.differentiable, built.notes
    inputs = torch.from_numpy(np.asarray(used.inputs).copy())
    np.testing.assert_allclose(made.scores(inputs).softmax(1).numpy(), estimator.predict_proba(FRAME), atol=1e-5)
    inputs.requires_grad_()
    (gradient,) = torch.autograd.grad(made(inputs)[:, 1].sum(), inputs)
    assert bool((gradient[:, 1] != 0).all()) and not gradient[:, 0].any()


def test_a_category_that_is_ignored_has_no_column() -> None:
    encoder = ColumnTransformer([("c", OneHotEncoder(handle_unknown="ignore"), ["sex"])], remainder="passthrough")
    estimator = make_pipeline(encoder, LogisticRegression(max_iter=1000)).fit(FRAME, LABELS)
    inputs = np.array([[20, 0], [30, 1], [40, 2]], np.float32)
    used = Data(inputs, LABELS[:3], "table", features=("age", "sex"), categories={"sex": ("Female", "Other", "Male")})
    built = build(estimator, Wanted(data=used))
    assert built.classifier.differentiable, built.notes
    frame = pandas.DataFrame({"age": inputs[:, 0], "sex": ["Female", "Other", "Male"]})
    soft = built.classifier.scores(torch.from_numpy(inputs)).softmax(1).numpy()
    np.testing.assert_allclose(soft, estimator.predict_proba(frame), atol=1e-5)


def test_a_category_that_the_encoder_does_not_know_leaves_it_a_black_box() -> None:
    unknown = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encoder = ColumnTransformer([("c", unknown, ["sex"])], remainder="passthrough")
    estimator = make_pipeline(encoder, LogisticRegression(max_iter=1000)).fit(FRAME, LABELS)
    inputs = np.array([[20, 0], [30, 1], [40, 2]], np.float32)
    used = Data(inputs, LABELS[:3], "table", features=("age", "sex"), categories={"sex": ("Female", "Male", "Other")})
    built = build(estimator, Wanted(data=used))
    assert not built.classifier.differentiable and any("'Other'" in note for note in built.notes)
    frame = pandas.DataFrame({"age": inputs[:, 0], "sex": ["Female", "Male", "Other"]})
    assert built.classifier.labels(torch.from_numpy(inputs)).tolist() == estimator.predict(frame).tolist()


def test_numbers_between_categories_are_the_nearest() -> None:
    estimator = pipeline(RandomForestClassifier(5, random_state=0))
    made = build(estimator, Wanted(data=data())).classifier
    near = made.scores(torch.tensor([[30, 0.4], [30, 0.6], [30, -3], [30, 9]]))
    exact = made.scores(torch.tensor([[30.0, 0], [30, 1], [30, 0], [30, 1]]))
    assert torch.equal(near, exact)


def test_named_columns_of_numbers_keep_their_gradients() -> None:
    estimator = make_pipeline(
        ColumnTransformer([("n", StandardScaler(), ["more", "age"])], remainder="passthrough"), LogisticRegression()
    ).fit(pandas.DataFrame({"age": AGE, "more": AGE**2, "x": AGE % 7}), LABELS)
    columns = {"x": AGE % 7, "age": AGE, "more": AGE**2}
    used = Data(np.stack(list(columns.values()), 1).astype(np.float32), LABELS, "table", features=tuple(columns))
    built = build(estimator, Wanted(data=used))
    assert built.classifier.differentiable, built.notes
    expected = estimator.predict_proba(pandas.DataFrame(columns)[["age", "more", "x"]])
    scores = built.classifier.scores(torch.from_numpy(np.asarray(used.inputs)))
    np.testing.assert_allclose(scores.softmax(1).numpy(), expected, atol=1e-4)


def test_a_pipeline_of_numbers_gets_categories_as_numbers() -> None:
    codes = pandas.DataFrame({"age": AGE, "sex": (SEX == "Male").astype(float)})
    estimator = make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)).fit(codes, LABELS)
    built = build(estimator, Wanted(data=data()))
    assert any("categories as numbers" in note for note in built.notes)
    decided = built.classifier.labels(torch.from_numpy(np.asarray(data().inputs)))
    assert decided.tolist() == estimator.predict(codes).tolist()


def test_a_column_that_is_missing_is_named() -> None:
    used = data(("age", "more", "sex"))
    lacking = Data(used.inputs, LABELS, "table", features=("age", "more", "gender"))
    with pytest.raises(UsageError, match="lacks 1 of the model's columns, such as 'sex'"):
        build(pipeline(LogisticRegression()), Wanted(data=lacking))


def test_other_names_go_by_position_and_say_so() -> None:
    estimator = LogisticRegression().fit(pandas.DataFrame({"a": AGE, "b": AGE % 7}), LABELS)
    used = Data(np.stack([AGE, AGE % 7], 1).astype(np.float32), LABELS, "table", features=("f0", "f1"))
    built = build(estimator, Wanted(data=used))
    assert any("by position" in note for note in built.notes)
