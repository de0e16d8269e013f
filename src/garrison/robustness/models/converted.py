"""Estimators of scikit-learn as torch modules, in float64 as scikit-learn computes, where that is exact.

Each function takes a fitted estimator of one class; what the class computes is in scikit-learn's documentation of it.
Subclasses are not converted: what they override is not known here.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Step = Callable[[Any, Tensor], Tensor]


class Unconverted(Exception):
    """There is no exact torch module of an estimator; the text says of which part."""


class _Numbers(nn.Module):
    """A function of inputs (n, features) with the numbers that were fitted, which go where the module goes."""

    def __init__(self, step: Step, **numbers: Any) -> None:
        super().__init__()
        self._step = step
        for name, value in numbers.items():
            array = np.asarray(value)
            self.register_buffer(name, torch.as_tensor(array.astype(np.float64) if array.dtype.kind == "f" else array))

    def forward(self, inputs: Tensor) -> Tensor:
        return self._step(self, inputs)


Categories = tuple[tuple[str, ...], ...]
"""Of each column, what its numbers stand for; empty for those that are numbers."""


def converted(estimator: Any, categories: Categories = ()) -> nn.Module:
    """A module from inputs (n, features) to logits (n, classes) in float64.

    Through what numbers stand for, `categories`, there are no slopes, and gradients are 0. Raises `Unconverted`.
    """
    return nn.Sequential(_Numbers(lambda _, x: x.double()), *_classifier(estimator, categories))


def _classifier(estimator: Any, categories: Categories) -> list[nn.Module]:
    name = _name(estimator)
    if name == "Pipeline":
        *before, (_, last) = estimator.steps
        return [*_steps(before, categories), *_classifier(last, () if before else categories)]
    if name in ("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV", "HalvingRandomSearchCV"):
        return _classifier(estimator.best_estimator_, categories)
    if any(categories):
        raise Unconverted("categories reach the classifier itself")
    if name not in _CLASSIFIERS:
        raise Unconverted(f"a {name} is not known as a function that has any")
    return [_CLASSIFIERS[name](estimator)]


def _steps(steps: Sequence[tuple[str, Any]], categories: Categories) -> list[nn.Module]:
    """One after the other: the first alone sees the categories."""
    return [_transform(step, () if position else categories) for position, (_, step) in enumerate(steps)]


def _transform(step: Any, categories: Categories) -> nn.Module:
    name = step if isinstance(step, str) else "passthrough" if step is None else _name(step)
    if name == "Pipeline":
        return nn.Sequential(*_steps(step.steps, categories))
    if name in _OF_CATEGORIES:
        return _OF_CATEGORIES[name](step, categories)
    if any(categories):
        raise Unconverted(f"a {name} of categories is not known as a function that has any")
    if name == "passthrough":
        return nn.Identity()
    if name not in _TRANSFORMS:
        raise Unconverted(f"a {name} is not known as a function that has any")
    return _TRANSFORMS[name](step)


def _name(estimator: Any) -> str:
    kind = type(estimator)
    if not kind.__module__.startswith("sklearn."):
        raise Unconverted(f"a {kind.__module__}.{kind.__qualname__} is not known as a function that has any")
    return kind.__name__


# Transformers.


def _affine(shift: Any, scale: Any) -> nn.Module:
    return _Numbers(lambda own, x: (x - own.shift) / own.scale, shift=shift, scale=scale)


def _standard(scaler: Any) -> nn.Module:
    return _affine(
        scaler.mean_ if scaler.with_mean and scaler.mean_ is not None else 0.0,
        scaler.scale_ if scaler.scale_ is not None else 1.0,
    )


def _min_max(scaler: Any) -> nn.Module:
    low, high = scaler.feature_range if scaler.clip else (-torch.inf, torch.inf)
    return _Numbers(lambda own, x: (x * own.scale + own.shift).clamp(low, high), scale=scaler.scale_, shift=scaler.min_)


def _max_abs(scaler: Any) -> nn.Module:
    if getattr(scaler, "clip", False):
        raise Unconverted("a MaxAbsScaler that clips is not known")
    return _affine(0.0, scaler.scale_)


def _robust(scaler: Any) -> nn.Module:
    return _affine(
        scaler.center_ if scaler.center_ is not None else 0.0, scaler.scale_ if scaler.scale_ is not None else 1.0
    )


def _normalizer(step: Any) -> nn.Module:
    orders: dict[str, float] = {"l1": 1, "l2": 2, "max": torch.inf}
    order = orders[step.norm]

    def normalized(_: _Numbers, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, order, dim=1, keepdim=True)
        return x / torch.where(length == 0, torch.ones_like(length), length)

    return _Numbers(normalized)


def _principal(step: Any) -> nn.Module:
    components = step.components_
    mean = step.mean_ if step.mean_ is not None else np.zeros(components.shape[1])
    scale = np.sqrt(step.explained_variance_) if step.whiten else np.ones(len(components))
    scale = np.maximum(scale, np.finfo(scale.dtype).eps)
    return _Numbers(
        lambda own, x: (x - own.mean) @ own.components.T / own.scale, mean=mean, components=components, scale=scale
    )


def _truncated(step: Any) -> nn.Module:
    return _Numbers(lambda own, x: x @ own.components.T, components=step.components_)


def _selected(step: Any) -> nn.Module:
    return _Numbers(lambda own, x: x[:, own.kept], kept=np.flatnonzero(step.get_support()))


def _imputer(step: Any) -> nn.Module:
    if step.add_indicator or not np.isreal(step.statistics_).all() or np.isnan(step.statistics_).any():
        raise Unconverted("a SimpleImputer that adds or drops columns is not known")
    if not (isinstance(step.missing_values, float) and np.isnan(step.missing_values)):
        raise Unconverted("a SimpleImputer of other values than NaN is not known")
    return nn.Identity()  # inputs are finite


def _function(step: Any) -> nn.Module:
    if step.func is not None:
        raise Unconverted("a FunctionTransformer may do anything")
    return nn.Identity()


def _polynomial(step: Any) -> nn.Module:
    return _Numbers(lambda own, x: (x.unsqueeze(1) ** own.powers).prod(2), powers=step.powers_)


def _union(step: Any, categories: Categories) -> nn.Module:
    if step.transformer_weights:
        raise Unconverted("a FeatureUnion with weights is not known")
    return _Beside([(None, _transform(part, categories)) for _, part in step.transformer_list if not _drops(part)])


def _by_columns(step: Any, categories: Categories) -> nn.Module:
    if step.transformer_weights:
        raise Unconverted("a ColumnTransformer with weights is not known")
    names = [str(name) for name in getattr(step, "feature_names_in_", ())]
    everything = np.arange(step.n_features_in_)
    parts: list[tuple[Sequence[int] | None, nn.Module]] = []
    for _, part, written in step.transformers_:
        if _drops(part) or (not isinstance(written, str | slice) and len(written) == 0):
            continue
        chosen = [written] if isinstance(written, str) else written
        if not isinstance(chosen, slice) and len(chosen) and isinstance(chosen[0], str):
            chosen = [names.index(name) for name in chosen]
        if isinstance(chosen, slice) and (isinstance(chosen.start, str) or isinstance(chosen.stop, str)):
            raise Unconverted("a ColumnTransformer by a slice of names is not known")
        positions = everything[chosen].tolist()
        known = tuple(categories[position] for position in positions) if categories else ()
        parts.append((positions, _transform(part, known)))
    return _Beside(parts)


def _one_hot(step: Any, categories: Categories) -> nn.Module:
    if step.min_frequency is not None or step.max_categories is not None:
        raise Unconverted("a OneHotEncoder that joins rare categories is not known")
    dropped = step.drop_idx_ if step.drop_idx_ is not None else [None] * len(step.categories_)
    rows = []
    for place, (own, left_out) in enumerate(zip(step.categories_, dropped, strict=True)):
        ignored = step.handle_unknown == "ignore"
        # The row after the last, of zeros, is of what the encoder does not know.
        table = np.eye(len(own) + 1, len(own))[_among(own, categories, place, "OneHotEncoder", ignored=ignored)]
        rows.append(table if left_out is None else np.delete(table, left_out, 1))
    return _looked_up(rows)


def _ordinal(step: Any, categories: Categories) -> nn.Module:
    return _looked_up(
        [
            np.asarray(_among(own, categories, place, "OrdinalEncoder"), dtype=np.float64)[:, None]
            for place, own in enumerate(step.categories_)
        ]
    )


def _among(own: Any, categories: Categories, place: int, name: str, *, ignored: bool = False) -> list[int]:
    """Of each category of the data in a column, its position among the encoder's own; where the encoder has not all of
    them and that is `ignored`, the position after its last.
    """
    if not categories or not categories[place]:
        raise Unconverted(f"a {name} of numbers is not known as a function that has any")
    known = [str(value) for value in own]
    positions = {value: position for position, value in enumerate(known)}
    if not ignored and (missing := [value for value in categories[place] if value not in positions]):
        raise Unconverted(f"a {name} does not know the category {missing[0]!r}")
    return [positions.get(value, len(known)) for value in categories[place]]


def _looked_up(tables: list[Any]) -> nn.Module:
    """Of each column, the row of its table that its number is nearest to, side by side."""

    def forward(own: Any, x: Tensor) -> Tensor:
        found = []
        for place in range(len(tables)):
            table = getattr(own, f"table{place}")
            found.append(table[x[:, place].detach().round().clamp(0, len(table) - 1).long()])
        # Of the inputs nothing is left to have a slope; a graph that ends here still needs one to be differentiated.
        return torch.cat(found, 1) + 0 * x.sum(1, keepdim=True)

    return _Numbers(forward, **{f"table{place}": table for place, table in enumerate(tables)})


def _drops(part: Any) -> bool:
    return isinstance(part, str) and part == "drop"


class _Beside(nn.Module):
    """Several transformers of the same inputs, each of its columns, with their results side by side."""

    def __init__(self, parts: Sequence[tuple[Sequence[int] | None, nn.Module]]) -> None:
        super().__init__()
        self._chosen = [chosen for chosen, _ in parts]
        self.parts = nn.ModuleList(part for _, part in parts)

    def forward(self, inputs: Tensor) -> Tensor:
        pairs = zip(self._chosen, self.parts, strict=True)
        return torch.cat([part(inputs if chosen is None else inputs[:, chosen]) for chosen, part in pairs], 1)


# Classifiers: logits, of which softmax makes the original's probabilities where it has any.


def _two(decision: Tensor) -> Tensor:
    """Logits (n, 2) of a decision function (n, 1), whose sign decides; several columns as they are."""
    return decision if decision.shape[1] > 1 else torch.cat([torch.zeros_like(decision), decision], 1)


def _linear(estimator: Any, after: Callable[[Tensor], Tensor] = _two) -> nn.Module:
    coefficients = np.atleast_2d(estimator.coef_)
    intercept = np.broadcast_to(np.atleast_1d(estimator.intercept_), len(coefficients)).copy()
    return _Numbers(lambda own, x: after(x @ own.weight.T + own.bias), weight=coefficients, bias=intercept)


def _one_against_rest(decision: Tensor) -> Tensor:
    """Softmax of these is sigmoids scaled to one, as in scikit-learn's one-vs-rest."""
    return nn.functional.logsigmoid(decision) if decision.shape[1] > 1 else _two(decision)


