"""What a model's signature says: each of its files with a digest, and how they were found and hashed.

Source: OpenSSF Model Signing 1.0 (https://github.com/ossf/model-signing-spec, spec/v1.0.md, sections 5 to 7), with its
schemas `statement.schema.json` and `predicate.schema.json`. Read as the rules here say, each of which refuses:

1. The payload is an in-toto statement (version 1) with one subject and the predicate of this format.
2. Each resource's name is a path below the model's root: relative, with `/`, without `.`, `..` and empty parts. Under
   shards it ends in `:START:END`, an empty file in `:0:0`. A model that is one file may call it `.`, as model-signing
   does.
3. Names are in order, so that none stands twice: by code points as the format says, or part by part as model-signing
   sorts them.
4. Digests are in lower-case hexadecimal, all by the one algorithm, each as long as that makes them.
5. The subject's SHA-256 is that of the resources' digests one after the other.
6. There is at least one resource: nothing is no model.
"""

import operator
import re
from collections.abc import Sequence
from itertools import islice
from typing import Any, Literal

import msgspec

from garrison.provenance import release_0_2
from garrison.provenance.dsse import IN_TOTO
from garrison.provenance.hashing import Entry, Manifest, Serialization
from garrison.provenance.hashing.manifest import SINGLE_FILE, Algorithm
from garrison.provenance.statements import STATEMENT
from garrison.provenance.strict_json import check_size, decoded
from garrison.provenance.trust import Refused

PREDICATE = "https://model_signing/signature/v1.0"
_PAYLOAD_BYTES = 190 << 20
"""In base64 a little less than a bundle may have."""
_DIGITS = {"sha256": 64, "blake2b": 128, "blake3": 64}
_HEXADECIMAL = re.compile(r"[0-9a-f]+")
_SHARD = re.compile(r"(.+):(0|[1-9][0-9]{0,17}):(0|[1-9][0-9]{0,17})", re.DOTALL)
_IMPROPER = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)|[\0\\]")
"""A part that is empty, `.` or `..`, or a character that is in no name or parts names elsewhere."""
_MOST_SHARD_BYTES = 1 << 60


class _Subject(msgspec.Struct, frozen=True):
    name: str
    digest: dict[str, str]


class _Resource(msgspec.Struct, frozen=True):
    """Further fields mean nothing here; the format allows them."""

    name: str
    digest: str
    algorithm: str


