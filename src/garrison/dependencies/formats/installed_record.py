"""`RECORD` of an installed Python package: which files are its own.

Source: PyPA's "Recording installed projects"; PEP 627.
"""

import csv

from garrison.core.facts import Artifact, PackageData
from garrison.dependencies.package_places import folders
from garrison.sources.source import Context, Extracted, Source

_MOST = 50_000
_CODE = (
    ".py",
    ".pyi",
    ".pyc",
    ".pyd",
    ".so",
    ".dll",
    ".dylib",
    ".c",
    ".h",
    ".hpp",
    ".pxd",
    ".pyx",
    ".js",
    ".css",
    ".html",
)


def sniff(source: Source) -> bool:
    """Its name and its folder, by which installers go."""
    above = folders(source.subject)
    return source.name == "RECORD" and bool(above) and above[-1].endswith(".dist-info")


def extract(source: Source, context: Context) -> Extracted:
    """The files that lie in the package's own folders and are no code."""
    text = source.reader.whole(context.limits.buffer).decode("utf-8", "replace")
    rows = 0
    modules: dict[str, None] = {}
    files: list[str] = []
    for row in csv.reader(text.splitlines()):
        rows += 1
        if rows % 1024 == 0:
            context.check_time()
        path = row[0] if row else ""
        top, _, below = path.partition("/")
        if not below or not top.isidentifier() or ".." in path.split("/"):
            continue
        if path.endswith(".py"):
            modules[top] = None
        elif not path.endswith(_CODE) and len(files) < _MOST:
            files.append(path)
    yield Artifact(format="python-record", details={"files": rows})
    if own := tuple(path for path in files if path.partition("/")[0] in modules):
        yield PackageData(modules=tuple(modules), files=own)
