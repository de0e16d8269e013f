"""Whatever subset of good and bad evidence there is, in whatever order: the decision is what the rules say in short."""

import datetime
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.provenance.gate import Piece
from tests.provenance.gate.world import (
    DAY,
    NOW,
    OTHER_DATASET,
    World,
    approval,
    card,
    code,
    counts,
    dataset,
    measurement,
    scan,
    training,
    version,
)

HOUR = datetime.timedelta(hours=1)
GOOD = ["signature", "scan", "training", "card", "ada", "grace", "version"]
BAD = [
    "signature of another model",
    "signature of a stranger",
    "scan, older, bad",
    "scan, newer, bad",
    "scan, newest",
    "scan, stale",
    "scan, stale, bad",
    "scan, from the future",
    "scan, bad, from the future",
    "scan, expired",
    "scan of another model",
    "scan by ada",
    "scan by a stranger",
    "training, bad",
    "training of another model",
    "training by the lab",
    "card, newer, bad",
    "card by ada",
    "ada again",
    "grace, expired",
    "grace of another model",
    "trainer",
    "linus elsewhere",
    "stranger",
    "release",
    "version, older",
    "version of another name",
    "version by ci",
    "no statement",
]
"""Not all of it hinders: some is only of no use, or does no harm."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, dict[str, bytes]]]:
    world = World(tmp_path_factory.mktemp("world"))
    other = msgspec.structs.replace(world.subject, digest={"sha256": "0" * 64})
    weights = world.model / "weights.safetensors"
    weights.write_bytes(b"others")
    foreign = world.signature()
    weights.write_bytes(b"weights")

    def scanned(age: datetime.timedelta, by: str = "ci", high: int = 0, **changes: datetime.datetime) -> bytes:
        return world.said(scan(created=NOW - age, started=NOW - age, findings=counts(high=high), **changes), by)

    yield (
        world,
        {
            "signature": world.evidence["signature"] or b"",
            "signature of another model": foreign,
            "signature of a stranger": world.signature("stranger"),
            "scan": scanned(DAY),
            "scan, older, bad": scanned(2 * DAY, high=1),
            "scan, newer, bad": scanned(HOUR, high=1),
            "scan, newest": scanned(HOUR / 2),
            "scan, stale": scanned(8 * DAY),
            "scan, stale, bad": scanned(8 * DAY, high=1),
            "scan, from the future": scanned(-HOUR),
            "scan, bad, from the future": scanned(-HOUR, high=1),
            "scan, expired": scanned(HOUR / 4, expires=NOW),
            "scan of another model": world.said(scan(created=NOW, started=NOW), "ci", [other]),
            "scan by ada": scanned(HOUR, "ada"),
            "scan by a stranger": scanned(HOUR, "stranger"),
            "training": world.said(training(), "trainer"),
            "training, bad": world.said(training(dataset(OTHER_DATASET), code()), "trainer"),
            "training of another model": world.said(training(), "trainer", [other]),
            "training by the lab": world.said(training(), "lab"),
            "card": world.said(card(), "lab"),
            "card, newer, bad": world.said(card(measurement(value=0.1), created=NOW), "lab"),
            "card by ada": world.said(card(), "ada"),
            "ada": world.said(approval(), "ada"),
            "ada again": world.said(approval(comment="again"), "ada"),
            "grace": world.said(approval(), "grace"),
            "grace, expired": world.said(approval(expires=NOW - HOUR), "grace"),
            "grace of another model": world.said(approval(), "grace", [other]),
            "trainer": world.said(approval(), "trainer"),
            "linus elsewhere": world.said(approval(environments=("staging",)), "linus"),
            "stranger": world.said(approval(), "stranger"),
            "release": world.said(approval(), "release"),
            "version": world.said(version(), "release"),
            "version, older": world.said(version(2), "release"),
            "version of another name": world.said(version(5, "cats"), "release"),
            "version by ci": world.said(version(), "ci"),
            "no statement": b"{}",
        },
    )


def oracle(there: set[str]) -> dict[str, bool]:
    """Which requirements are met."""
    newest = next((one for one in ("scan, newest", "scan, newer, bad", "scan", "scan, older, bad") if one in there), "")
    trained = there & {"training", "training, bad", "training by the lab"}
    authors = ({"release"} if "signature" in there else set()) | (
        {"trainer"} if trained & {"training", "training, bad"} else set()
    )
    authors |= {"lab"} if "training by the lab" in there else set()
    people = {one.partition(" ")[0] for one in there & {"ada", "ada again", "grace", "trainer"}} - authors
    return {
        "signature": "signature" in there,
        "scan": newest in ("scan, newest", "scan"),
        "training": trained & {"training", "training, bad"} == {"training"},
        "robustness": "card" in there and "card, newer, bad" not in there,
        "approvals": bool(authors) and len(people) >= 2,
        "version": "version" in there,
    }


@given(
    order=st.permutations([*GOOD, *BAD]),
    missing=st.sets(st.sampled_from(GOOD), max_size=3),
    bad=st.sets(st.sampled_from(BAD)),
)
def test_the_decision_is_what_the_oracle_says(
    world: tuple[World, dict[str, bytes]], order: list[str], missing: set[str], bad: set[str]
) -> None:
    known, catalogue = world
    assert catalogue.keys() == {*GOOD, *BAD}
    chosen = ({*GOOD} - missing) | bad
    decision = known.decide(evidence=[Piece(place=one, data=catalogue[one]) for one in order if one in chosen])
    assert {one.name: one.met for one in decision.requirements} == oracle(chosen)
    assert decision.allowed == all(oracle(chosen).values())
    seen = {one.place for requirement in decision.requirements for one in (*requirement.evidence, *requirement.others)}
    assert seen | {one.place for one in decision.unused} == chosen, "all evidence is accounted for"