def _logistic(estimator: Any) -> nn.Module:
    kind = getattr(estimator, "multi_class", "auto")
    if kind == "ovr" or estimator.solver == "liblinear":
        return _linear(estimator, _one_against_rest)
    if kind == "multinomial" and len(estimator.classes_) == 2:
        return _linear(estimator, lambda decision: torch.cat([-decision, decision], 1))
    return _linear(estimator)


def _sgd(estimator: Any) -> nn.Module:
    return _linear(estimator, _one_against_rest if estimator.loss == "log_loss" else _two)


def _ridge(estimator: Any) -> nn.Module:
    if np.ndim(estimator.classes_[0]):
        raise Unconverted("a RidgeClassifier of several labels is not known")
    return _linear(estimator)


def _perceptrons(estimator: Any) -> nn.Module:
    hidden: dict[str, Callable[[Tensor], Tensor]] = {
        "identity": lambda x: x,
        "logistic": torch.sigmoid,
        "tanh": torch.tanh,
        "relu": torch.relu,
    }
    if estimator.out_activation_ == "logistic" and estimator.n_outputs_ > 1:
        raise Unconverted("an MLPClassifier of several labels is not known")
    activation, depth = hidden[estimator.activation], len(estimator.coefs_)

    def forward(own: _Numbers, x: Tensor) -> Tensor:
        for layer in range(depth):
            x = x @ getattr(own, f"weight{layer}") + getattr(own, f"bias{layer}")
            if layer < depth - 1:
                x = activation(x)
        return _two(x)

    weights = {f"weight{layer}": value for layer, value in enumerate(estimator.coefs_)}
    return _Numbers(forward, **weights, **{f"bias{i}": value for i, value in enumerate(estimator.intercepts_)})


