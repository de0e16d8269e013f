"""`.egg-link` files, by which `setup.py develop` puts a folder of sources in the place of an installed package.

Source: setuptools, "The Internal Structure of Python Eggs", "Egg links".
"""

from garrison.core.facts import Artifact, Reference
from garrison.sources.source import Context, Extracted, Source

_LONGEST = 1 << 14


def sniff(source: Source) -> bool:
    """A path, and the way from it to where `setup.py` is."""
    lines = source.reader.pread(0, _LONGEST).decode("utf-8", "replace").split("\n")
    return bool(lines[0].strip()) and len([line for line in lines if line.strip()]) <= 2


def extract(source: Source, context: Context) -> Extracted:
    """The folder whose code is imported."""
    lines = source.reader.pread(0, _LONGEST).decode("utf-8", "replace").split("\n")
    yield Artifact(format="egg-link")
    name = source.name.rpartition(".")[0]
    target = f"file://{lines[0].strip()}"
    yield Reference(target=target, role="package", trigger="carried", detail=name, place="line 1")