class _Serialization(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    method: Literal["files", "shards"]
    hash_type: Algorithm
    allow_symlinks: bool
    shard_size: int | float | None = None
    """model-signing writes it through protobuf, which knows no whole numbers: 1000000000.0."""
    ignore_paths: tuple[str, ...] = ()


class _Predicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    serialization: _Serialization
    resources: tuple[_Resource, ...]


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    type: str = msgspec.field(name="_type")
    subject: tuple[_Subject, ...]
    predicate_type: str
    predicate: _Predicate


class _Kind(msgspec.Struct, frozen=True, rename="camel"):
    type: str = msgspec.field(name="_type")
    predicate_type: str


def written(manifest: Manifest) -> bytes:
    """The statement about a model, as JSON; the same for the same manifest.

    Raises `Refused` for one that would not be read again: about a million files and more, or very long names.
    """
    payload = msgspec.json.encode(
        {
            "_type": STATEMENT,
            "subject": [{"name": manifest.name, "digest": {"sha256": manifest.root}}],
            "predicateType": PREDICATE,
            "predicate": {"serialization": described(manifest.serialization), "resources": manifest.entries},
        }
    )
    check_size(payload, "statement", most=_PAYLOAD_BYTES)
    return payload


def read(payload: bytes, payload_type: str) -> Manifest:
    """The manifest in a payload of which the signature holds. Raises `Refused`."""
    if payload_type != IN_TOTO:
        raise Refused(f"what is signed is {payload_type[:100]!r} and no statement about a model")
    kind = decoded(payload, _Kind, "statement", most=_PAYLOAD_BYTES)
    if kind.type != STATEMENT:
        raise Refused(f"a statement of the unknown type {kind.type[:100]!r}")
    if kind.predicate_type == release_0_2.PREDICATE:
        manifest = release_0_2.manifest(payload)
        check(manifest)
        return manifest
    if kind.predicate_type != PREDICATE:
        raise Refused(f"the statement is about something else than a model's files: {kind.predicate_type[:100]!r}")
    try:
        statement = msgspec.json.decode(payload, type=_Statement)
    except msgspec.DecodeError as error:
        raise Refused(f"statement: {error}") from None
    return _manifest(statement)


def described(serialization: Serialization) -> dict[str, Any]:
    """How a manifest was made, as the predicate's `serialization` says it."""
    found: dict[str, Any] = {
        "method": serialization.method,
        "hash_type": serialization.algorithm,
        "allow_symlinks": serialization.follow_symlinks,
    }
    if serialization.method == "shards":
        found["shard_size"] = serialization.shard_size
    if serialization.ignored:
        found["ignore_paths"] = sorted(serialization.ignored)
    return found


def serialization(description: object) -> Serialization:
    """The opposite of `described`. Raises `Refused`."""
    try:
        return _serialization(msgspec.convert(description, _Serialization))
    except msgspec.ValidationError as error:
        raise Refused(f"serialization: {error}") from None


def check(manifest: Manifest) -> None:
    """Rules 2 to 4 and 6. Raises `Refused`."""
    method, algorithm = manifest.serialization.method, manifest.serialization.algorithm
    entries = manifest.entries
    if not entries:
        raise Refused("the statement names no file")
    names = [entry.name for entry in entries]
    paths = [_shard(name)[0] for name in names] if method == "shards" else names
    for path in paths:
        if _IMPROPER.search(path) and path != SINGLE_FILE:
            raise Refused(f"{path!r} is no path below a model's root")
    if SINGLE_FILE in paths and {SINGLE_FILE} != set(paths):
        raise Refused("'.' stands for a model that is one file, and this one has more")
    digests, digits = [entry.digest for entry in entries], _DIGITS[algorithm]
    if set(map(len, digests)) != {digits} or not _HEXADECIMAL.fullmatch("".join(digests)):
        wrong = next(one.name for one in entries if len(one.digest) != digits or not _HEXADECIMAL.fullmatch(one.digest))
        raise Refused(f"{wrong!r} has no {algorithm} digest")
    if not _ascending(names) and not _ascending([_parts(name, method) for name in names]):
        raise Refused("the statement's files are not in order, or one stands twice")


def _manifest(statement: _Statement) -> Manifest:
    if len(statement.subject) != 1:
        raise Refused(f"a statement about {len(statement.subject)} subjects, where a model is one")
    (subject,) = statement.subject
    predicate = statement.predicate
    hashed = predicate.serialization.hash_type
    allowed: set[str] = {hashed}
    if predicate.serialization.method == "shards" and predicate.serialization.shard_size:
        allowed.add(f"{hashed}-sharded-{int(predicate.serialization.shard_size)}")  # as model-signing calls it
    for resource in predicate.resources:
        if resource.algorithm not in allowed:
            raise Refused(f"{resource.name!r} is hashed with {resource.algorithm[:100]!r}, and the model with {hashed}")
    manifest = Manifest(
        name=subject.name,
        serialization=_serialization(predicate.serialization),
        entries=tuple(Entry(name=one.name, digest=one.digest, algorithm=hashed) for one in predicate.resources),
    )
    check(manifest)
    if subject.digest.get("sha256") != manifest.root:
        raise Refused("the statement's subject is not the digest of the files that it names")
    return manifest


def _serialization(said: _Serialization) -> Serialization:
    size = said.shard_size
    if said.method == "files":
        if size is not None:
            raise Refused("the statement gives a size of shards where files are whole")
    elif size is None or size != int(size) or not 0 < size <= _MOST_SHARD_BYTES:
        raise Refused(f"the statement gives no size of shards: {size}")
    return Serialization(
        method=said.method,
        algorithm=said.hash_type,
        ignored=tuple(sorted(set(said.ignore_paths))),
        follow_symlinks=said.allow_symlinks,
        shard_size=None if size is None else int(size),
    )


def _shard(name: str) -> tuple[str, int, int]:
    found = _SHARD.fullmatch(name)
    start, end = (int(found[2]), int(found[3])) if found else (0, 0)
    if not found or (start >= end and end):
        raise Refused(f"{name!r} is no part of a file")
    return found[1], start, end


def _parts(name: str, method: str) -> tuple[list[str], int, int]:
    path, start, end = _shard(name) if method == "shards" else (name, 0, 0)
    return path.split("/"), start, end


def _ascending(keys: Sequence[Any]) -> bool:
    return all(map(operator.lt, keys, islice(keys, 1, None)))
