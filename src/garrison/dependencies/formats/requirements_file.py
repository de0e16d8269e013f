"""Requirements files of pip, as projects and models bring them along.

Source: pip's "Requirements File Format".
"""

import re
from collections.abc import Iterator

from garrison.core.facts import Artifact
from garrison.sources.source import Context, Extracted, Source

_HEAD = 1 << 14
_NAMED = re.compile(
    r"(?:^|.*[-_.])(requirements?|constraints?|reqs)(?:[-_.].*)?\.(?:txt|in|pip)$|^(?:requirements?|constraints?)$"
)
_NAME = 255
_STEP = 4096


def sniff(source: Source) -> bool:
    """It has the usual name, so that people hand it to pip whatever it holds."""
    return is_named(source)


def sniff_lines(source: Source) -> bool:
    """All lines are requirements or options, and one says more than a name."""
    from garrison.dependencies.requirement_lines import is_bare_address, is_bare_word, is_requirement, logical_lines

    if is_named(source):
        return False
    head = source.reader.pread(0, _HEAD)
    text = head.decode("utf-8", "replace")
    if len(head) >= _HEAD:
        text = text.rpartition("\n")[0]
    telling = False
    for _, line in logical_lines(text):
        if not is_requirement(line):
            return False
        telling = telling or not (is_bare_word(line) or is_bare_address(line))
    return telling


def is_named(source: Source) -> bool:
    """`requirements.txt`, `dev-requirements.in`, `constraints-3.11.txt`, `requirements/test.txt`."""
    name = source.name.lower()[-_NAME:]
    if _NAMED.match(name):
        return True
    folders = source.subject[-2 * _NAME :].lower().split("/")
    return folders[-2:-1] == ["requirements"] and name.endswith((".txt", ".in"))


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it asks for, and where they are to come from."""
    from garrison.dependencies.requirement_lines import decode, facts, logical_lines

    text = decode(source.reader.whole(context.limits.buffer))
    yield Artifact(format="requirements")
    lines = _timed(logical_lines(text), context)
    yield from facts(lines, constraint="constraint" in source.name.lower())


def _timed(lines: Iterator[tuple[int, str]], context: Context) -> Iterator[tuple[int, str]]:
    for count, line in enumerate(lines):
        if count % _STEP == 0:
            context.check_time()
        yield line
