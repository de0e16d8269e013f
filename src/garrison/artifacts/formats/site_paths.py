"""Path files of Python's `site` module: `.pth` files in site-packages, which share their ending with checkpoints.

Each line is a folder that is put on `sys.path`; a line that begins with `import` is executed when Python starts.

Source: CPython `Lib/site.py`, `addpackage`.
"""

import re

from garrison.artifacts.documents import dangerous_calls
from garrison.core.facts import Anomaly, Artifact, EmbeddedCode
from garrison.sources.source import Context, Extracted, Source

_PATH = re.compile(r"[\w./\\~+:\- @$%()]+")


def sniff(source: Source) -> bool:
    """Named as `site` wants it, and lines of paths and imports."""
    if not source.name.lower().endswith(".pth"):
        return False
    lines = _lines(source.reader.pread(0, 4096))
    return bool(lines) and all(line.startswith(("import ", "import\t")) or _PATH.fullmatch(line) for _, line in lines)


def _lines(data: bytes) -> list[tuple[int, str]]:
    text = data.decode("utf-8-sig", "replace")
    numbered = [(number, line.rstrip()) for number, line in enumerate(text.split("\n"), 1)]
    return [(number, line) for number, line in numbered if line.strip() and not line.startswith("#")]


def extract(source: Source, context: Context) -> Extracted:
    """The lines that run, and what they call."""
    lines = _lines(source.reader.whole(context.limits.buffer))
    code = [(number, line) for number, line in lines if line.startswith(("import ", "import\t"))]
    yield Artifact(format="site-paths", details={"paths": len(lines) - len(code), "imports": len(code)})
    for number, line in code:
        place = f"line {number}"
        detail = f"in site-packages this line runs whenever Python starts: {line[:160]!r}"
        yield Anomaly(what="site-path-code", detail=detail, place=place)
        called = dangerous_calls(line)
        if called:
            yield EmbeddedCode(
                language="python",
                form="line of a .pth file",
                trigger="load",
                names=tuple(called),
                excerpt=line[:200],
                place=place,
            )
