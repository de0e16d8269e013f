"""What holds for locks of every format: wrong types and odd bytes end in a state, never in a failure."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Package
from garrison.dependencies.file_names import of_conda, of_npm, of_python
from garrison.dependencies.locked import Locked, Origin, index, version_control
from tests.support import assert_no_failure, examine_bytes

TOML = ("poetry.lock", "uv.lock", "pdm.lock", "pylock.toml", "Cargo.lock")
PLAIN = (
    "Pipfile.lock",
    "package-lock.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "conda-lock.yml",
    "pixi.lock",
)
NAMES = (*TOML, *PLAIN, "go.mod", "go.sum")
KEYS = [
    *("package", "packages", "metadata", "files", "name", "version", "source", "dependencies", "wheels", "sdist"),
    *("hash", "url", "hashes", "groups", "extras", "manifest", "members", "vcs", "archive", "directory", "index"),
    *("registry", "git", "resolution", "integrity", "importers", "snapshots", "default", "develop", "_meta"),
    *("sources", "lockfileVersion", "lock-version", "__metadata", "manager", "platform", "conda", "pypi", "kind"),
]
VALUES = st.recursive(
    st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "1.0", "https://example.org/a-1.0.tar.gz", "."]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=6)


def inline(value: object) -> str:
    """A value as TOML writes it on a line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {inline(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    return json.dumps(value)


@settings(deadline=None)
@given(DOCUMENTS)
def test_any_types_under_any_key_end_in_a_state(document: dict[str, object]) -> None:
    text = "\n".join(f"{json.dumps(key)} = {inline(value)}" for key, value in document.items())
    for name in TOML:
        assert_no_failure(text.encode(), name)
    for name in PLAIN:
        assert_no_failure(json.dumps(document).encode(), name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "data", [b"\0", b"\x80\x04", b"\xff\xfe{\0}\0", b"\xef\xbb\xbf{}", b"\x93NUMPY" * 9, b"{", b"[[", b"a" * 99]
)
def test_other_bytes_under_the_name_of_a_lock_never_pass_for_one(name: str, data: bytes) -> None:
    assert examine_bytes(data, name)[-1].state != "examined"


def packages(found: Locked) -> list[Package]:
    return [fact for fact in found.facts() if isinstance(fact, Package)]


def test_names_and_passwords_of_addresses_stay_out() -> None:
    found = Locked("x")
    found.add("pypi", "a", "1", origin=index("https://user:secret@example.org/simple"))
    found.add("pypi", "b", "1", origin=version_control("git", "https://token:x@example.org/b", "c" * 40))
    assert "secret" not in repr(packages(found)) and "token" not in repr(packages(found))
    assert packages(found)[0].source == "https://example.org/simple"


def test_an_entry_that_stands_twice_counts_once() -> None:
    found = Locked("x")
    for hashes in (["sha256:a"], ["sha256:a"], ["sha256:b"]):
        found.add("pypi", "a", "1", hashes=hashes)
    found.add("pypi", "a", "1", group="dev")
    assert [(fact.group, fact.hashes) for fact in packages(found)] == [("", ("sha256:a", "sha256:b")), ("dev", ())]


def test_absurd_names_are_counted_and_not_kept() -> None:
    found = Locked("x")
    found.add("pypi", "a" * 10_000, "1")
    found.add("pypi", "b", "")
    found.add("pypi", "c", "", origin=Origin("path", "./c"))
    assert packages(found) == [] and "2 entries" in repr(list(found.facts()))


@pytest.mark.parametrize(
    ("address", "name", "version", "same"),
    [
        ("x/Flask_Login-0.6.3.tar.gz", "flask-login", "0.6.3", True),
        ("zope.interface-5.0.zip", "zope-interface", "5.0.0", True),
        ("torch-2.1.0%2Bcu118-cp311-cp311-linux_x86_64.whl", "torch", "2.1.0+cu118", True),
        ("https://github.com/o/r/archive/main.zip", "r", "1", True),
        ("backports.tarfile-1.2.0-py3-none-any.whl", "backports-tarfile", "1.2.0", True),
        ("s3fs-2023.01.01.tar.gz", "s3fs", "2023.1.1", True),
        ("antlr4-python3-runtime-4.9.3.tar.gz", "antlr4-python3-runtime", "4.9.3", True),
        ("https://x/a-1.0.tar.gz?b#c-2.0.tar.gz", "a", "1.0", True),
        ("pytset-8.tar.gz", "pytest", "8", False),
        ("x-1.0.0.tar.gz", "x", "1.0.1", False),
        ("x-1.0.0-1-py3-none-any.whl", "x", "1.0", True),
        ("x-evil-1.0.0.tar.gz", "x", "1.0.0", False),
        ("x-1.0.0-evil-2.0.whl", "y", "1.0.0", False),
    ],
)
def test_files_of_python(address: str, name: str, version: str, same: bool) -> None:
    assert of_python(address, name, version) is same


@pytest.mark.parametrize(
    ("address", "name", "same"),
    [
        ("https://registry.npmjs.org/@a/b/-/b-1.0.0.tgz", "@a/b", True),
        ("https://registry.npmjs.org/@a%2fb/-/b-1.0.0.tgz", "@a/b", True),
        ("https://x/artifactory/api/npm/npm/@a/b/-/@a/b-1.0.0.tgz", "@a/b", True),
        ("https://npm.pkg.github.com/download/@o/n/1.0.0/abc", "@o/n", True),
        ("https://registry.npmjs.org/@z/b/-/b-1.0.0.tgz", "@a/b", False),
        ("https://registry.npmjs.org/@z/b/-/b-1.0.0.tgz", "b", False),
        ("https://registry.npmjs.org/c/-/c-1.0.0.tgz", "b", False),
    ],
)
def test_tarballs_of_npm(address: str, name: str, same: bool) -> None:
    assert of_npm(address, name, "1.0.0") is same


def test_files_of_conda() -> None:
    assert of_conda("https://x/noarch/a-b-1.0-0.conda", "a-b", "1.0") and of_conda("./local", "a", "1")
    assert not of_conda("https://x/noarch/a-b-1.0-0.conda", "a", "1.0")
