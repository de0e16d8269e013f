"""Packages that `torch.package` writes: pickles together with the Python source that unpickling them imports.

Source: `torch/package/package_importer.py` and `package_exporter.py`.
"""

from garrison.core.errors import Malformed
from garrison.core.facts import Artifact
from garrison.sources.containers import zip
from garrison.sources.source import Context, Extracted, Source

_MARK = ".data/extern_modules"


def sniff(source: Source) -> bool:
    """Whether a zip lists the modules that its pickles take from outside."""
    return zip.sniff(source) and _root(zip.directory(source.reader)) is not None


def _root(found: zip.Directory) -> str | None:
    marks = [member.name for member in found.members if member.name.endswith(_MARK)]
    return marks[0].removesuffix(_MARK) if marks else None


def extract(source: Source, context: Context) -> Extracted:
    """State how many modules it carries and which it takes from outside; the members are examined on their own."""
    found = zip.directory(source.reader)
    root = _root(found)
    if root is None:
        raise Malformed("the package has no list of modules")
    members = {member.name.removeprefix(root): member for member in found.members}
    details: dict[str, str | int | float | bool] = {
        "framework": "torch",
        "modules": sum(name.endswith(".py") for name in members),
    }
    for name, key in ((_MARK, "extern_modules"), (".data/python_version", "python_version")):
        member = members.get(name)
        if member is not None and member.data >= 0 and member.method == 0:
            text = source.reader.pread(member.data, min(member.size, 1000)).decode("utf-8", "replace")
            details[key] = ", ".join(text.split())
    yield Artifact(format="torch-package", details=details)
