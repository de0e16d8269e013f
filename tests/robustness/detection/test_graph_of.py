"""Detectors are built around whatever form a model was opened from."""

import io
import warnings

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from garrison.core.errors import UsageError
from garrison.robustness.classifier import Classifier, of_function
from garrison.robustness.data import Data
from garrison.robustness.detection.exporting import exported
from garrison.robustness.detection.features import BEFORE_DENSE, PENULTIMATE, Logits, Tapped, resolved
from garrison.robustness.detection.graph_of import classifier_of
from garrison.robustness.detection.neighbours import Neighbours
from tests.robustness.conftest import Digits


@pytest.fixture
def opened(digits_network: nn.Module) -> Classifier:
    """As a model is opened: a function around the module."""
    return Classifier(lambda inputs: digits_network(inputs), 10, name="digits")


def test_a_module_a_program_and_a_softmax_at_the_end(
    opened: Classifier, digits_network: nn.Module, digits: Digits
) -> None:
    probe = digits.test[:4]
    assert classifier_of(digits_network, opened, probe).outputs == "logits"
    program = torch.export.export(digits_network, (probe,))
    assert torch.allclose(classifier_of(program, opened, probe).scores(probe), opened.scores(probe), atol=1e-5)
    soft = classifier_of(nn.Sequential(digits_network, nn.Softmax(1)), opened, probe)
    assert soft.outputs == "probabilities"
    assert torch.allclose(Logits(soft)(probe).softmax(1), opened.scores(probe).softmax(1), atol=1e-5)


def test_layers_of_an_onnx_model_are_cut_where_those_of_the_module_are(
    opened: Classifier, digits_network: nn.Module, digits: Digits, fitting: Data
) -> None:
    probe = digits.test[:4]
    model = onnx.load(io.BytesIO(exported(digits_network, probe[:2])))
    classifier = classifier_of(model, opened, probe)
    logits = Logits(classifier)
    for name, upto in ((PENULTIMATE, 9), (BEFORE_DENSE, 7)):
        (found,), _ = Tapped(logits, resolved(logits, (name,), probe))(probe)
        assert torch.allclose(found, digits_network[:upto](probe), atol=1e-5)
    ours, theirs = (
        Neighbours().fit(one, fitting).score(probe) for one in (classifier, opened_as_module(digits_network))
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def opened_as_module(module: nn.Module) -> Classifier:
    return Classifier(module, 10)


def test_what_is_no_graph_or_answers_otherwise_is_refused(
    opened: Classifier, digits_network: nn.Module, digits: Digits
) -> None:
    probe = digits.test[:4]
    with pytest.raises(UsageError, match="this is none of them"):
        classifier_of(object(), opened, probe)
    with pytest.raises(UsageError, match="does not take the data"):
        classifier_of(nn.Sequential(digits_network, nn.Tanh()), opened, probe)
    with pytest.raises(UsageError, match="own graph"):
        Logits(of_function(lambda inputs: np.zeros((len(inputs), 10)), 10, outputs="logits"))


def test_a_model_that_takes_vectors_is_given_them(digits: Digits) -> None:
    with warnings.catch_warnings(), torch.random.fork_rng():
        dense = nn.Sequential(nn.Linear(64, 10))
    opened = Classifier(lambda inputs: dense(inputs.flatten(1)), 10)
    found = classifier_of(dense, opened, digits.test[:4])
    assert torch.allclose(found.scores(digits.test[:4]), opened.scores(digits.test[:4]))
