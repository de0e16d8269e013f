"""Programs of compiled CoreML models, which are text: the files that their weights are in.

Source: `model.mil` as the CoreML compiler writes it, and `coremltools/test/ml_program/test_utils.py`.
"""

import re

from garrison.core.facts import Artifact, Reference
from garrison.sources.source import Context, Extracted, Source

_PROGRAM = re.compile(rb"\s*program\((\d{1,4}\.\d{1,4})\)\s*[\[{]")
_FUNCTION = re.compile(r"\bfunc\s+(\w{1,200})<(\w{1,50})>")
_BLOB = re.compile(r'BLOBFILE\(\s*path\s*=\s*(?:tensor<string,\s*\[\]>|string)\("((?:[^"\\]|\\.)*)"\)')
_FOLDER = "@model_path/"


def sniff(source: Source) -> bool:
    """The word and the version that a program begins with."""
    return _PROGRAM.match(source.reader.pread(0, 256)) is not None


def extract(source: Source, context: Context) -> Extracted:
    """Each file of weights once."""
    data = source.reader.whole(context.limits.buffer)
    version = _PROGRAM.match(data)
    text = data.decode("utf-8", "replace")
    functions = [f"{match[1]} ({match[2]})" for match in _FUNCTION.finditer(text)]
    yield Artifact(
        format="coreml-text",
        details={"program": version[1].decode() if version else "", "functions": ", ".join(functions)[:300]},
    )
    for name in dict.fromkeys(match[1] for match in _BLOB.finditer(text)):
        yield Reference(target=name.removeprefix(_FOLDER)[:2000], role="external-data", detail="weights of the program")
