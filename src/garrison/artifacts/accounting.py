"""Bytes of a file that its own header does not account for."""

from garrison.core.facts import Anomaly
from garrison.sources.source import Extracted, Source

_PROBE = 1 << 16
_STATED = 32


def unaccounted(source: Source, gaps: list[tuple[int, int]], *, padding: int = 0) -> Extracted:
    """State ranges `(start, end)` that nothing refers to, and have what lies there examined.

    Up to `padding` zero bytes are what honest writers align with.
    """
    from garrison.sources.identification import identify

    for start, end in gaps[:_STATED]:
        if end - start <= padding and not source.reader.pread(start, end - start).strip(b"\0"):
            continue
        member = source.member(f"unaccounted@{start:#x}", source.reader.window(start, end - start))
        found = identify(member)
        zeros = not source.reader.pread(start, min(_PROBE, end - start)).strip(b"\0")
        what = found[0].title if found else "zeros" if zeros else "no format that garrison knows"
        yield Anomaly(
            what="unaccounted-bytes",
            detail=f"the header accounts for all but {end - start:,} bytes here: {what}",
            place=f"@ {start:#x}",
        )
        if found:
            yield member
    if len(gaps) > _STATED:
        yield Anomaly(what="unaccounted-bytes", detail=f"and {len(gaps) - _STATED:,} more such ranges")


def gaps_between(taken: list[tuple[int, int]], start: int, end: int) -> tuple[list[tuple[int, int]], int]:
    """The ranges of `start` to `end` that no range of `taken` covers, and the first byte covered twice, or -1."""
    gaps: list[tuple[int, int]] = []
    overlap = -1
    for first, last in sorted(taken):
        if first == last:
            continue
        if first > start:
            gaps.append((start, min(first, end)))
        elif first < start and overlap < 0:
            overlap = first
        start = max(start, last)
    if start < end:
        gaps.append((start, end))
    return gaps, overlap
