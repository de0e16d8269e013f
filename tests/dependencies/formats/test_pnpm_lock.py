"""pnpm's locks, of versions 5, 6 and 9."""

import pytest
from hypothesis import given

from garrison.core.facts import Package
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of, worst

SUM = "sha512-" + "eHh4" * 21 + "eA=="
FIVE = f"""lockfileVersion: 5.4

specifiers:
  express: ^4.18.0
  short: npm:lodash@^4

dependencies:
  express: 4.18.2_supports-color@9.0.0
  short: /lodash/4.17.21

devDependencies:
  mocha: 10.0.0

packages:

  /@babel/core/7.24.0:
    resolution: {{integrity: {SUM}}}
    engines: {{node: '>=6'}}
    dev: false

  /express/4.18.2_supports-color@9.0.0:
    resolution: {{integrity: {SUM}}}
    dependencies:
      '@babel/core': 7.24.0
    dev: false

  /lodash/4.17.21:
    resolution: {{integrity: {SUM}}}
    dev: false

  /mocha/10.0.0:
    resolution: {{integrity: {SUM}}}
    hasBin: true
    dev: true

  github.com/o/tool/{"c" * 40}:
    resolution: {{tarball: https://codeload.github.com/o/tool/tar.gz/{"c" * 40}}}
    name: tool
    version: 1.10
    dev: false
"""
SIX = f"""lockfileVersion: '6.0'

dependencies:
  express:
    specifier: ^4.18.0
    version: 4.18.2(supports-color@9.0.0)

packages:

  /@babel/core@7.24.0:
    resolution: {{integrity: {SUM}}}
    dev: true

  /express@4.18.2(supports-color@9.0.0):
    resolution: {{integrity: {SUM}}}
    deprecated: |-
      Please
      move on
    dev: false
"""
NINE = f"""lockfileVersion: '9.0'

settings:
  autoInstallPeers: true

importers:

  .:
    dependencies:
      express:
        specifier: ^4.18.0
        version: 4.18.2(supports-color@9.0.0)
      short:
        specifier: npm:lodash@^4
        version: lodash@4.17.21
      tool:
        specifier: github:o/tool
        version: https://codeload.github.com/o/tool/tar.gz/{"c" * 40}
    devDependencies:
      mocha:
        specifier: ^10
        version: 10.0.0

packages:

  '@babel/core@7.24.0':
    resolution: {{integrity: {SUM}}}
    engines: {{node: '>=6.9.0'}}

  express@4.18.2:
    resolution: {{integrity: {SUM}}}
    peerDependencies:
      supports-color: '*'

  lodash@4.17.21:
    resolution: {{integrity: {SUM}}}

  mocha@10.0.0:
    resolution: {{integrity: {SUM}, tarball: https://npm.example.org/mocha/-/mocha-10.0.0.tgz}}

  tool@https://codeload.github.com/o/tool/tar.gz/{"c" * 40}:
    resolution: {{tarball: https://codeload.github.com/o/tool/tar.gz/{"c" * 40}}}
    version: 1.0.0

snapshots:

  '@babel/core@7.24.0': {{}}

  express@4.18.2(supports-color@9.0.0):
    dependencies:
      '@babel/core': 7.24.0

  lodash@4.17.21: {{}}

  mocha@10.0.0:
    dependencies:
      '@babel/core': 7.24.0
"""


def packages(text: str) -> dict[str, Package]:
    return {fact.name: fact for fact in facts_of(text.encode(), "pnpm-lock.yaml") if isinstance(fact, Package)}


@pytest.mark.parametrize("text", [FIVE, SIX, NINE])
def test_names_versions_and_hashes_of_every_version(text: str) -> None:
    found = packages(text)
    assert found["@babel/core"].version == "7.24.0" and found["express"].version == "4.18.2"
    assert found["express"].direct is True and found["@babel/core"].direct is False
    assert found["express"].hashes[0].startswith("sha512:7878") and found["express"].group == ""
    assert [item for item in findings_of(text.encode(), "pnpm-lock.yaml") if item.rule != "package-source"] == []


def test_groups_aliases_and_what_is_of_no_registry() -> None:
    five, nine = packages(FIVE), packages(NINE)
    assert five["mocha"].group == "dev" == nine["mocha"].group and packages(SIX)["@babel/core"].group == "dev"
    assert five["lodash"].direct is True is nine["lodash"].direct and nine["@babel/core"].group == ""
    assert five["tool"].version == "1.10" and nine["tool"].source.startswith("https://codeload.github.com/")
    assert nine["mocha"].source == "https://npm.example.org" and nine["express"].place == "packages.express@4.18.2"


def test_the_host_of_another_registry_is_no_part_of_the_name() -> None:
    text = FIVE.replace("  /mocha/10.0.0:", "  npm.example.org/mocha/10.0.0:")
    assert packages(text)["mocha"].version == "10.0.0"


def test_a_tarball_of_another_package_is_found() -> None:
    hostile = NINE.replace("mocha/-/mocha-10.0.0", "mocah/-/mocah-10.0.0")
    found = findings_of(hostile.encode(), "pnpm-lock.yaml")
    assert worst(found) == "high" and "lock-injection" in [item.rule for item in found]


def test_keys_that_stand_twice_are_said() -> None:
    text = SIX + "  /@babel/core@7.24.0:\n    resolution: {integrity: x}\n"
    assert "duplicate-keys" in [item.rule for item in findings_of(text.encode(), "pnpm-lock.yaml")]


@pytest.mark.parametrize("text", ["a: 1\n", "lockfileVersion: 99\n", "- 1\n", "lockfileVersion: [\n", "\0"])
def test_what_is_no_lock_that_is_known_is_said(text: str) -> None:
    assert examine_bytes(text.encode(), "pnpm-lock.yaml")[-1].state != "examined"


@given(damaged(FIVE.encode(), SIX.encode(), NINE.encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "pnpm-lock.yaml")
