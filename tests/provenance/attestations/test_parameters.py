"""Parameters: what files and options say becomes plain JSON, or is refused."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.provenance.attestations.parameters import load, merged, parsed

PLAIN = {"lr": 0.1, "layers": [1, 2], "opt": {"name": "größer"}, "none": None, "amp": True}
FILES = {
    "p.json": '{"lr": 0.1, "layers": [1, 2], "opt": {"name": "größer"}, "none": null, "amp": true}',
    "p.yaml": "lr: 0.1\nlayers: [1, 2]\nopt:\n  name: größer\nnone:\namp: yes\n",
    "p.yml": "{lr: 0.1, layers: [1, 2], opt: {name: größer}, none: ~, amp: true}",
}


def loaded(directory: Path, name: str, text: "str | bytes") -> dict[str, Any]:
    (directory / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(str(directory / name))


@pytest.mark.parametrize("name", FILES)
def test_files_say_the_same(name: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, name, FILES[name]) == PLAIN


def test_toml_and_times(tmp_path: Path) -> None:
    found = loaded(tmp_path, "p.toml", "day = 2026-01-02\n[opt]\nbetas = [0.9, 0.999]\n")
    assert found == {"day": "2026-01-02", "opt": {"betas": [0.9, 0.999]}}
    assert loaded(tmp_path, "p.yaml", "day: 2026-01-02\n") == {"day": "2026-01-02"}


HOSTILE = {
    "a key twice in JSON": ("p.json", '{"a": 1, "a": 2}'),
    "a key twice in YAML": ("p.yaml", "a: 1\na: 2\n"),
    "a key twice below": ("p.yaml", "x: {a: 1, a: 2}\n"),
    "a key twice in TOML": ("p.toml", "a = 1\na = 2\n"),
    "NaN in JSON": ("p.json", '{"a": NaN}'),
    "NaN in YAML": ("p.yaml", "a: .nan\n"),
    "infinity in TOML": ("p.toml", "a = inf\n"),
    "a list": ("p.json", "[]"),
    "nothing": ("p.yaml", ""),
    "text": ("p.yaml", "text"),
    "an object": ("p.yaml", "a: !!python/object/apply:os.system [id]\n"),
    "a reference": ("p.yaml", "a: &a [1]\nb: *a\n"),
    "merged": ("p.yaml", "a: &a {x: 1}\nb:\n  <<: *a\n"),
    "a number for a key": ("p.yaml", "1: a\n"),
    "a list for a key": ("p.yaml", "? [1]\n: a\n"),
    "bytes": ("p.yaml", "a: !!binary AAAA\n"),
    "a set": ("p.yaml", "a: !!set {x}\n"),
    "a number beyond all": ("p.yaml", f"a: {'9' * 40}\n"),
    "deep YAML": ("p.yaml", "a: " + "[" * 5000 + "]" * 5000),
    "deep JSON": ("p.json", '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"),
    "deep TOML": ("p.toml", "a = " + "[" * 100_000 + "]" * 100_000),
    "no UTF-8": ("p.json", b'{"a": "\xff"}'),
    "no UTF-8 in TOML": ("p.toml", b'a = "\xff"'),
    "broken": ("p.yaml", "a: [\n"),
    "long": ("p.json", " " * (5 << 20)),
    "another ending": ("p.py", "a = 1"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_in_one_line(case: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        loaded(tmp_path, *HOSTILE[case])
    assert "\n" not in str(error.value) and str(error.value).startswith(str(tmp_path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(UsageError):
            load(str(path))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=3", 3),
        ("a=0.5", 0.5),
        ("a=true", True),
        ("a=null", None),
        ("a=adam", "adam"),
        ("a=b=c", "b=c"),
        ("a=", ""),
        ('a="3"', "3"),
        ("a=[1, 2]", [1, 2]),
        ('a={"x": 1, "x": 2}', '{"x": 1, "x": 2}'),
        ("a=NaN", "NaN"),
        ("a=1e999", "1e999"),
        ("a=99999999999999999999999", "99999999999999999999999"),
    ],
)
def test_one_parameter(text: str, value: object) -> None:
    assert parsed(text) == ("a", value)


@pytest.mark.parametrize("text", ["", "a", "=1", "a=\udcff"])
def test_what_is_no_parameter(text: str) -> None:
    with pytest.raises(UsageError):
        parsed(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_a_value(text: str) -> None:
    assert parsed(f"name={text}")[0] == "name"


def test_none_is_given_twice() -> None:
    assert merged({"a": 1}, {"b": 2}) == {"a": 1, "b": 2}
    with pytest.raises(UsageError, match="'a' is given twice"):
        merged({"a": 1}, {"a": 1})
