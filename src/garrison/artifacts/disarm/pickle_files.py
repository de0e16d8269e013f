"""Pickles: of Python, of joblib with arrays in the stream, of whatever wrote them."""

from garrison.artifacts.disarm.contents import Contents, Left
from garrison.artifacts.disarm.unpickling import Unpickling
from garrison.sources.source import Context, Source


def pickled(source: Source, context: Context) -> Contents:
    """What the first stream holds, which is all that a loader reads."""
    contents = Contents(framework="np")
    stream = Unpickling(source.reader, context, acts=contents.acts)
    contents.root = stream.load()
    if source.reader.pread(stream.position, 1):
        place = f"@ {stream.position:#x}"
        contents.left.append(
            Left(path="", reason="bytes behind the pickle, which its loader does not read", place=place)
        )
    return contents