def _naive_bayes(estimator: Any) -> nn.Module:
    """Joint log-likelihoods, up to what all classes share."""

    def forward(own: Any, x: Tensor) -> Tensor:
        squares = (x.unsqueeze(1) - own.mean) ** 2 / own.variance
        logits: Tensor = own.prior - 0.5 * (squares.sum(2) + own.variance.log().sum(1))
        return logits

    return _Numbers(forward, mean=estimator.theta_, variance=estimator.var_, prior=np.log(estimator.class_prior_))


def _support_vectors(estimator: Any) -> nn.Module:
    """Two classes: of more, votes decide, which have no gradients."""
    if len(estimator.classes_) != 2:
        raise Unconverted(f"in a {type(estimator).__name__} of more than two classes votes decide")
    if not isinstance(estimator.kernel, str) or estimator.kernel == "precomputed":
        raise Unconverted(f"a {type(estimator).__name__} with a kernel of its own is not known")
    gamma, degree, offset = estimator._gamma, estimator.degree, estimator.coef0

    def rbf(x: Tensor, vectors: Tensor) -> Tensor:
        distances = (x**2).sum(1, keepdim=True) + (vectors**2).sum(1) - 2 * x @ vectors.T
        return torch.exp(-gamma * distances)

    kernels: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "linear": lambda x, vectors: x @ vectors.T,
        "poly": lambda x, vectors: (gamma * x @ vectors.T + offset) ** degree,
        "sigmoid": lambda x, vectors: torch.tanh(gamma * x @ vectors.T + offset),
        "rbf": rbf,
    }
    kernel = kernels[estimator.kernel]
    vectors = estimator.support_vectors_
    return _Numbers(
        lambda own, x: _two(kernel(x, own.vectors) @ own.weight.T + own.bias),
        vectors=vectors.toarray() if hasattr(vectors, "toarray") else vectors,
        weight=estimator.dual_coef_.toarray() if hasattr(estimator.dual_coef_, "toarray") else estimator.dual_coef_,
        bias=estimator.intercept_,
    )


