"""Makes the inputs of the cost benchmark: large, honest files as the real frameworks write them, and a few bombs.

Run it in an environment with the packages of `REQUIREMENTS`: `python workloads.py FOLDER`.
"""

import json
import pickle
import struct
import sys
from pathlib import Path

REQUIREMENTS = ["numpy", "scikit-learn", "joblib", "torch==2.13.0"]
NAMES = {
    "small.pkl": "a small pickle, cold",
    "checkpoint.pt": "PyTorch zip, 1 GB",
    "forest.pkl": "scikit-learn forest, pickle",
    "forest.joblib": "scikit-learn forest, joblib",
    "opcodes.pkl": "pickle of ten million opcodes",
    "records.pkl": "pickle of records, ten million opcodes",
    "many": "10,000 small pickles",
    "weights.safetensors": "safetensors, 1 GB",
    "laughs.pkl": "pickle bomb of 200 bytes",
    "stacked.pkl": "10 MB of stacked pickles",
}


def make(folder: Path) -> None:
    """Write all inputs that are not there yet."""
    makers = {
        "small.pkl": _small,
        "checkpoint.pt": _checkpoint,
        "forest.pkl": _forests,
        "forest.joblib": _forests,
        "opcodes.pkl": _opcodes,
        "records.pkl": _records,
        "many": _many,
        "weights.safetensors": _safetensors,
        "laughs.pkl": _laughs,
        "stacked.pkl": _stacked,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, maker in makers.items():
        if not (folder / name).exists():
            maker(folder / name)


def _small(path: Path) -> None:
    path.write_bytes(pickle.dumps({"weights": [float(i) for i in range(20)], "name": "small"}))


def _checkpoint(path: Path) -> None:
    import torch

    torch.save({f"layer{i}.weight": torch.rand(2048, 2048) for i in range(60)}, path)


def _forests(path: Path) -> None:
    import joblib
    import numpy
    from sklearn.ensemble import RandomForestClassifier

    random = numpy.random.default_rng(0)
    forest = RandomForestClassifier(n_estimators=165, n_jobs=2, random_state=0)
    forest.fit(random.random((40_000, 20)), random.integers(0, 2, 40_000))
    (path.parent / "forest.pkl").write_bytes(pickle.dumps(forest))
    joblib.dump(forest, path.parent / "forest.joblib")


def _opcodes(path: Path) -> None:
    # Two opcodes of two bytes and one of one byte in turn: 16.7 MB, ten million opcodes.
    path.write_bytes(pickle.dumps([value for i in range(3_333_000) for value in (i & 255, (i * 7) & 255, None)], 4))


def _records(path: Path) -> None:
    rows = [{"id": i, "score": i / 7, "name": f"row{i}", "ok": True, "at": (i, None)} for i in range(530_000)]
    path.write_bytes(pickle.dumps(rows, 4))


def _many(path: Path) -> None:
    partial = path.with_suffix(".partial")
    partial.mkdir(exist_ok=True)
    for i in range(10_000):
        (partial / f"{i:05}.pkl").write_bytes(pickle.dumps({"id": i, "values": [i, i / 3, str(i)]}))
    partial.rename(path)


def _safetensors(path: Path) -> None:
    count, size = 60, 16 << 20
    header = {
        f"layer{i}.weight": {"dtype": "F32", "shape": [2048, 2048], "data_offsets": [i * size, (i + 1) * size]}
        for i in range(count)
    }
    encoded = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(encoded)) + encoded)
        for i in range(count):
            file.write(bytes([i]) * size)


def _laughs(path: Path) -> None:
    # A call with lists in lists, each ten times the one below: 10,000,000,000 texts for whoever writes them out.
    text = b"U\x20" + b"lol " * 8
    lists = b"(" * 10 + text + (b"2" * 9 + b"l") * 10
    path.write_bytes(b"ccollections\nOrderedDict\n((" + text + lists + b"dtR.")


def _stacked(path: Path) -> None:
    path.write_bytes(pickle.dumps([1, 2, 3], 2) * 500_000)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
