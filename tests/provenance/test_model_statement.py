"""Statements about models: what is written comes back, and every rule of the format refuses what breaks it."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.provenance import model_statement
from garrison.provenance.dsse import IN_TOTO
from garrison.provenance.hashing import Entry, Manifest, Serialization
from garrison.provenance.trust import Refused

ONE, TWO = "ab" * 32, "cd" * 32


def manifest(*names: str, serialization: Serialization) -> Manifest:
    entries = (Entry(name=name, digest=ONE, algorithm=serialization.algorithm) for name in names)
    return Manifest(name="model", serialization=serialization, entries=tuple(entries))


def statement(*names: str, **serialization: Any) -> dict[str, Any]:
    """One that holds, as plain values."""
    resources = [{"name": name, "algorithm": "sha256", "digest": ONE} for name in names or ("a", "b")]
    said = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, **serialization}
    document = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {"serialization": said, "resources": resources},
    }
    return rooted(document)


def rooted(document: dict[str, Any]) -> dict[str, Any]:
    """With the subject that its resources have."""
    digests = "".join(one["digest"] for one in document["predicate"]["resources"])
    document["subject"][0]["digest"] = {"sha256": hashlib.sha256(bytes.fromhex(digests)).hexdigest()}
    return document


def read(document: dict[str, Any]) -> Manifest:
    return model_statement.read(json.dumps(document).encode(), IN_TOTO)


@given(
    names=st.sets(st.text(st.characters(exclude_characters="/\\\0", codec="utf-8"), min_size=1), min_size=1),
    algorithm=st.sampled_from(["sha256", "blake3"]),
    ignored=st.sets(st.text(st.characters(codec="utf-8"))),
    links=st.booleans(),
)
def test_what_is_written_comes_back(names: set[str], algorithm: Any, ignored: set[str], links: bool) -> None:
    serialization = Serialization(algorithm=algorithm, ignored=tuple(sorted(ignored)), follow_symlinks=links)
    made = manifest(*sorted(f"d/{name}x" for name in names), serialization=serialization)
    assert model_statement.read(model_statement.written(made), IN_TOTO) == made


@given(parts=st.lists(st.integers(1, 10**12), min_size=1, max_size=5))
def test_shards_come_back(parts: list[int]) -> None:
    ends = [sum(parts[: i + 1]) for i in range(len(parts))]
    names = [f"a:b:{start}:{end}" for start, end in zip([0, *ends], ends, strict=False)]
    serialization = Serialization(method="shards", algorithm="sha256", shard_size=10**12)
    made = manifest(*names, "c:0:0", serialization=serialization)
    assert model_statement.read(model_statement.written(made), IN_TOTO) == made


def test_a_description_alone_comes_back() -> None:
    made = Serialization(method="shards", shard_size=5, ignored=("a", "b"))
    assert model_statement.serialization(model_statement.described(made)) == made
    with pytest.raises(Refused):
        model_statement.serialization({"method": "files"})


GOOD: dict[str, dict[str, Any]] = {
    "in the order of code points": statement("a", "a.b", "a/b"),
    "in the order of parts": statement("a", "a/b", "a.b"),
    "shards in the order of numbers": statement("f:0:20", "f:20:100", "f:100:110", method="shards", shard_size=1e9),
    "one file that is called nothing": statement("."),
    "a size of shards as protobuf writes it": statement("a:0:1", method="shards", shard_size=1000000000.0),
    "a further field of a resource": rooted(
        {
            **statement("a"),
            "predicate": {
                "serialization": statement()["predicate"]["serialization"],
                "resources": [{"name": "a", "algorithm": "sha256", "digest": ONE, "size": 5}],
            },
        }
    ),
}


@pytest.mark.parametrize("what", GOOD)
def test_what_others_write_is_read(what: str) -> None:
    assert read(GOOD[what]).entries


def test_shards_as_model_signing_calls_their_algorithm() -> None:
    document = statement("a:0:1", method="shards", shard_size=100.0)
    document["predicate"]["resources"][0]["algorithm"] = "sha256-sharded-100"
    assert read(document).entries[0].algorithm == "sha256"
    document["predicate"]["resources"][0]["algorithm"] = "sha256-sharded-200"
    with pytest.raises(Refused, match="is hashed with"):
        read(document)


def with_resource(**fields: Any) -> dict[str, Any]:
    document = statement("a", "b")
    document["predicate"]["resources"][1].update(fields)
    return document


def shards(*names: str, size: Any = 100) -> dict[str, Any]:
    return statement(*names, method="shards", shard_size=size)


BAD: dict[str, dict[str, Any]] = {
    **{
        f"a file called {name!r}": statement(name)
        for name in ("", "/", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/.", "./a", "a\\b", "a\0b")
    },
    "a lone surrogate": statement("a\ud800"),
    "one of several is called nothing": statement(".", "a"),
    "one of several is called nothing, last": statement("-", "."),
    "twice": statement("a", "a"),
    "out of order": statement("b", "a"),
    "no files": statement() | {"predicate": {**statement()["predicate"], "resources": []}},
    "digest in capitals": with_resource(digest=ONE.upper()),
    "digest too short": with_resource(digest=ONE[:-2]),
    "digest of half a byte": with_resource(digest=ONE[:-1]),
    "digest that is none": with_resource(digest="zz" * 32),
    "no digest": with_resource(digest=""),
    "digest of another algorithm": with_resource(algorithm="blake3"),
    "digest of an unknown algorithm": with_resource(algorithm="md5"),
    "another digest than the subject's": with_resource(digest=TWO),
    "a resource without a name": with_resource(name=None),
    "two subjects": statement() | {"subject": statement()["subject"] * 2},
    "no subject": statement() | {"subject": []},
    "a subject with another algorithm": statement() | {"subject": [{"name": "m", "digest": {"sha512": ONE}}]},
    "an older statement": statement() | {"_type": "https://in-toto.io/Statement/v0.1"},
    "another predicate": statement() | {"predicateType": "https://slsa.dev/provenance/v1"},
    "a field too many": statement() | {"more": 1},
    "a field too many in the predicate": statement() | {"predicate": {**statement()["predicate"], "more": 1}},
    "a field too many in the serialization": statement(more=1),
    "an unknown method": statement(method="tensors"),
    "an unknown hash": statement(hash_type="md5"),
    "links are neither allowed nor not": statement(allow_symlinks="false"),
    "whole files with a size of shards": statement(shard_size=5),
    "shards without a size": statement("a:0:1", method="shards"),
    "shards of nothing": shards("a:0:1", size=0),
    "shards of less": shards("a:0:1", size=-1),
    "shards of half a byte": shards("a:0:1", size=0.5),
    "shards of too much": shards("a:0:1", size=1e300),
    "shards of more than any number": shards("a:0:1", size=10**400),
    "a shard without a place": shards("a"),
    "a shard without an end": shards("a:0"),
    "a shard that ends before it starts": shards("a:5:1"),
    "a shard of nothing in the middle": shards("a:5:5"),
    "a shard of no file": shards(":0:1"),
    "a shard with zeros before its place": shards("a:00:1"),
    "a shard below nothing": shards("a:-1:1"),
    "a shard of a file outside": shards("../a:0:1"),
    "a place of more digits than a disk has": shards("a:0:" + "9" * 30),
}


@pytest.mark.parametrize("what", BAD)
def test_statements_that_break_a_rule(what: str) -> None:
    with pytest.raises(Refused):
        read(BAD[what])


@pytest.mark.parametrize("text", ["{}", "[]", "", "1", '{"_type": 1}', '{"_type": "x", "_type": "y"}', "NaN"])
def test_payloads_that_are_no_statement(text: str) -> None:
    with pytest.raises(Refused):
        model_statement.read(text.encode(), IN_TOTO)


def test_other_types_of_payload() -> None:
    with pytest.raises(Refused, match="no statement about a model"):
        model_statement.read(json.dumps(statement()).encode(), "text/plain")


def test_a_key_that_stands_twice() -> None:
    text = json.dumps(statement())
    with pytest.raises(Refused, match="stands twice"):
        model_statement.read(text.replace('"name": "a"', '"name": "z", "name": "a"').encode(), IN_TOTO)


def test_the_statement_of_release_0_2_names_files_as_subjects() -> None:
    subjects = [{"name": name, "digest": {"sha256": ONE}} for name in ("a", "b")]
    document = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subjects,
        "predicateType": "https://model_signing/Digests/v0.1",
        "predicate": {"unused": "x"},
    }
    found = read(document)
    assert [entry.name for entry in found.entries] == ["a", "b"] and found.serialization.algorithm == "sha256"
    for wrong in ([], subjects[::-1], [{"name": "../a", "digest": {"sha256": ONE}}], [{"name": "a", "digest": {}}]):
        with pytest.raises(Refused):
            read({**document, "subject": wrong})
