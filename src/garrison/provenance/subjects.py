"""What a statement is about: a model, by digests from which nobody else's bytes can be made to follow.

1. A model that is one file is meant by the digest of its bytes, as every other tool says it (`sha256`), or a quicker
   one beside that (`blake3`); its name says nothing.
2. A directory is meant by its root of OpenSSF Model Signing (`sha256`), with the serialization that it follows from in
   the annotation `serialization`, as that format's predicate says it. The root is over the bytes of the files alone, so
   that a file could be renamed under it. The annotation `manifest` therefore holds the SHA-256 over all names and
   digests: for each entry, in order, the digest in hexadecimal, two spaces, the name and a zero byte, as
   `sha256sum --zero` and `b3sum` print it. A root without both annotations means nothing here.
3. A root is never taken for a file's digest, nor the other way round: a file whose bytes are the digests of other files
   has their root for its digest.
4. What the serialization leaves out, an attacker may fill in. It may leave out what garrison itself does (`IGNORED`),
   and nothing else. A signature is a file: where a directory has its name, nothing holds of the model.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterable
from typing import Any

import msgspec

from garrison.provenance.hashing import DEFAULT_SERIALIZATION, Manifest, Serialization, digest
from garrison.provenance.hashing.manifest import SINGLE_FILE, Algorithm
from garrison.provenance.model_statement import described, serialization
from garrison.provenance.signing import SIGNATURE_NAME
from garrison.provenance.statements import Subject
from garrison.provenance.trust import Refused

IGNORED = (*DEFAULT_SERIALIZATION.ignored, SIGNATURE_NAME)
"""What is no part of a directory that is attested: Git's own files, and the model's signature."""
DIRECTORY = msgspec.structs.replace(DEFAULT_SERIALIZATION, ignored=tuple(sorted(IGNORED)))
"""How directories are hashed for attestations."""
FILES = (Serialization(algorithm="sha256"), Serialization(algorithm="blake3"))
"""How single files are hashed for attestations: as all others do, and so that it is quick to check."""
_FILE_ALGORITHMS: tuple[Algorithm, ...] = ("blake3", "sha256", "blake2b")
"""Digests of single files that are known, of which the first that a subject has counts; `blake2b` has 64 bytes."""


def attested(
    model: str, *, sha256: bool = False, follow_symlinks: bool = False, **reading: Any
) -> tuple[Manifest, *tuple[Manifest, ...]]:
    """The model at this path, hashed for `subject_of`; with `sha256` one of the manifests is made with that.

    `follow_symlinks` is of directories, whose links it lets stand for what they lead to. `reading` goes to
    `hashing.digest`, whose errors it raises.
    """
    if not os.path.isdir(model):
        first, *others = digest(model, FILES, **reading)
        return first, *others
    check_signature(model)
    directory = msgspec.structs.replace(DIRECTORY, follow_symlinks=follow_symlinks)
    also = [msgspec.structs.replace(directory, algorithm="sha256")] if sha256 else []
    first, *others = digest(model, [directory, *also], **reading)
    return first, *(other for other in others if other != first)


def check_signature(model: str) -> None:
    """Raise `Refused` for a directory in the signature's place, which is left out with all that is in it."""
    if os.path.isdir(os.path.join(model, SIGNATURE_NAME)):
        raise Refused(f"{SIGNATURE_NAME!r} is a directory, in which anything could lie")


def subject_of(manifest: Manifest, *others: Manifest) -> Subject:
    """The model as the subject of a statement; of a file there may be `others`, with digests of other algorithms."""
    name = manifest.name.encode("utf-8", "backslashreplace").decode()
    if _is_file(manifest):
        digests: dict[str, str] = {one.serialization.algorithm: one.entries[0].digest for one in (manifest, *others)}
        return Subject(name=name, digest=digests)
    return Subject(
        name=name,
        digest={"sha256": manifest.root},
        annotations={
            "serialization": described(manifest.serialization),
            "manifest": _names_and_digests(manifest),
        },
    )


def serialization_of(subject: Subject) -> Serialization:
    """How a model must be hashed to tell whether it is this one.

    Raises `Refused` for a subject that no model can be held against.
    """
    if "serialization" not in subject.annotations:
        algorithm = next((name for name in _FILE_ALGORITHMS if name in subject.digest), None)
        if algorithm is None:
            raise Refused(f"its subject has no digest that is known here, but {', '.join(subject.digest) or 'none'}")
        return Serialization(algorithm=algorithm)
    if "manifest" not in subject.annotations:
        raise Refused("its subject says nothing of the names of the model's files")
    wanted = serialization(subject.annotations["serialization"])
    if wanted.method != "files":
        raise Refused("its subject is a model in shards")
    more = sorted(set(wanted.ignored) - set(IGNORED))
    if more:
        raise Refused(f"its subject leaves out {more[0]!r}, where anything could lie")
    return wanted


def check(subject: Subject, manifests: Iterable[Manifest]) -> None:
    """Raise `Refused`, with the reason, unless the subject is the model that the manifests are of.

    One of the manifests must be made as `serialization_of` says.
    """
    wanted = serialization_of(subject)
    same = _same_directory if "serialization" in subject.annotations else _same_file
    if not any(manifest.serialization == wanted and same(subject, manifest) for manifest in manifests):
        raise Refused(f"it is about another model: {subject.name!r} with other bytes or other files")


def manifests(model: str, subjects: Iterable[Subject], **reading: Any) -> list[Manifest]:
    """What `check` needs to hold each of the subjects against the model at this path; its files are read once.

    `reading` goes to `hashing.digest`, whose errors it raises; links in the model stand in the way only of subjects
    that do not allow them.
    """
    directory = os.path.isdir(model)
    check_signature(model)
    wanted: dict[Serialization, None] = {}
    for subject in subjects:
        if ("serialization" in subject.annotations) == directory:
            with contextlib.suppress(Refused):
                wanted[serialization_of(subject)] = None
    try:
        return digest(model, list(wanted), **reading) if wanted else []
    except Refused:
        following = [one for one in wanted if one.follow_symlinks]
        if len(following) in (0, len(wanted)):
            raise
        return digest(model, following, **reading)


def matches(subject: Subject, manifests: Iterable[Manifest]) -> bool:
    """Whether the subject is the model that the manifests are of; see `check`."""
    try:
        check(subject, manifests)
    except Refused:
        return False
    return True


def _same_directory(subject: Subject, manifest: Manifest) -> bool:
    return subject.digest.get("sha256") == manifest.root and subject.annotations["manifest"] == _names_and_digests(
        manifest
    )


def _same_file(subject: Subject, manifest: Manifest) -> bool:
    return _is_file(manifest) and subject.digest[manifest.serialization.algorithm] == manifest.entries[0].digest


def _is_file(manifest: Manifest) -> bool:
    return manifest.serialization.method == "files" and [entry.name for entry in manifest.entries] == [SINGLE_FILE]


def _names_and_digests(manifest: Manifest) -> dict[str, str]:
    lines = b"".join(b"%s  %s\0" % (entry.digest.encode(), entry.name.encode()) for entry in manifest.entries)
    return {"sha256": hashlib.sha256(lines).hexdigest()}
