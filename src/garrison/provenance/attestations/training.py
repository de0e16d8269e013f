"""How a model was trained, as SLSA's provenance: with which code, data, base models, environment and parameters.

The `buildType` is documented in docs/reference/attestations.md. What went in stands in `resolvedDependencies`, each
with the annotation `role`; datasets and base models have the digests of `garrison.provenance.subjects`, annotations
included, so that whoever has the data can tell whether it is the same.
"""

import datetime
import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any

from garrison.core.errors import UsageError
from garrison.provenance.attestations.git import Commit
from garrison.provenance.attestations.predicates import (
    TRAINING_BUILD,
    BuildDefinition,
    Builder,
    BuildMetadata,
    Provenance,
    Resource,
    Role,
    RunDetails,
)
from garrison.provenance.subjects import attested, subject_of
from garrison.provenance.trust import Refused

_CHANGED = 1000
"""Changed files that are named."""


def trained(
    *,
    builder: str,
    parameters: Mapping[str, Any],
    inputs: Sequence[Resource],
    invocation: str = "",
    started: datetime.datetime | None = None,
    finished: datetime.datetime,
) -> Provenance:
    """The provenance of a model.

    `builder` is a URI for what trained it; `parameters` are plain JSON values; `inputs` come from the functions below.
    """
    return Provenance(
        build_definition=BuildDefinition(
            build_type=TRAINING_BUILD, external_parameters=dict(parameters), resolved_dependencies=tuple(inputs)
        ),
        run_details=RunDetails(
            builder=Builder(id=builder),
            metadata=BuildMetadata(invocation_id=invocation, started_on=started, finished_on=finished),
        ),
    )


def code(commit: Commit, *, allow_changes: bool = False) -> Resource:
    """The code that trained it. Raises `Refused` for a working tree that is not what its commit says, unless allowed.

    What is allowed is said: the annotation `changed` names the files.
    """
    annotations: dict[str, Any] = {"role": "code"}
    if commit.changed:
        if not allow_changes:
            more = f" and {len(commit.changed) - 1} more" if len(commit.changed) > 1 else ""
            raise Refused(f"the code is not what commit {commit.id[:12]} says: {commit.changed[0]!r}{more} changed")
        annotations["changed"] = [
            name.encode("utf-8", "backslashreplace").decode() for name in commit.changed[:_CHANGED]
        ]
    return Resource(uri=commit.uri, digest={"gitCommit": commit.id}, annotations=annotations)


def measured(path: str, role: Role, **reading: Any) -> Resource:
    """A dataset or a base model that lies here. `reading` goes to `hashing.digest`, whose errors it raises."""
    subject = subject_of(*attested(path, **reading))
    return Resource(name=subject.name, digest=subject.digest, annotations={**subject.annotations, "role": role})


def named(text: str, role: Role) -> Resource:
    """A dataset or a base model that lies elsewhere: `NAME=ALGORITHM:DIGEST`. Raises `UsageError`."""
    name, equals, digest = text.partition("=")
    algorithm, colon, value = digest.partition(":")
    if not (name and equals and colon) or algorithm not in _DIGITS:
        raise UsageError(f"{text!r} is not NAME=ALGORITHM:DIGEST, with {', '.join(_DIGITS)} for the algorithm")
    if len(value) != _DIGITS[algorithm] or value.strip("0123456789abcdef"):
        raise UsageError(f"{text!r}: {algorithm} has {_DIGITS[algorithm]} digits of lower-case hexadecimal")
    return Resource(name=name, digest={algorithm: value}, annotations={"role": role})


_DIGITS = {"sha256": 64, "sha512": 128, "blake3": 64, "blake2b": 128}


def lock(path: str) -> Resource:
    """The lock file of the environment that it was trained in. Raises `UsageError`."""
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    name = os.path.basename(path).encode("utf-8", "backslashreplace").decode()
    return Resource(name=name, digest={"sha256": digest}, annotations={"role": "environment"})
