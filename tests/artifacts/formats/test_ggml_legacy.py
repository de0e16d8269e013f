"""GGML files older than GGUF: every layout is read, and lengths that lie are told."""

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from tests.support import examine_bytes, findings_of

WORDS = [b"a", b"token", b"\xc3\xa9", b"", b"longer token"]


def numbers(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


def words(*, scored: bool = False) -> bytes:
    return b"".join(numbers(len(word)) + word + (bytes(4) if scored else b"") for word in WORDS)


def tensors(start: int, *, aligned: bool = False, block: int = 18) -> bytes:
    found = b""
    for name, shape, kind, size in ((b"tok.weight", (8, 2), 0, 64), (b"norm", (4,), 1, 8), (b"q", (64,), 2, 2 * block)):
        found += numbers(len(shape), len(name), kind, *shape) + name
        if aligned:
            found += bytes(-(start + len(found)) % 32)
        found += b"\1" * size
    return found


def llama(magic: bytes, version: int | None, *, block: int = 18) -> bytes:
    head = magic + (numbers(version) if version is not None else b"") + numbers(len(WORDS), 8, 256, 2, 1, 4, 2)
    head += words(scored=version is not None)
    return head + tensors(len(head), aligned=magic == b"tjgg", block=block)


def whisper() -> bytes:
    head = b"lmgg" + numbers(51864, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1) + numbers(2, 3) + bytes(24)
    head += numbers(len(WORDS)) + words()
    return head + tensors(len(head))


def gpt(fields: int) -> bytes:
    head = b"lmgg" + numbers(len(WORDS), 1024, 768, 12, 12, *([1] * (fields - 6)), 2)
    head += numbers(len(WORDS)) + words()
    return head + tensors(len(head))


def adapter() -> bytes:
    head = b"algg" + numbers(1, 8, 16)
    return head + tensors(len(head), aligned=True)


HONEST = {
    "ggml": (llama(b"lmgg", None), "llama or bert"),
    "ggml of old blocks": (llama(b"lmgg", None, block=20), "llama or bert"),
    "ggmf": (llama(b"fmgg", 1), "llama"),
    "ggjt": (llama(b"tjgg", 3), "llama"),
    "ggjt of old blocks": (llama(b"tjgg", 1, block=20), "llama"),
    "ggla": (adapter(), "llama adapter"),
    "whisper": (whisper(), "whisper"),
    "gpt-2": (gpt(6), "gpt-2"),
    "gpt-j": (gpt(7), "gpt-j"),
    "gpt-neox": (gpt(8), "gpt-neox"),
}


@pytest.mark.parametrize("name", HONEST)
def test_every_layout_is_read_to_its_end(name: str) -> None:
    data, family = HONEST[name]
    last = examine_bytes(data, "model.bin")[-1]
    assert last.formats == ["ggml"] and last.state == "examined", last.reason
    assert findings_of(data, "model.bin") == []
    details = next(fact.details for fact in last.facts if isinstance(fact, Artifact))
    assert details["family"] == family and details["tensors"] == 3 and details["parameters"] == 16 + 4 + 64


def lies() -> dict[str, bytes]:
    good = llama(b"tjgg", 3)
    first = good.index(b"tok.weight") - 20
    token = good.index(b"token") - 4
    return {
        "vocabulary": good[:8] + numbers(0xFFFFFFFF) + good[12:],
        "token": good[:token] + numbers(0xFFFFFFF0) + good[token + 4 :],
        "dimensions": good[:first] + numbers(1000) + good[first + 4 :],
        "name": good[: first + 4] + numbers(0x80000000) + good[first + 8 :],
        "elements": good[: first + 12] + numbers(0xFFFFFFFF, 0xFFFFFFFF) + good[first + 20 :],
    }


@pytest.mark.parametrize("name", lies())
def test_lengths_that_wrap_in_native_readers_are_high(name: str) -> None:
    found = findings_of(lies()[name], "model.bin")
    assert any(item.rule == "weights-length-overflow" and item.severity == "high" for item in found)
    assert examine_bytes(lies()[name])[-1].state == "partial"


def test_other_layouts_and_texts_are_not_claimed_to_be_understood() -> None:
    unknown = b"lmgg" + numbers(*range(1, 200))
    assert examine_bytes(unknown)[-1].state == "not-understood"
    assert "ggml" not in examine_bytes(b"lmgg is a word in this text, and nothing more")[-1].formats


def test_truncation_at_every_length_never_fails() -> None:
    for data, _ in HONEST.values():
        for length in range(4, len(data)):
            assert examine_bytes(data[:length])[-1].state != "failed"


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 1 << 30))
def test_flipped_bytes_never_fail(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(chance.choice(sorted(HONEST.values()))[0])
    for _ in range(chance.randrange(1, 6)):
        data[chance.randrange(4, len(data))] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
    for examination in examine_bytes(bytes(data)):
        assert examination.state != "failed", examination.reason
