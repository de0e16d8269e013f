"""The parts of a measurement, one a module, in the order in which they are done."""

from garrison.robustness.evaluation.stages import (
    costs,
    doubts,
    evasion,
    membership,
    tables,
)
from garrison.robustness.evaluation.stages.stage import Stage

SHARE_OF_ACCURACY = 0.02

STAGES: tuple[Stage, ...] = (
    Stage("evasion", "evasion", 0.45, evasion.applies, evasion.run),
    Stage("evasion within constraints", "evasion", 0.10, tables.applies, tables.run),
    Stage("doubts of the attacks", "evasion", 0.05, doubts.of_attacks_apply, doubts.of_attacks),
    Stage("attacks without gradients", "queries", 0.10, costs.applies, costs.run),
    Stage("membership inference", "membership", 0.05, membership.applies, membership.run),
)
