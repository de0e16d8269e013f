"""Requirements files of pip, as projects and models bring them along.

Source: pip's "Requirements File Format".
"""

from garrison.core.facts import Artifact
from garrison.dependencies.requirement_lines import facts, is_bare_address, is_bare_word, is_requirement, logical_lines
from garrison.sources.source import Context, Extracted, Source

_HEAD = 1 << 14


def sniff(source: Source) -> bool:
    """All lines are requirements or options, and one says more than a name; or the name is the usual one."""
    head = source.reader.pread(0, _HEAD).decode("utf-8", "replace")
    name = source.name.lower()
    named = name.endswith((".txt", ".in", ".pip")) and ("requirement" in name or "constraint" in name)
    if len(head.encode()) >= _HEAD:
        head = head.rpartition("\n")[0]
    lines = [line for _, line in logical_lines(head)]
    if named:
        return any(is_requirement(line) for line in lines) or not lines
    if not all(map(is_requirement, lines)):
        return False
    return not all(is_bare_word(line) or is_bare_address(line) for line in lines)


def extract(source: Source, context: Context) -> Extracted:
    """The packages that it asks for, and where they are to come from."""
    text = source.reader.whole(context.limits.buffer).decode("utf-8", "replace")
    lines = logical_lines(text)
    yield Artifact(format="requirements", details={"requirements": len(lines)})
    yield from facts(lines)
