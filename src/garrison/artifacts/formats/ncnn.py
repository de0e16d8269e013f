"""ncnn networks in text: a mark, the numbers of layers and blobs, and a line for each layer.

Source: https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure and `src/net.cpp` (`load_param`).
"""

from garrison.artifacts.knowledge.engine_operators import operators
from garrison.core.errors import Malformed
from garrison.core.facts import Artifact, Operator, Reference
from garrison.sources.source import Context, Extracted, Source

_MARK = b"7767517"
_COUNTED = 300


def sniff(source: Source) -> bool:
    """The mark on a line of its own, and a line of two numbers."""
    head = source.reader.pread(0, 200).split(b"\n")
    return head[0].strip() == _MARK and len(head) > 1 and [part.isdigit() for part in head[1].split()] == [True, True]


def extract(source: Source, context: Context) -> Extracted:
    """Layers that ncnn does not have, and the file of weights that goes with the network."""
    lines = source.reader.whole(context.limits.buffer).decode("utf-8", "replace").splitlines()
    counts = lines[1].split()
    yield Artifact(format="ncnn", details={"layers": int(counts[0][:18]), "blobs": int(counts[1][:18])})
    stem = source.name.rpartition(".")[0] or source.name
    yield Reference(target=f"{stem}.bin", role="external-data", detail="weights", trigger="load")
    unknown: dict[str, int] = {}
    for number, line in enumerate(lines[2:], 3):
        if number % 1024 == 0:
            context.check_time()
        parts = line.split(None, 4)
        if not parts:
            continue
        if len(parts) < 4 or not (parts[2].isdigit() and parts[3].isdigit()):
            raise Malformed(f"line {number} is no layer")
        if parts[0] not in operators("ncnn") and len(unknown) < _COUNTED:
            unknown.setdefault(parts[0], number)
    for name, number in unknown.items():
        yield Operator(framework="ncnn", name=name[:200], place=f"line {number}")
