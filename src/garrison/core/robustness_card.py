"""The robustness card: what was measured of a model under attack, and how far the measurement can be trusted."""

import datetime
import math
from typing import Annotated, Literal

import msgspec

from garrison.core.report import Tool

CARD_VERSION = "1.0"
"""Of the JSON card: the minor number grows with additions, the major with anything that could break a reader."""

Norm = Literal["linf", "l2", "l1", "l0"]
Access = Literal["gradients", "scores", "labels"]
"""What an attacker has: the model itself, its scores, or nothing but its decisions."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the card."""


class Rate(Part, frozen=True, kw_only=True):
    """A share with its 95 % confidence interval (Wilson's)."""

    count: int
    of: int
    value: float
    low: float
    high: float


class Estimate(Part, frozen=True, kw_only=True):
    """A number with its 95 % confidence interval, where it has one."""

    value: float
    low: float | None = None
    high: float | None = None


class Budget(Part, frozen=True, kw_only=True):
    """How far an attacker may move an input."""

    norm: Norm
    epsilon: float
    """In the units of the inputs."""

    def __str__(self) -> str:
        return f"{self.norm}:{self.epsilon:.6g}"


class Point(Part, frozen=True, kw_only=True):
    x: float
    y: float
    low: float | None = None
    high: float | None = None


class Curve(Part, frozen=True, kw_only=True):
    """How one number goes with another."""

    name: str
    x: str
    """What the horizontal axis is, with its unit."""
    y: str
    points: tuple[Point, ...]


class Check(Part, frozen=True, kw_only=True):
    """One way in which the measurement may deceive, and whether it does."""

    name: str
    """`zero-gradients`, `randomness`, `black-box-stronger`, ..."""
    verdict: Literal["passed", "failed", "unknown"]
    seen: str
    """What was seen, with its figures."""
    advice: str = ""
    """What to do about it; empty where it passed."""


class Model(Part, frozen=True, kw_only=True):
    """What was attacked."""

    name: str
    """The path or the address, as given."""
    format: str
    sha256: str = ""
    """Of the file, in hexadecimal; empty for endpoints and directories."""
    classes: int
    access: Access
    """The most that attacks had of it."""
    outputs: Literal["logits", "probabilities", "labels"]
    parameters: int | None = None


class Dataset(Part, frozen=True, kw_only=True):
    """What it was attacked with."""

    name: str
    kind: Literal["image", "table", "text"]
    sha256: str = ""
    count: int
    """Inputs in the data."""
    used: int
    """Inputs that the accuracy was measured on."""
    shape: tuple[int, ...] = ()
    """Of one input."""
    low: float | None = None
    high: float | None = None
    """The range that inputs stay in."""


class AttackResult(Part, frozen=True, kw_only=True):
    """One attack under one budget. Attacks run one after the other, each on what the earlier ones left robust."""

    attack: str
    access: Access
    budget: Budget | None
    """Absent for attacks that no norm bounds, such as words and constrained tables."""
    success: Rate
    """Found, of the inputs that it was tried on."""
    robust_accuracy: Rate
    """After this attack and all before it; an upper bound of the true one."""
    median_queries: float | None = None
    """Forward passes for one input until it was found, over those that were; absent where none was."""
    queries: int
    """Forward passes in all; of attacks that answer several budgets at once, for all of them."""
    gradients: int
    """Backward passes in all."""
    median_distance: float | None = None
    """In the budget's norm, over those that were found."""
    seconds: float
    seed: int
    settings: dict[str, bool | int | float | str] = {}
    incomplete: str = ""
    """Why it did not see all inputs, such as a budget of queries that was spent."""


class Evasion(Part, frozen=True, kw_only=True):
    """All attacks under one budget, together: an input counts as robust if every attack failed on it."""

    budget: Budget | None
    robust_accuracy: Rate
    """An upper bound: another attack may find more, none can find less."""
    worst_attack: str
    attacks: tuple[AttackResult, ...]


class Slice(Part, frozen=True, kw_only=True):
    """A part of the data on its own."""

    name: str
    """`class 6`, `sex = Female`."""
    clean: Rate
    robust: Rate | None = None


class Picture(Part, frozen=True, kw_only=True):
    """One input before and after; images are PNG files in base64, other inputs are text."""

    attack: str
    budget: str
    label: str
    before: str
    """The prediction with its confidence."""
    after: str
    original: str
    perturbation: str
    adversarial: str
    media: Literal["image/png", "text/plain"]


class Corruption(Part, frozen=True, kw_only=True):
    """Accuracy under one kind of damage that no attacker is needed for."""

    name: str
    severity: int
    """1 to 5."""
    accuracy: Rate


class Inference(Part, frozen=True, kw_only=True):
    """How well an attacker tells members of the training set from others, or a hidden attribute."""

    attack: str
    target: str
    """`membership`, or the attribute."""
    auc: Estimate | None = None
    true_positives: dict[str, Estimate] = {}
    """True-positive rate at a false-positive rate, such as `0.001`."""
    accuracy: Rate | None = None
    baseline: float | None = None
    """What guessing without the model gets, in the terms of `accuracy` if there is one, else of `auc`."""
    advantage: Estimate | None = None
    """`accuracy` over that of guessing without the model, on the same examples."""
    samples: int
    shadows: int = 0
    seconds: float
    checks: tuple[Check, ...] = ()


