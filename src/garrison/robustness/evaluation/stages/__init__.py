"""The parts of a measurement, one a module, in the order in which they are done."""

from garrison.robustness.evaluation.stages import (
    attributes,
    backdoor,
    corruptions,
    costs,
    detection,
    doubts,
    evasion,
    extraction,
    inversion,
    membership,
    tables,
)
from garrison.robustness.evaluation.stages.stage import Stage

SHARE_OF_ACCURACY = 0.02

STAGES: tuple[Stage, ...] = (
    Stage("doubts of the model", "evasion", 0.03, doubts.of_model_apply, doubts.of_model, doubts=True),
    Stage("evasion", "evasion", 0.40, evasion.applies, evasion.run),
    Stage("evasion within constraints", "evasion", 0.10, tables.applies, tables.run),
    Stage("doubts of the attacks", "evasion", 0.05, doubts.of_attacks_apply, doubts.of_attacks, doubts=True),
    Stage("attacks without gradients", "queries", 0.10, costs.applies, costs.run),
    Stage("detectors", "detection", 0.05, detection.applies, detection.run),
    Stage("corruptions", "corruptions", 0.05, corruptions.applies, corruptions.run),
    Stage("backdoor", "backdoor", 0.10, backdoor.applies, backdoor.run),
    Stage("membership inference", "membership", 0.05, membership.applies, membership.run),
    Stage("attribute inference", "membership", 0.01, attributes.applies, attributes.run),
    Stage("extraction", "extraction", 0.03, extraction.applies, extraction.run),
    Stage("inversion", "inversion", 0.01, inversion.applies, inversion.run),
)
