"""GGUF: what it tells of itself, the templates it carries, and headers that lie."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from garrison.core.limits import Limits
from tests.artifacts.formats.weights import Gguf, model
from tests.support import examine_bytes, findings_of, worst

ESCAPE = "{% for x in ().__class__.__base__.__subclasses__() %}{{ x()._module.__builtins__ }}{% endfor %}"
HONEST = model().bytes()


def rules_of(data: bytes) -> set[str]:
    return {item.rule for item in findings_of(data, "model.gguf")}


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("order", ["<", ">"])
def test_honest_models_of_every_version_and_byte_order_give_nothing(version: int, order: str) -> None:
    data = model(version, order).bytes()
    assert findings_of(data, "model.gguf") == []
    last = examine_bytes(data, "model.gguf")[-1]
    assert last.formats == ["gguf"] and last.state == "examined"
    details = next(fact.details for fact in last.facts if isinstance(fact, Artifact))
    assert details["architecture"] == "llama" and details["licence"] == "apache-2.0"
    assert details["quantisation"] == "Q4_0" and details["context_length"] == 4096
    assert details["tensors"] == 3 and details["parameters"] == 15 + 64 + 7
    assert details["byte_order"] == ("big" if order == ">" else "little")


@pytest.mark.parametrize("key", ["tokenizer.chat_template", "tokenizer.chat_template.tool_use", "general.description"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_template_that_climbs_out_is_critical_wherever_it_stands(key: str, order: str) -> None:
    data = model(3, order).entry(key, 8, ESCAPE).bytes()
    assert any(item.rule == "template-escape" and key in item.subject for item in findings_of(data))
    assert worst(findings_of(data)) == "critical"


def test_a_template_in_a_repeated_key_or_an_array_is_found() -> None:
    repeated = model().entry("tokenizer.chat_template", 8, ESCAPE).bytes()
    assert {"template-escape", "weights-structure"} <= rules_of(repeated)
    listed = model().entry("tokenizer.chat_templates", 9, (8, ["plain", ESCAPE])).bytes()
    assert "template-escape" in rules_of(listed)


def test_templates_are_found_although_the_number_of_tensors_lies() -> None:
    data = model().entry("tokenizer.chat_template.x", 8, ESCAPE).bytes(tensors=0x1D1D1D1D1D1D1D1D)
    assert {"template-escape", "weights-length-overflow"} <= rules_of(data)


def lies() -> dict[str, bytes]:
    made = Gguf()
    huge = [0xFFFFFFFFFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0x80000001]
    found = {}
    for value in huge:
        found[f"tensors {value:#x}"] = model().bytes(tensors=value)
        found[f"entries {value:#x}"] = model().bytes(entries=value)
        found[f"key {value:#x}"] = Gguf().raw_entry(made.pack("Q", value) + b"A" * 100).bytes()
        text = made.text("general.name") + made.pack("IQ", 8, value) + b"overflow"
        found[f"text {value:#x}"] = Gguf().raw_entry(text).bytes()
        for kind in (0, 8, 9, 12):
            array = made.text("k") + made.pack("IIQ", 9, kind, value) + b"12345678"
            found[f"array of {kind} {value:#x}"] = Gguf().raw_entry(array).bytes()
        token = made.text("t") + made.pack("IIQ", 9, 8, 300) + made.pack("Q", value) + bytes(8 * 300)
        found[f"token {value:#x}"] = Gguf().raw_entry(token).bytes()
    found["dimensions"] = model().tensor("d", [1] * 5, 0, 160, 4).bytes()
    found["elements"] = model().tensor("d", [1 << 32, 1 << 32], 0, 160, 4).bytes()
    wrapped = model()
    wrapped.tensors.append(wrapped.text("w") + wrapped.pack("IQIQ", 1, 4, 0, (1 << 64) - 32))
    found["offset"] = wrapped.bytes()
    summed = model()
    for number in range(8):
        summed.tensors.append(summed.text(f"s{number}") + summed.pack("IQIQ", 1, 1 << 58, 0, 0))
    found["sum"] = summed.bytes()
    return found


@pytest.mark.parametrize("name", lies())
def test_lengths_that_wrap_in_native_readers_are_high(name: str) -> None:
    found = findings_of(lies()[name], "model.gguf")
    assert any(item.rule == "weights-length-overflow" and item.severity == "high" for item in found)
    assert examine_bytes(lies()[name])[-1].state == "partial"


def structures() -> dict[str, bytes]:
    control = model().entry("general.\x1b[2Jname", 8, "x").bytes()
    return {
        "traversing key": model().entry("../../../../etc/passwd", 8, "root:x:0:0").bytes(),
        "control key": control,
        "repeated key": model().entry("general.name", 8, "Other").bytes(),
        "repeated tensor": model().tensor("c", [7], 1, 160, 14).bytes(),
        "shared bytes": model().tensor("d", [7], 1, 128, 14).bytes(),
        "long name": model().tensor("n" * 64, [7], 1, 160, 14).bytes(),
        "not aligned": model().tensor("d", [1], 1, 145, 2).bytes(),
        "alignment 0": model().entry("general.alignment", 4, 0).bytes(),
        "alignment 3": model().entry("general.alignment", 4, 3).bytes(),
        "alignment of 64 bits": model().entry("general.alignment", 10, 32).bytes(),
        "arrays in arrays": model().entry("k", 9, (9, [(5, [1]), (5, [2])])).bytes(),
        "part of a block": model().tensor("d", [33], 2, 160, 36).bytes(),
    }


@pytest.mark.parametrize("name", structures())
def test_structure_that_loaders_refuse_is_medium(name: str) -> None:
    found = [item for item in findings_of(structures()[name], "model.gguf") if item.rule == "weights-structure"]
    assert [item.severity for item in found][:1] == ["medium"]


def test_bytes_behind_the_tensors_are_stated_and_examined() -> None:
    hidden = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R."
    padded = HONEST + bytes(-len(HONEST) % 32)
    assert findings_of(padded, "model.gguf") == []
    assert {"unaccounted-bytes", "dangerous-import"} <= rules_of(HONEST + hidden)


def test_tensors_past_the_end_are_malformed_and_a_split_without_tensors_is_fine() -> None:
    assert {item.severity for item in findings_of(HONEST[:-3], "m.gguf")} == {"low"}
    split = Gguf().entry("split.no", 2, 0).entry("split.count", 2, 3).entry("split.tensors.count", 5, 9).bytes()
    assert findings_of(split, "m-00001-of-00003.gguf") == []


def test_deep_arrays_and_unknown_versions_end_in_coverage() -> None:
    made = Gguf()
    deep = made.text("k") + made.pack("I", 9) + made.pack("IQ", 9, 1) * 5000 + made.pack("IQ", 5, 0)
    assert examine_bytes(Gguf().raw_entry(deep).bytes())[-1].state == "partial"
    assert examine_bytes(b"GGUF" + bytes([9, 0, 0, 0]) + bytes(40))[-1].state == "not-understood"


def test_texts_beyond_the_buffer_end_in_a_limit_and_keep_what_came_before() -> None:
    data = model().entry("a", 8, ESCAPE).entry("b", 8, "x" * 60_000).entry("c", 8, "x" * 60_000).bytes()
    examinations = examine_bytes(data, limits=Limits(buffer=100_000))
    assert examinations[-1].state == "partial"
    assert any(examination.formats == ["jinja"] for examination in examinations)


def test_a_large_vocabulary_is_skipped_quickly() -> None:
    tokens = b"".join(len(word).to_bytes(8, "little") + word for word in (b"token%d" % n for n in range(150_000)))
    made = Gguf()
    data = model().raw_entry(made.text("t") + made.pack("IIQ", 9, 8, 150_000) + tokens).bytes()
    start = time.process_time()
    assert findings_of(data, "model.gguf") == []
    assert time.process_time() - start < 1.5


def test_truncation_at_every_length_never_fails() -> None:
    short = model()
    del short.entries[-2]
    data = short.bytes()
    for length in range(4, len(data)):
        last = examine_bytes(data[:length])[-1]
        assert last.state != "failed", (length, last.reason)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 30))
def test_flipped_bytes_never_fail(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(HONEST)
    for _ in range(chance.randrange(1, 6)):
        data[chance.randrange(4, 900)] = chance.choice([0, 1, 8, 9, 127, 128, 255, chance.randrange(256)])
    for examination in examine_bytes(bytes(data)):
        assert examination.state != "failed", examination.reason


def test_a_tokenizer_in_json_is_examined_as_a_document() -> None:
    data = model().entry("tokenizer.huggingface.json", 8, '{"_target_": "os.system", "_args_": ["id"]}').bytes()
    assert worst(findings_of(data)) == "critical"
