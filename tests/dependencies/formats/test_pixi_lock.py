"""pixi's locks, of the versions that are about."""

from hypothesis import given, settings

from garrison.core.facts import Package
from tests.support import assert_no_failure, damaged, facts_of, findings_of, worst

CONDA = "https://conda.anaconda.org/conda-forge/linux-64"
FILES = "https://files.pythonhosted.org/packages/70"
SIX = f"""version: 6
environments:
  default:
    channels:
    - url: https://conda.anaconda.org/conda-forge/
    indexes:
    - https://pypi.org/simple
    packages:
      linux-64:
      - conda: {CONDA}/python-3.12.3-hab00c5b_0_cpython.conda
      - pypi: {FILES}/requests-2.31.0-py3-none-any.whl
packages:
- conda: {CONDA}/python-3.12.3-hab00c5b_0_cpython.conda
  sha256: {"a" * 64}
  md5: {"b" * 32}
  depends:
  - bzip2 >=1.0.8,<2.0a0
  license: Python-2.0
- pypi: {FILES}/requests-2.31.0-py3-none-any.whl
  name: requests
  version: 2.31.0
  sha256: {"c" * 64}
  requires_dist:
  - idna>=2.5,<4
- pypi: git+https://github.com/owner/tool?rev=main#84748be16341b76e073d117329f7f5f4ee2941ad
  name: tool
  version: '1.10'
- pypi: ./
  name: mine
  version: 0.1.0
  editable: true
"""
FOUR = f"""version: 4
environments: {{default: {{packages: {{}}}}}}
packages:
- kind: conda
  name: python
  version: 3.12.3
  url: {CONDA}/python-3.12.3-hab00c5b_0_cpython.conda
  sha256: {"a" * 64}
- kind: pypi
  name: requests
  version: 2.31.0
  url: {FILES}/requests-2.31.0-py3-none-any.whl
  sha256: {"c" * 64}
"""


def packages(text: str) -> dict[str, Package]:
    return {fact.name: fact for fact in facts_of(text.encode(), "pixi.lock") if isinstance(fact, Package)}


def test_packages_of_both_worlds() -> None:
    found = packages(SIX)
    python = found["python"]
    assert (python.ecosystem, python.version, python.licences) == ("conda", "3.12.3", ("Python-2.0",))
    assert python.dependencies == ("bzip2",) and python.hashes[0] == "sha256:" + "a" * 64
    assert found["requests"].dependencies == ("idna",) and found["requests"].source == ""
    assert found["tool"].version == "1.10" and "@84748be1" in found["tool"].source and found["mine"].source == "./"
    assert findings_of(SIX.encode(), "pixi.lock") == []


def test_older_versions_name_the_kind() -> None:
    assert {name: fact.purl.partition("?")[0] for name, fact in packages(FOUR).items()} == {
        "python": "pkg:conda/python@3.12.3",
        "requests": "pkg:pypi/requests@2.31.0",
    }


def test_addresses_of_other_packages_are_found() -> None:
    for honest, hostile in (("requests-2.31.0-py3", "request-2.31.0-py3"), ("python-3.12.3-h", "pithon-3.12.3-h")):
        assert worst(findings_of(FOUR.replace(honest, hostile).encode(), "pixi.lock")) == "high"


@settings(deadline=None)
@given(damaged(SIX.encode(), FOUR.encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "pixi.lock")
