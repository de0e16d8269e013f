"""Pickles: of Python, of joblib with arrays in the stream, of whatever wrote them."""

from garrison.artifacts.disarm.contents import Contents, Left
from garrison.artifacts.disarm.rules.table import RULES
from garrison.artifacts.disarm.unpickling import Unpickling
from garrison.sources.source import Context, Source


def first(source: Source, context: Context) -> Contents:
    """What the first stream holds, which is all that a loader reads."""
    contents = Contents(framework="np")
    pickled = Unpickling(source.reader, context, RULES, acts=contents.acts)
    contents.root = pickled.load()
    end = pickled.stream.position
    if source.reader.pread(end, 1):
        place = f"@ {end:#x}"
        contents.left.append(
            Left(path="", reason="bytes behind the pickle, which its loader does not read", place=place)
        )
    return contents
