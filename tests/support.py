"""What the tests share: bytes in, examinations and findings out, through the same path as a scan."""

from collections.abc import Sequence

from hypothesis import strategies as st

from garrison.core.facts import AnyFact, Examination
from garrison.core.findings import Finding
from garrison.core.judgement import judge
from garrison.core.limits import Limits
from garrison.core.policy import Policy
from garrison.sources.examination import examine
from garrison.sources.reader import BytesReader
from garrison.sources.source import Context, Source


def examine_bytes(data: bytes, name: str = "subject", *, limits: Limits | None = None) -> list[Examination]:
    """Examine bytes as if they were a file of this name; the file's own examination comes last."""
    return list(examine(Source(name, BytesReader(data)), Context(limits or Limits(), len(data))))


def examine_files(files: dict[str, bytes]) -> list[Examination]:
    """Examine several files, named by path, as one scan."""
    return [examination for name, data in files.items() for examination in examine_bytes(data, name)]


def facts_of(data: bytes, name: str = "subject") -> list[AnyFact]:
    """All facts about some bytes and what is inside them."""
    return [fact for examination in examine_bytes(data, name) for fact in examination.facts]


def findings_of(
    data: "bytes | dict[str, bytes]", name: str = "subject", *, policy: Policy | None = None
) -> list[Finding]:
    """All findings about some bytes, or about several files."""
    examinations: Sequence[Examination] = examine_files(data) if isinstance(data, dict) else examine_bytes(data, name)
    return judge(examinations, policy or Policy())[0]


def worst(findings: Sequence[Finding]) -> str:
    """The worst severity among findings, or `none`."""
    return max((item.severity for item in findings), key=lambda s: s.rank, default="none")


@st.composite
def damaged(draw: st.DrawFn, *samples: bytes) -> bytes:
    """One of the samples with a few bytes changed, cut anywhere."""
    data = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(0, 5))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))])


def assert_no_failure(data: bytes, name: str = "subject") -> None:
    """Whatever the bytes are, no reader fails on them or on what is inside."""
    for item in examine_bytes(data, name):
        assert item.state != "failed", item.reason
