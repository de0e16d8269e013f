"""Holds a TensorFlow checkpoint's shards against the index that describes them."""

import re
from collections.abc import Iterator, Sequence

from garrison.core.facts import Artifact, Examination
from garrison.core.findings import Finding
from garrison.core.judgement import finding
from garrison.core.policy import Policy

_SHARD = re.compile(r"^(.*)\.data-[0-9]{5}-of-([0-9]{5})$", re.DOTALL)
_INDEX = ".index"


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """A finding where the shards together are not as long as the index says."""
    indexes = {e.subject.removesuffix(_INDEX): e for e in examinations if "tensorflow-checkpoint" in e.formats}
    if not indexes:
        return
    found: dict[str, list[int]] = {}
    for examination in examinations:
        match = _SHARD.match(examination.subject)
        if match and match[1] in indexes:
            found.setdefault(match[1], []).append(examination.size)
    for prefix, sizes in found.items():
        details = next((fact.details for fact in indexes[prefix].facts if type(fact) is Artifact), {})
        said, held = details.get("bytes", -1), sum(sizes)
        if details.get("shards") == len(sizes) and min(sizes) >= 0 and said != held:
            message = f"the index describes {said} bytes of tensors, and the shards hold {held}"
            yield finding("checkpoint-size-mismatch", indexes[prefix].subject, "", message)
