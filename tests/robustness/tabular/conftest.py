"""A small world of loans, with every kind of constraint, and models of it."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from garrison.robustness.classifier import Classifier
from garrison.robustness.data import Data
from garrison.robustness.tabular.constraints import Constraints, parse

FEATURES = ("age", "income", "debt", "debt_ratio", "children", "grade", "home=rent", "home=own", "home=none", "region")
LOANS = """
cost_budget = 6.0
rules = ["debt <= 2 * income", "children == 0 or age >= 18"]

[features.age]
minimum = 16
maximum = 90
step = 1
direction = "up"
cost = 0.1

[features.income]
minimum = 10
maximum = 200
cost = 0.05

[features.debt]
minimum = 0
maximum = 100
direction = "down"
cost = 0.05

[features.debt_ratio]
formula = "debt / income"

[features.children]
minimum = 0
maximum = 5
step = 1

[features.grade]
values = [1, 2, 4]
cost_per_change = 2

[groups.home]
features = ["home=none", "home=rent", "home=own"]
direction = "up"
cost_per_change = 1.5

[features.region]
immutable = true
"""
WEIGHTS = np.asarray([0.03, 0.02, -0.03, -1.5, -0.2, -0.5, -0.4, 0.8, -0.6, 0.3])


def loans(count: int = 60, seed: int = 0) -> NDArray[np.float32]:
    """Rows (count, 10) that keep the constraints."""
    random = np.random.default_rng(seed)
    age, income = random.integers(18, 80, count), random.uniform(15, 150, count)
    debt = np.minimum(random.uniform(0, 100, count), 2 * income)
    income, debt = (np.float32(column).astype(np.float64) for column in (income, debt))
    home = np.eye(3)[random.integers(0, 3, count)]
    columns = [age, income, debt, debt / income, random.integers(0, 4, count), random.choice([1, 2, 4], count)]
    return np.column_stack([*columns, home, random.integers(0, 5, count)]).astype(np.float32)


def scores(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logits (n, 2) of a linear model."""
    lead = rows @ WEIGHTS - 0.4
    return np.column_stack([-lead, lead])


def of_torch(weights: NDArray[np.float64], bias: float) -> Classifier:
    """The linear model as a differentiable classifier."""
    matrix = torch.tensor(np.column_stack([-weights, weights]), dtype=torch.float32)
    return Classifier(lambda rows: rows @ matrix + torch.tensor([-bias, bias]), 2)


def loan_table() -> Data:
    """Loans as a model of theirs decides on them."""
    rows = loans()
    region = np.asarray(["north", "south", "east", "west", "isle"])[rows[:, -1].astype(int)]
    labels = scores(rows).argmax(axis=1)
    classes = ("refused", "granted")
    return Data(rows, labels, "table", "loans", classes=classes, features=FEATURES, groups={"region": region})


@pytest.fixture
def loan_data() -> Data:
    return loan_table()


@pytest.fixture
def loan_constraints(loan_data: Data) -> Constraints:
    return Constraints(parse(LOANS), loan_data)
