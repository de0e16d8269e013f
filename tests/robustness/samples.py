"""Cards for tests of what is done with cards."""

import datetime
from typing import Any

from garrison.core.report import Tool
from garrison.core.robustness_card import (
    CARD_VERSION,
    Advice,
    AttackResult,
    Budget,
    Card,
    Check,
    Corruption,
    Curve,
    Dataset,
    Detection,
    Estimate,
    Evasion,
    Extraction,
    Inference,
    Inversion,
    Model,
    Omitted,
    Picture,
    Point,
    Slice,
    Trigger,
    rate,
)

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="


def evasion(robust: int, of: int, *, epsilon: float = 8 / 255, norm: Any = "linf") -> Evasion:
    """One attack that leaves so many robust, of inputs that were all right before."""
    budget = Budget(norm=norm, epsilon=epsilon)
    row = AttackResult(
        attack="apgd-ce",
        access="gradients",
        budget=budget,
        success=rate(of - robust, of),
        robust_accuracy=rate(robust, of),
        median_queries=12.0,
        queries=1000,
        gradients=900,
        median_distance=epsilon,
        seconds=1.5,
        seed=0,
        settings={"steps": 50},
    )
    return Evasion(budget=budget, robust_accuracy=row.robust_accuracy, worst_attack="apgd-ce", attacks=(row,))


def card(**changes: Any) -> Card:
    """A plain card, with what is given instead."""
    return Card(
        **{
            "card_version": CARD_VERSION,
            "tool": Tool(name="garrison", version="0"),
            "started": datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC),
            "seconds": 12.5,
            "seed": 0,
            "complete": True,
            "model": Model(
                name="model.pt", format="torchscript", sha256="a" * 64, classes=10, access="gradients", outputs="logits"
            ),
            "data": Dataset(name="test.npz", kind="image", sha256="b" * 64, count=1000, used=1000, shape=(1, 8, 8)),
            "clean_accuracy": rate(900, 1000),
            "evasion": (evasion(410, 1000),),
            **changes,
        }
    )


def full_card(**changes: Any) -> Card:
    """A card with something in every part."""
    check = Check(name="zero-gradients", verdict="failed", seen="80 % of gradients are zero", advice="use logits")
    return card(
        **{
            "command": ("garrison", "attack", "model.pt"),
            "curves": (
                Curve(
                    name="over epsilon",
                    x="epsilon",
                    y="robust accuracy",
                    points=(Point(x=0.01, y=0.8, low=0.7, high=0.9), Point(x=0.1, y=0.2, low=0.1, high=0.3)),
                ),
            ),
            "slices": (Slice(name="class 6", clean=rate(50, 100), robust=rate(1, 20)),),
            "pictures": (
                Picture(
                    attack="apgd-ce",
                    budget="linf:0.1",
                    label="shirt",
                    before="shirt (99%)",
                    after="coat (80%)",
                    original=PIXEL,
                    perturbation=PIXEL,
                    adversarial=PIXEL,
                    media="image/png",
                ),
                Picture(
                    attack="words",
                    budget="2 words",
                    label="good",
                    before="good (99%)",
                    after="bad (80%)",
                    original="a <b>fine</b> film",
                    perturbation="fine → fíne",
                    adversarial="a fíne film",
                    media="text/plain",
                ),
            ),
            "corruptions": (
                Corruption(name="gaussian-noise", severity=1, accuracy=rate(80, 100)),
                Corruption(name="gaussian-noise", severity=5, accuracy=rate(20, 100)),
            ),
            "inference": (
                Inference(
                    attack="lira-offline",
                    target="membership",
                    auc=Estimate(value=0.7, low=0.68, high=0.72),
                    true_positives={"0.001": Estimate(value=0.03, low=0.02, high=0.04)},
                    samples=4000,
                    shadows=16,
                    seconds=10.0,
                    checks=(check,),
                ),
                Inference(
                    attack="confidence", target="sex", accuracy=rate(60, 100), baseline=0.5, samples=100, seconds=1.0
                ),
            ),
            "extraction": (
                Extraction(
                    strategy="random", defence="none", queries=1000, fidelity=rate(96, 100), accuracy=rate(80, 100)
                ),
            ),
            "inversion": (Inversion(label="7", confidence=0.9, similarity=0.6, baseline=0.3, image=PIXEL),),
            "triggers": (
                Trigger(label="7", size=3.0, success=0.99, anomaly_index=4.5, suspected=True, image=PIXEL),
                Trigger(label="8", size=30.0, success=0.99, anomaly_index=0.1, suspected=False),
            ),
            "detection": (
                Detection(
                    detector="knn",
                    attack="pgd",
                    adaptive=True,
                    auroc=Estimate(value=0.47),
                    true_positives={"0.01": Estimate(value=0.009)},
                    evades_both=rate(90, 100),
                    microseconds=300.0,
                    samples=100,
                ),
            ),
            "checks": (check, Check(name="randomness", verdict="passed", seen="two passes agree")),
            "advice": (Advice(what="Train against it", why="it breaks", how="garrison.robustness.hardening"),),
            "omitted": (Omitted(what="membership inference", why="no training data were given"),),
            "notes": ("a note",),
            **changes,
        }
    )
