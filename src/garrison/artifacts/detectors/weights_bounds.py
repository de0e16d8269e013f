"""Holds what a model says of its file of weights against the file beside it."""

import posixpath
from collections.abc import Iterator, Sequence

from garrison.core.facts import Artifact, Examination, Reference
from garrison.core.findings import Finding
from garrison.core.judgement import finding
from garrison.core.policy import Policy

_PADDING = 4096


def detect(examinations: Sequence[Examination], policy: Policy) -> Iterator[Finding]:
    """Tensors past the end of their file, and bytes of the file that no tensor is in."""
    stating = [(examination, end) for examination in examinations if (end := _end(examination)) is not None]
    if not stating:
        return
    sizes = {examination.subject: examination.size for examination in examinations}
    for examination, end in stating:
        folder = examination.subject.rpartition("/")[0]
        for fact in examination.facts:
            if type(fact) is Reference and fact.role == "external-data":
                size = sizes.get(posixpath.join(folder, fact.target), -1)
                if 0 <= size < end:
                    message = f"tensors lie up to byte {end} of {fact.target}, which has only {size}"
                    yield finding("weights-out-of-bounds", examination.subject, "", message)
                elif size > end + _PADDING:
                    message = (
                        f"{size - end} bytes at the end of {fact.target} are in no tensor of {examination.subject}"
                    )
                    yield finding("trailing-data", posixpath.join(folder, fact.target), f"@ {end:#x}", message)


def _end(examination: Examination) -> int | None:
    """Where the last tensor ends, for the formats that keep all of them in one file."""
    for fact in examination.facts:
        if type(fact) is Artifact and isinstance(end := fact.details.get("weights_end"), int):
            return end
    return None