_TRANSFORMS: dict[str, Callable[[Any], nn.Module]] = {
    "FunctionTransformer": _function,
    "MaxAbsScaler": _max_abs,
    "MinMaxScaler": _min_max,
    "Normalizer": _normalizer,
    "PCA": _principal,
    "PolynomialFeatures": _polynomial,
    "RobustScaler": _robust,
    "SelectFromModel": _selected,
    "SelectKBest": _selected,
    "SelectPercentile": _selected,
    "SimpleImputer": _imputer,
    "StandardScaler": _standard,
    "TruncatedSVD": _truncated,
    "VarianceThreshold": _selected,
}

_OF_CATEGORIES: dict[str, Callable[[Any, Categories], nn.Module]] = {
    "ColumnTransformer": _by_columns,
    "FeatureUnion": _union,
    "OneHotEncoder": _one_hot,
    "OrdinalEncoder": _ordinal,
}

_CLASSIFIERS: dict[str, Callable[[Any], nn.Module]] = {
    "GaussianNB": _naive_bayes,
    "LinearDiscriminantAnalysis": _linear,
    "LinearSVC": _linear,
    "LogisticRegression": _logistic,
    "LogisticRegressionCV": _logistic,
    "MLPClassifier": _perceptrons,
    "NuSVC": _support_vectors,
    "PassiveAggressiveClassifier": _linear,
    "Perceptron": _linear,
    "RidgeClassifier": _ridge,
    "RidgeClassifierCV": _ridge,
    "SGDClassifier": _sgd,
    "SVC": _support_vectors,
}
