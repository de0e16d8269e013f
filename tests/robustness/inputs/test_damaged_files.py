"""Whatever happens to a file, reading it gives data or one line that says why not."""

import gzip
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from garrison.core.errors import UsageError
from garrison.robustness.inputs.reading import read

IMAGES = np.random.default_rng(0).integers(0, 255, (6, 3, 3), dtype=np.uint8)
LABELS = np.arange(6) % 2
FILES = [
    "plain.npz",
    "packed.npz",
    "x.npy",
    "images.idx3",
    "labels.idx1",
    "d.csv",
    "d.csv.gz",
    "d.jsonl",
    "a/0.png",
    "b/0.jpg",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    np.savez(tmp_path / "plain.npz", x=IMAGES, y=LABELS)
    np.savez_compressed(tmp_path / "packed.npz", x=IMAGES, y=LABELS.astype("U3"))
    np.save(tmp_path / "x.npy", IMAGES)
    np.save(tmp_path / "y.npy", LABELS)
    (tmp_path / "images.idx3").write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 6, 3, 3) + IMAGES.tobytes())
    (tmp_path / "labels.idx1").write_bytes(struct.pack(">BBBB1I", 0, 0, 8, 1, 6) + LABELS.astype("u1").tobytes())
    (tmp_path / "d.csv").write_text('a,b,label\n1,x,0\n2,y,1\n3,"z, w",0\n')
    (tmp_path / "d.csv.gz").write_bytes(gzip.compress((tmp_path / "d.csv").read_bytes(), mtime=0))
    (tmp_path / "d.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": "c", "label": "d"}\n')
    for name in ("a/0.png", "b/0.jpg"):
        (tmp_path / "images" / name).parent.mkdir(parents=True)
        Image.fromarray(IMAGES[0]).save(tmp_path / "images" / name)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_damage_is_said_in_one_line(name: str, folder: Path) -> None:
    path = folder / "images" / name if "/" in name else folder / name
    opened = folder / "images" if "/" in name else folder / "images.idx3" if "idx" in name else path
    labels = folder / "y.npy" if name == "x.npy" else None
    assert len(read(opened, labels=labels)) > 1
    sound = path.read_bytes()
    chance = random.Random(name)
    refused = 0
    for _ in range(150):
        path.write_bytes(_damaged(sound, chance))
        try:
            read(opened, labels=labels)
        except UsageError as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
    assert refused > 10


def _damaged(sound: bytes, chance: random.Random) -> bytes:
    found = bytearray(sound)
    for _ in range(chance.randint(1, 4)):
        place, kind = chance.randrange(len(found) + 1), chance.random()
        if kind < 0.6:
            found[place : place + 1] = bytes([chance.randrange(256)])
        elif kind < 0.8:
            del found[place:]
        else:
            found[place:place] = chance.randbytes(chance.randint(1, 8))
    return bytes(found)
