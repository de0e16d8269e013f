"""conda-lock: one package for all its platforms."""

from hypothesis import given, settings

from garrison.core.facts import Artifact, Package
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of, worst

CONDA = "https://conda.anaconda.org/conda-forge"


def entry(name: str, version: str, platform: str, address: str, manager: str = "conda", category: str = "main") -> str:
    return f"""- name: {name}
  version: {version}
  manager: {manager}
  platform: {platform}
  dependencies:
    python: '>=3.8'
  url: {address}
  hash:
    md5: {"c" * 32}
    sha256: {"ab" * 16}{len(platform):032d}
  category: {category}
  optional: false
"""


LOCK = (
    """# A lock file for conda-lock
version: 1
metadata:
  content_hash:
    linux-64: abc
  channels:
  - url: conda-forge
    used_env_vars: []
  platforms:
  - linux-64
  - osx-arm64
  sources:
  - environment.yml
package:
"""
    + entry("numpy", "1.10", "linux-64", f"{CONDA}/linux-64/numpy-1.10-py310_0.conda")
    + entry("numpy", "1.10", "osx-arm64", f"{CONDA}/osx-arm64/numpy-1.10-py310_1.conda")
    + entry("tzdata", "2024a", "osx-arm64", f"{CONDA}/noarch/tzdata-2024a-0.conda", category="dev")
    + entry("requests", "2.31.0", "linux-64", "https://files.pythonhosted.org/packages/70/requests-2.31.0-py3-none-any.whl", "pip")  # noqa: E501
)  # fmt: skip


def test_platforms_are_joined_and_versions_stay_text() -> None:
    facts = facts_of(LOCK.encode(), "conda-lock.yml")
    numpy, tzdata, requests = (fact for fact in facts if isinstance(fact, Package))
    assert numpy.version == "1.10" and numpy.purl == "pkg:conda/numpy@1.10?channel=conda-forge&type=conda"
    assert len(numpy.hashes) == 3 and numpy.dependencies == ("python",) and numpy.place == "package 1"
    assert tzdata.group == "dev" and "subdir=noarch" in tzdata.purl
    assert requests.purl == "pkg:pypi/requests@2.31.0"
    details = next(fact.details for fact in facts if isinstance(fact, Artifact) and fact.format == "conda-lock")
    assert details["packages"] == 3 and details["platforms"] == "linux-64, osx-arm64"
    assert findings_of(LOCK.encode(), "conda-lock.yml") == []


def test_an_address_of_another_package_is_found() -> None:
    hostile = LOCK.replace("numpy-1.10-py310_0", "nunpy-1.10-py310_0")
    found = findings_of(hostile.encode(), "conda-lock.yml")
    assert worst(found) == "high" and found[0].rule == "lock-injection"


def test_aliases_are_not_multiplied() -> None:
    bomb = "version: 1\nmetadata: &a [1, 2]\npackage:\n" + "".join(
        f"- &b{n} [{', '.join([f'*b{n - 1}' if n else '*a'] * 9)}]\n" for n in range(40)
    )
    assert_no_failure(bomb.encode(), "conda-lock.yml")


def test_another_version_is_not_read_as_this_one() -> None:
    assert examine_bytes(LOCK.replace("version: 1\nmeta", "version: 9\nmeta").encode(), "conda-lock.yml")[-1].reason


@settings(deadline=None)
@given(damaged(LOCK.encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "conda-lock.yml")


def test_merged_keys_count_as_the_writers_reader_has_it() -> None:
    text = (
        "version: 1\nmetadata: {channels: []}\n"
        f"base: &b {{name: numpy, version: '1.0', manager: conda, platform: linux-64, url: '{CONDA}/n.conda'}}\n"
        "package:\n- <<: *b\n  version: '1.2'\n"
    )
    found = [fact for fact in facts_of(text.encode(), "conda-lock.yml") if type(fact) is Package]
    assert [(fact.name, fact.version) for fact in found] == [("numpy", "1.2")]


def test_merging_is_bounded() -> None:
    keys = ", ".join(f"k{number}: v" for number in range(3000))
    text = f"version: 1\nmetadata: {{}}\nbase: &b {{{keys}}}\npackage:\n" + "- <<: *b\n" * 3000
    found = findings_of(text.encode(), "conda-lock.yml")
    assert [item for item in found if "merges more than" in item.message]


def test_a_program_that_quotes_a_lock_is_none() -> None:
    quoted = 'TEXT = """\nmetadata:\n  content_hash: {}\npackage:\n- manager: conda\n"""\n'
    program, lock = facts_of(quoted.encode(), "samples.py"), facts_of(quoted[11:-4].encode(), "other.yaml")
    assert not [fact for fact in program if type(fact) is Artifact and fact.format == "conda-lock"]
    assert [fact for fact in lock if type(fact) is Artifact and fact.format == "conda-lock"]