class Extraction(Part, frozen=True, kw_only=True):
    """How well a copy agrees with the model after so many queries."""

    strategy: str
    defence: str
    """What stood before the answers: `none`, `rounding 1 digit`, ..."""
    queries: int
    fidelity: Rate
    """Inputs on which copy and model agree."""
    accuracy: Rate
    """Inputs on which the copy is right."""
    served_accuracy: Rate | None = None
    """Of what users get behind the defence."""
    served_calibration_error: float | None = None
    """Expected difference of confidence and accuracy of what users get behind the defence."""


class Inversion(Part, frozen=True, kw_only=True):
    """What the model gives away of how a class looks."""

    label: str
    confidence: float
    """Of the model in what was reconstructed."""
    similarity: float
    """Correlation with the class's mean in the data."""
    baseline: float
    """The same for an average of all classes."""
    image: str = ""
    """PNG in base64."""


class Trigger(Part, frozen=True, kw_only=True):
    """The smallest change found that sends everything to one class (Wang et al. 2019, Neural Cleanse)."""

    label: str
    size: float
    """L1 norm of the mask."""
    success: float
    """Share of inputs of other classes that it sends there."""
    anomaly_index: float
    """Deviations of the median from the median size, in robust standard deviations, positive for smaller ones."""
    suspected: bool
    image: str = ""
    """PNG in base64."""


class Detection(Part, frozen=True, kw_only=True):
    """How a detector of inputs does against one attack."""

    detector: str
    attack: str
    adaptive: bool
    """Whether the attack knew of the detector."""
    auroc: Estimate
    true_positives: dict[str, Estimate]
    """At false-positive rates such as `0.01`."""
    evades_both: Rate | None = None
    """Share of inputs that are misclassified and not detected at the calibrated threshold."""
    microseconds: float
    """For one input, in a batch of one."""
    samples: int


class Advice(Part, frozen=True, kw_only=True):
    """What to do next, the most urgent first."""

    what: str
    why: str
    how: str = ""
    """A command or a call, or a page of the documentation."""


class Omitted(Part, frozen=True, kw_only=True):
    """What was not measured."""

    what: str
    why: str


class Card(Part, frozen=True, kw_only=True):
    """What was measured of a model under attack. A part that is empty was not measured; `omitted` says why."""

    card_version: Annotated[str, msgspec.Meta(pattern=r"^1\.")]
    """`1.0`."""
    tool: Tool
    """What measured it."""
    started: datetime.datetime
    """UTC."""
    seconds: float
    """How long it took."""
    command: tuple[str, ...] = ()
    """What was run, to run it again."""
    seed: int
    """The same seed, model and data give the same card."""
    complete: bool
    """Whether the measurement came to its end. What was left out on the way, `omitted` says."""
    model: Model
    data: Dataset
    clean_accuracy: Rate
    """Without an attack."""
    evasion: tuple[Evasion, ...] = ()
    """In the order in which the budgets were asked for."""
    costs: tuple[AttackResult, ...] = ()
    """Attacks without gradients, each on its own: what the model costs somebody who can only ask it."""
    curves: tuple[Curve, ...] = ()
    """Over epsilon, over queries, of copies."""
    slices: tuple[Slice, ...] = ()
    """The worst first."""
    pictures: tuple[Picture, ...] = ()
    """Inputs before and after, under the first budget."""
    corruptions: tuple[Corruption, ...] = ()
    """Each kind of damage at each severity."""
    inference: tuple[Inference, ...] = ()
    """Of members, and of attributes."""
    extraction: tuple[Extraction, ...] = ()
    """Copies of the model."""
    inversion: tuple[Inversion, ...] = ()
    """One for each class."""
    triggers: tuple[Trigger, ...] = ()
    """One for each class."""
    detection: tuple[Detection, ...] = ()
    """Of a detector before the model, for each attack."""
    checks: tuple[Check, ...] = ()
    """How the evaluation doubts itself."""
    advice: tuple[Advice, ...] = ()
    """What to do next, the most urgent first."""
    omitted: tuple[Omitted, ...] = ()
    """What was not measured, and why."""
    notes: tuple[str, ...] = ()
    """What is odd about model or data."""


_Z = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""


def rate(count: int, of: int) -> Rate:
    """A share with Wilson's 95 % interval (E. B. Wilson, 1927). Of nothing it is 0, from 0 to 1."""
    if of == 0:
        return Rate(count=0, of=0, value=0.0, low=0.0, high=1.0)
    share = count / of
    spread = _Z * _Z / of
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    low = 0.0 if count == 0 else max(0.0, middle - half)
    high = 1.0 if count == of else min(1.0, middle + half)
    return Rate(count=count, of=of, value=share, low=low, high=high)
