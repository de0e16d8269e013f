"""Predicates: each comes back from JSON as it went, and nothing else is taken for one."""

import datetime
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.findings import Severity
from garrison.provenance.attestations.predicates import (
    APPROVAL,
    PREDICATES,
    ROBUSTNESS,
    SCAN,
    TRAINING,
    VERSION,
    Approval,
    Counts,
    Dataset,
    Measurement,
    Provenance,
    Robustness,
    Tool,
    described,
    predicate_of,
    type_of,
)
from garrison.provenance.trust import Refused
from tests.provenance.attestations.samples import LATER, NOW, SHA256
from tests.provenance.attestations.samples import PREDICATES as SAMPLES

TYPES = {"scan": SCAN, "training": TRAINING, "robustness": ROBUSTNESS, "approval": APPROVAL, "version": VERSION}


def plain(kind: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(msgspec.json.encode(described(SAMPLES[kind])))
    return document


@pytest.mark.parametrize("kind", TYPES)
def test_every_predicate_comes_back(kind: str) -> None:
    predicate = SAMPLES[kind]
    assert type_of(predicate) == TYPES[kind]
    assert predicate_of(TYPES[kind], plain(kind)) == predicate
    assert predicate.created in (NOW, LATER)


def test_there_is_a_sample_of_every_kind() -> None:
    assert set(TYPES.values()) == set(PREDICATES)


@pytest.mark.parametrize("kind", TYPES)
def test_required_fields_are_required(kind: str) -> None:
    optional = {"expires", "reasons", "checks", "comment", "environments", "limitations"}
    for name in plain(kind):
        without = {key: value for key, value in plain(kind).items() if key != name}
        if name in optional:
            predicate_of(TYPES[kind], without)
        else:
            with pytest.raises(Refused, match=name):
                predicate_of(TYPES[kind], without)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("other", [None, [], {}, "text", 1e9, True])
def test_fields_of_another_type_are_refused(kind: str, other: object) -> None:
    for name, value in plain(kind).items():
        if type(value) is not type(other) and (name, other) != ("expires", None):
            with pytest.raises(Refused):
                predicate_of(TYPES[kind], {**plain(kind), name: other})


@pytest.mark.parametrize("kind", ["scan", "robustness", "approval", "version"])
def test_a_field_that_is_not_known_may_be_a_condition(kind: str) -> None:
    with pytest.raises(Refused, match="onlyIf"):
        predicate_of(TYPES[kind], {**plain(kind), "onlyIf": "the moon is full"})


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("scan", ("scanner", "onlyIf"), "x"),
        ("scan", ("coverage", "failed"), -1),
        ("scan", ("findings", "low"), True),
        ("scan", ("findings", "low"), 1 << 80),
        ("scan", ("threshold",), "severe"),
        ("scan", ("verdict",), "perfect"),
        ("scan", ("created",), "2026-06-01T12:00:00"),
        ("scan", ("report", "digest"), {}),
        ("scan", ("report", "digest"), {"sha256": "AB" * 32}),
        ("scan", ("report", "digest"), {"sha256": "ab" * 32 + "\n"}),
        ("approval", ("decision",), "rejected"),
        ("approval", ("environments",), [""]),
        ("version", ("version",), 0),
        ("version", ("version",), 1.5),
        ("version", ("version",), 1 << 70),
        ("version", ("name",), ""),
        ("robustness", ("datasets",), []),
        ("robustness", ("measurements",), []),
        ("robustness", ("measurements", 1, "dataset"), "another"),
        ("robustness", ("measurements", 1, "samples"), 0),
        ("robustness", ("measurements", 1, "lower"), 0.55),
        ("robustness", ("measurements", 1, "upper"), 0.45),
        ("robustness", ("measurements", 1, "norm"), "l3"),
        ("robustness", ("measurements", 1, "norm"), None),
        ("robustness", ("measurements", 1, "epsilon"), -0.1),
        ("robustness", ("measurements", 1, "confidence"), 1),
        ("robustness", ("measurements", 1, "parameters"), {"steps": [1]}),
    ],
)
def test_values_that_mean_nothing_are_refused(kind: str, path: tuple[str | int, ...], value: object) -> None:
    document = plain(kind)
    place: Any = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(Refused):
        predicate_of(TYPES[kind], document)


def test_provenance_passes_over_what_it_does_not_know() -> None:
    document = plain("training")
    document["example_extension"] = 1
    document["runDetails"]["builder"]["trust"] = "full"
    assert predicate_of(TRAINING, document) == SAMPLES["training"]


def test_inputs_are_those_of_our_own_builds_alone() -> None:
    provenance = SAMPLES["training"]
    assert isinstance(provenance, Provenance)
    assert [one.name for one in provenance.inputs("dataset")] == ["mnist"]
    assert [one.digest for one in provenance.inputs("code")] == [{"gitCommit": "c" * 40}]
    document = plain("training")
    document["buildDefinition"]["buildType"] = "https://example.org/other"
    other = predicate_of(TRAINING, document)
    assert isinstance(other, Provenance) and other.inputs("dataset") == []


def test_another_kind_is_named() -> None:
    with pytest.raises(Refused, match="example/kind"):
        predicate_of("https://example/kind", {})


def test_counts_tell_the_worst() -> None:
    counts = Counts(info=1, low=2, medium=3, high=0, critical=0)
    assert counts.worst is Severity.MEDIUM
    assert Counts(info=0, low=0, medium=0, high=0, critical=0).worst is None


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_measurements_are_finite(number: float) -> None:
    for field in ("value", "lower", "upper"):
        with pytest.raises(ValueError, match="finite"):
            Measurement(**{"name": "accuracy", "value": 0.5, "dataset": "x", "samples": 1, field: number})


def test_datasets_have_names_of_their_own() -> None:
    twice = Dataset(name="x", digest={"sha256": SHA256})
    measured = Measurement(name="accuracy", value=1.0, dataset="x", samples=1)
    with pytest.raises(ValueError, match="same name"):
        Robustness(created=NOW, tool=Tool(name="t", version="1"), datasets=(twice, twice), measurements=(measured,))


@given(
    created=st.datetimes(timezones=st.just(datetime.UTC)),
    comment=st.text(st.characters(exclude_categories=["Cs"]), max_size=100),
    environments=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10), max_size=4),
)
def test_any_approval_comes_back(created: datetime.datetime, comment: str, environments: list[str]) -> None:
    approval = Approval(created=created, decision="approved", comment=comment, environments=tuple(environments))
    body = msgspec.json.encode(described(approval))
    assert predicate_of(APPROVAL, json.loads(body)) == approval


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-23:59"])
@pytest.mark.parametrize("kind", TYPES)
def test_times_that_compare_with_no_other_are_refused(kind: str, time: str) -> None:
    document = plain(kind)
    where = document["runDetails"]["metadata"] if kind == "training" else document
    fields = ["startedOn", "finishedOn"] if kind == "training" else ["created", "expires"]
    for field in fields + ["started"] * (kind == "scan"):
        before = where.get(field)
        where[field] = time
        with pytest.raises(Refused, match="before the year 1 or after"):
            predicate_of(TYPES[kind], document)
        where[field] = before or "2026-06-01T00:00:00Z"
