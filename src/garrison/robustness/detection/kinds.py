"""The kinds of detectors, by name."""

from garrison.robustness.detection.autoencoder import Autoencoder
from garrison.robustness.detection.combination import Combination
from garrison.robustness.detection.detector import Recipe
from garrison.robustness.detection.dimensionality import Dimensionality
from garrison.robustness.detection.distillation import Distillation
from garrison.robustness.detection.energy import Energy
from garrison.robustness.detection.ensemble import Ensemble
from garrison.robustness.detection.mahalanobis import Mahalanobis
from garrison.robustness.detection.neighbours import Neighbours
from garrison.robustness.detection.squeezing import Squeezing

KINDS: dict[str, type[Recipe]] = {
    recipe.kind: recipe
    for recipe in (
        Combination,
        Autoencoder,
        Distillation,
        Neighbours,
        Ensemble,
        Squeezing,
        Mahalanobis,
        Dimensionality,
        Energy,
    )
}
"""The combination first, which is what to take where nothing is known of the attacks."""
LAYERED = frozenset({Neighbours.kind, Mahalanobis.kind, Dimensionality.kind})
"""Kinds that look at layers, which can be named."""
