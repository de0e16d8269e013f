"""Files that others sealed open here, and files that are sealed here open elsewhere."""

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest

from garrison.provenance.sealing.passphrase import Passphrase
from garrison.provenance.sealing.tagged import TaggedIdentity

from .opening import HYBRID, X25519, opened, sealed
from .test_tagged import Elsewhere

SIZES = [0, 1, 65_535, 65_536, 65_537, 3_000_001]
AGE = shutil.which("age")


def data(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_pyrage_opens_it_and_the_other_way_round(size: int) -> None:
    theirs = pyrage.x25519.Identity.from_str(str(X25519))
    assert str(theirs.to_public()) == str(X25519.recipient)
    other = pyrage.x25519.Identity.generate()
    both = sealed(data(size), [X25519.recipient])
    assert pyrage.decrypt(both, [other, theirs]) == data(size)
    assert pyrage.decrypt(sealed(data(size), [X25519.recipient], armored=True), [theirs]) == data(size)
    for armored in (False, True):
        assert opened(pyrage.encrypt(data(size), [other.to_public(), theirs.to_public()], armored=armored)) == data(
            size
        )


def test_pyrage_and_passphrases() -> None:
    assert pyrage.passphrase.decrypt(sealed(b"text", [Passphrase(b"words", 8)]), "words") == b"text"


def test_pyrage_seals_for_a_key_that_lies_elsewhere() -> None:
    identity = TaggedIdentity(Elsewhere())
    theirs = pyrage.tag.Recipient.from_str(str(identity.recipient))
    assert opened(pyrage.encrypt(b"text", [theirs]), identity) == b"text"


@pytest.mark.skipif(AGE is None, reason="age is not installed")
@pytest.mark.parametrize("armored", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_age_opens_it_and_the_other_way_round(tmp_path: Path, size: int, armored: bool) -> None:
    (tmp_path / "key").write_text(f"{X25519}\n")
    ours = sealed(data(size), [X25519.recipient], armored=armored)
    done = subprocess.run(["age", "-d", "-i", tmp_path / "key"], input=ours, capture_output=True, check=True)
    assert done.stdout == data(size)
    command = ["age", "-r", str(X25519.recipient), *["-a"] * armored]
    theirs = subprocess.run(command, input=data(size), capture_output=True, check=True).stdout
    assert opened(theirs) == data(size)


def test_hybrid_round_trip() -> None:
    assert opened(sealed(data(100_000), [HYBRID.recipient] * 2)) == data(100_000)


def test_a_tagged_recipient_beside_another() -> None:
    identity = TaggedIdentity(Elsewhere(9))
    both = sealed(b"text", [identity.recipient, X25519.recipient])
    assert opened(both, identity) == opened(both, X25519) == b"text"


@pytest.mark.parametrize("direction", ["seal", "unseal"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, direction: str) -> None:
    """What opens 200 MB holds no more than what opens 20 MB, give or take what allocators do."""
    script = """
import io, resource, sys
from garrison.provenance.sealing.sealed_file import seal, unseal
from garrison.provenance.sealing.x25519 import X25519Identity
class Zeros(io.RawIOBase):
    left = int(sys.argv[2])
    def readable(self): return True
    def readinto(self, buffer):
        size = min(len(buffer), self.left)
        self.left -= size
        buffer[:size] = bytes(size)
        return size
class Nowhere:
    def write(self, data): return len(data)
key = X25519Identity(bytes(range(32)))
if sys.argv[1] == "seal":
    seal(io.BufferedReader(Zeros()), Nowhere(), [key.recipient])
else:
    path = sys.argv[3]
    with open(path, "wb") as target: seal(io.BufferedReader(Zeros()), target, [key.recipient])
    with open(path, "rb") as source: unseal(source, Nowhere(), [key])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    peaks = [
        int(subprocess.check_output([sys.executable, "-c", script, direction, str(size), str(tmp_path / "file")]))
        for size in (20_000_000, 200_000_000)
    ]
    assert peaks[1] < peaks[0] + 16_000, peaks
