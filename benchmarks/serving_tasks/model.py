"""Writes the model: `python model.py PATH`."""

import sys

import joblib
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

digits = load_digits()
joblib.dump(LogisticRegression(max_iter=300).fit(digits.data[:1200] / 16, digits.target[:1200]), sys.argv[1])
