"""The quick reader of TOML says what the general one says, or nothing."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.dependencies import machine_toml
from tests.support import damaged

SAMPLE = b"""# comment
version = 1
requires-python = ">=3.11"

[[package]]
name = "a"
version = "1.0"
source = { registry = "https://pypi.org/simple" }
dependencies = [
    { name = "b", marker = "sys_platform == 'linux'" },
    { name = "c", version = "1", source = { registry = "x" } },
]
wheels = [
    { url = "https://x/a.whl", hash = "sha256:00", size = 12, upload-time = "2025" },
    {file = "a.whl", hash = "sha256:00"},
]
"quoted key" = 'literal'

[package.optional]
d = {version = ">=1", optional = true}
e = ["x", "y"]

[package.optional.f]
g = 1.5

[[package]]
name = "b \\"quoted\\""

[metadata]
lock-version = "2.1"
"""


def same(text: str) -> bool:
    """Whether it agrees with the general reader or gives up."""
    found = machine_toml.read(text, lambda: None)
    if found is None:
        return True
    try:
        return found == tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False


def test_the_shapes_of_locks_are_read() -> None:
    text = SAMPLE.decode()
    assert machine_toml.read(text, lambda: None) == tomllib.loads(text)
    assert machine_toml.read(text.replace("\n", "\r\n"), lambda: None) == tomllib.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        'a = 1\na = 2',
        'a = {b = "1", b = "2"}',
        'a = [\n{b = "1", b = "2"},\n]',
        'a = {b = "1"}\n[a.c]\n',
        'a = [{b = "1"}]\n[[a]]\n',
        "[a]\n[a]\n",
        "[[a]]\n[a]\n",
        "[a]\n[[a]]\n",
        "[a.b]\n[a]\nc = 1\n",
        'a = [\n"x"\n"y"\n]',
        'a = [\n"x",\n',
        'a = [\n{b = "1"}\n{c = "2"},\n]',
        'a = """\n[[package]]\nname = "b"\n"""',
        'a = "\t"',
        'a = "\x01"',
        "a = 01",
        "a = {b = 01}",
        'a = [\n{a = "b", c = "d", e = 01, f = "g"},\n]',
        "# \x01",
        "a.b = 1\n[a]\n",
        "[a]]\n",
        "[[a]\n",
        '[""]\na = 1',
        '"" = 1',
        'a = "x" # remark',
        'a = [\n"x", # remark\n]',
        'a = [\n# remark\n"x",\n]',
        'a = [\n["x"], ["y"],\n]',
        "a = 1979-05-27",
        "a = [ ]\n[b]\nc = {}\n",
        "=",
        "\ufeffa = 1",
        "a = 1\x0b",
        "\x85a = 1",
        'a = [\n"x" ],\n]',
        'a = [\n] \n',
        'a = [\n"x"], b = [\n]',
    ],
)  # fmt: skip
def test_what_is_odd_is_left_to_the_general_reader(text: str) -> None:
    assert same(text)


@settings(deadline=None)
@given(damaged(SAMPLE))
def test_damage_never_makes_a_difference(data: bytes) -> None:
    assert same(data.decode("latin-1"))


LINES = st.lists(st.sampled_from([*SAMPLE.decode().split("\n"), "]", "a = [", "[a]", "[[a]]", "[a.b]", "{a = 1},"]))


@settings(deadline=None)
@given(LINES)
def test_lines_in_any_order_never_make_a_difference(lines: list[str]) -> None:
    assert same("\n".join(lines))
