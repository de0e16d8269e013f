"""Standard lock files of Python."""

import pytest
from hypothesis import given, settings

from garrison.core.facts import Package, Requirement
from tests.support import assert_no_failure, damaged, facts_of, findings_of, worst

DIGEST = "a" * 64
FILES = "https://files.pythonhosted.org/packages/fc/30"
LOCK = f"""lock-version = '1.0'
requires-python = '>=3.11'
extras = ["security"]
created-by = 'mousebender'

[[packages]]
name = 'attrs'
version = '25.1.0'
index = 'https://pypi.org/simple'
wheels = [
  {{name = 'attrs-25.1.0-py3-none-any.whl', url = '{FILES}/attrs-25.1.0-py3-none-any.whl', hashes = {{sha256 = '{DIGEST}'}}}},
]
[[packages.attestation-identities]]
kind = 'GitHub'

[[packages]]
name = "certifi"
version = "2025.01.31"
marker = "python_version >= \\"3.6\\" and \\"security\\" in extras"
dependencies = [{{name = "attrs"}}]
[packages.sdist]
name = "certifi-2025.1.31.tar.gz"
hashes = {{sha256 = "{DIGEST}", md5 = "x"}}

[[packages]]
name = "mine"
directory = {{path = ".", editable = true}}

[[packages]]
name = "mleroc"
version = "0.1.0"
vcs = {{ type = "git", url = "https://github.com/Veggente/mleroc.git", commit-id = "735093f03c4d8be70bfaaae44074ac92d7419b6d" }}

[[packages]]
name = "packed"
version = "1.0"
archive = {{ url = "{FILES}/packed-1.0.tar.gz", hashes = {{sha256 = "{DIGEST}"}} }}
"""  # noqa: E501


def packages(text: str) -> dict[str, Package]:
    return {fact.name: fact for fact in facts_of(text.encode(), "pylock.toml") if isinstance(fact, Package)}


def test_every_kind_of_source() -> None:
    found = packages(LOCK)
    assert found["attrs"].hashes == (f"sha256:{DIGEST}",) and found["attrs"].place == "line 6"
    assert found["certifi"].group == "security" and found["certifi"].dependencies == ("attrs",)
    assert found["mleroc"].source.endswith("mleroc.git@735093f03c4d8be70bfaaae44074ac92d7419b6d")
    assert found["packed"].source == f"{FILES}/packed-1.0.tar.gz" and found["packed"].hashes == (f"sha256:{DIGEST}",)
    assert [fact.source for fact in facts_of(LOCK.encode(), "pylock.toml") if isinstance(fact, Requirement)] == ["."]
    assert findings_of(LOCK.encode(), "pylock.dev.toml") == []


@pytest.mark.parametrize(
    ("honest", "hostile", "rule"),
    [
        (f"{FILES}/attrs-25", f"{FILES}/attr-25", "lock-injection"),
        (f"{FILES}/attrs-25", "https://example.org/attrs-25", "lock-foreign-address"),
        ('"certifi-2025.1.31.tar.gz"', '"certify-2025.1.31.tar.gz"', "lock-injection"),
    ],
)
def test_files_of_other_packages_or_places(honest: str, hostile: str, rule: str) -> None:
    assert honest in LOCK
    found = findings_of(LOCK.replace(honest, hostile).encode(), "pylock.toml")
    assert [item.rule for item in found] == [rule] and worst(found) == "high"


@settings(deadline=None)
@given(damaged(LOCK.encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "pylock.toml")
