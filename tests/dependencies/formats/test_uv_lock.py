"""uv's locks: what they fix, who asks for it, and addresses that are not what they say."""

import pytest
from hypothesis import given, settings

from garrison.core.facts import Package
from tests.support import assert_no_failure, damaged, facts_of, findings_of, worst

HASH = "sha256:" + "a" * 64
FILES = "https://files.pythonhosted.org/packages/28/52"
LOCK = f"""version = 1
revision = 3
requires-python = ">=3.11"
resolution-markers = [
    "sys_platform == 'darwin'",
    "sys_platform != 'darwin'",
]

[manifest]
members = ["app", "lib"]

[[package]]
name = "app"
version = "0.1.0"
source = {{ editable = "." }}
dependencies = [
    {{ name = "numpy", version = "1.26.4", source = {{ registry = "https://pypi.org/simple" }} }},
    {{ name = "lib" }},
    {{ name = "tool", extra = ["fast"] }},
]

[package.optional-dependencies]
gpu = [
    {{ name = "torch" }},
]

[package.dev-dependencies]
dev = [
    {{ name = "pytest" }},
]

[[package]]
name = "lib"
source = {{ directory = "packages/lib" }}

[[package]]
name = "numpy"
version = "1.26.4"
source = {{ registry = "https://pypi.org/simple" }}
resolution-markers = [
    "sys_platform == 'darwin'",
]
sdist = {{ url = "{FILES}/numpy-1.26.4.tar.gz", hash = "{HASH}", size = 1 }}
wheels = [
    {{ url = "{FILES}/numpy-1.26.4-cp311-cp311-macosx_11_0_arm64.whl", hash = "sha256:{"b" * 64}", size = 2 }},
]

[[package]]
name = "numpy"
version = "2.0.0"
source = {{ registry = "https://pypi.org/simple" }}
resolution-markers = [
    "sys_platform != 'darwin'",
]
wheels = [
    {{ url = "{FILES}/numpy-2.0.0-cp311-cp311-linux_x86_64.whl", hash = "{HASH}", size = 2 }},
]

[[package]]
name = "tool"
version = "3"
source = {{ git = "https://github.com/owner/tool?rev=v3#84748be16341b76e073d117329f7f5f4ee2941ad" }}

[package.optional-dependencies]
fast = [
    {{ name = "speedups" }},
]

[[package]]
name = "speedups"
version = "1.0"
source = {{ url = "{FILES}/speedups-1.0.tar.gz" }}
sdist = {{ hash = "{HASH}" }}

[[package]]
name = "torch"
version = "2.1.0+cu121"
source = {{ registry = "https://download.pytorch.org/whl/cu121" }}
wheels = [
    {{ url = "https://download.pytorch.org/whl/cu121/torch-2.1.0%2Bcu121-cp311-linux_x86_64.whl", hash = "{HASH}" }},
]

[[package]]
name = "pytest"
version = "8.0.0"
source = {{ registry = "https://pypi.org/simple" }}
sdist = {{ url = "{FILES}/pytest-8.0.0.tar.gz", hash = "{HASH}", size = 1 }}
"""


def packages(text: str) -> dict[tuple[str, str], Package]:
    found = [fact for fact in facts_of(text.encode(), "uv.lock") if isinstance(fact, Package)]
    return {(fact.name, fact.version): fact for fact in found}


def test_each_version_with_its_files_and_marker() -> None:
    found = packages(LOCK)
    assert len(found) == 7
    numpy = found["numpy", "1.26.4"]
    assert numpy.hashes == (HASH, "sha256:" + "b" * 64) and numpy.marker == "sys_platform == 'darwin'"
    assert numpy.source == "" and numpy.purl == "pkg:pypi/numpy@1.26.4" and numpy.place == "line 36"
    assert found["tool", "3"].source == "git+https://github.com/owner/tool@84748be16341b76e073d117329f7f5f4ee2941ad"
    assert found["app", "0.1.0"].source == "." and found["app", "0.1.0"].direct is None


def test_who_asks_for_it_is_told() -> None:
    groups = {key: fact.group for key, fact in packages(LOCK).items()}
    assert groups["torch", "2.1.0+cu121"] == "gpu" and groups["pytest", "8.0.0"] == "dev"
    assert groups["speedups", "1.0"] == "" and groups["numpy", "1.26.4"] == ""
    direct = {name: fact.direct for (name, _), fact in packages(LOCK).items()}
    assert direct["tool"] is True and direct["speedups"] is False and direct["torch"] is True


def test_an_ordinary_lock_gives_no_finding() -> None:
    assert findings_of(LOCK.encode(), "uv.lock") == []


@pytest.mark.parametrize(
    ("honest", "hostile", "rule", "severity"),
    [
        (f"{FILES}/pytest-8.0.0.tar.gz", f"{FILES}/pytset-8.0.0.tar.gz", "lock-injection", "high"),
        (f"{FILES}/pytest-8.0.0.tar.gz", f"{FILES}/pytest-7.9.0.tar.gz", "lock-injection", "high"),
        (f"{FILES}/numpy-2.0.0-cp311", f"{FILES}/nunpy-2.0.0-cp311", "lock-injection", "high"),
        (f"{FILES}/pytest-8.0.0", "https://files.example.org/pytest-8.0.0", "lock-foreign-address", "high"),
        (f"{FILES}/pytest-8.0.0", "https://pypi.org.example.org/pytest-8.0.0", "lock-foreign-address", "high"),
        (f"{FILES}/speedups-1.0", "http://example.org/speedups-1.0", "package-source", "low"),
        (f'url = "{FILES}/pytest-8.0.0.tar.gz", hash = "{HASH}"', f'url = "{FILES}/pytest-8.0.tar.gz"', "lock-unhashed", "low"),  # noqa: E501
    ],
)  # fmt: skip
def test_addresses_that_are_not_what_they_say(honest: str, hostile: str, rule: str, severity: str) -> None:
    assert honest in LOCK
    found = findings_of(LOCK.replace(honest, hostile).encode(), "uv.lock")
    assert [item.rule for item in found] == [rule] and worst(found) == severity


def test_a_mirror_that_the_lock_names_is_no_injection() -> None:
    mirror = "https://pypi.tuna.tsinghua.edu.cn"
    text = LOCK.replace("https://pypi.org/simple", f"{mirror}/simple").replace(FILES, f"{mirror}/packages")
    assert findings_of(text.encode(), "uv.lock") == []


@settings(deadline=None)
@given(damaged(LOCK.encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "uv.lock")
