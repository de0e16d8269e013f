"""npm packages: what is installed or packed, and what installing it runs."""

import json

import pytest
from hypothesis import given, settings

from garrison.core.facts import EmbeddedCode, Package
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of

DOCUMENT = {
    "name": "@Acme/tools",
    "version": "1.2.3",
    "license": "MIT",
    "licenses": [{"type": "Apache-2.0", "url": "https://example.org"}, "ISC"],
    "dependencies": {"left-pad": "^1.3.0"},
    "optionalDependencies": {"fsevents": "*"},
    "scripts": {"test": "jest", "postinstall": "node setup.js"},
}
DATA = json.dumps(DOCUMENT).encode()
INSTALLED = "app/node_modules/@Acme/tools/package.json"


def test_an_installed_package_is_stated() -> None:
    (fact,) = (fact for fact in facts_of(DATA, INSTALLED) if type(fact) is Package)
    assert fact.purl == "pkg:npm/%40acme/tools@1.2.3" and fact.name == "@Acme/tools"
    assert fact.licences == ("MIT", "Apache-2.0", "ISC")
    assert fact.dependencies == ("left-pad", "fsevents")
    assert fact.state == "installed"


def test_only_scripts_that_installing_runs_are_stated() -> None:
    found = [fact for fact in facts_of(DATA, INSTALLED) if type(fact) is EmbeddedCode]
    assert [(fact.place, fact.excerpt) for fact in found] == [("scripts.postinstall", "node setup.js")]


def test_what_prepares_a_project_does_not_run_where_it_is_installed() -> None:
    data = json.dumps({"name": "a", "version": "1.0.0", "scripts": {"prepare": "tshy"}}).encode()
    assert not [fact for fact in facts_of(data, INSTALLED) if type(fact) is EmbeddedCode]
    assert [fact.place for fact in facts_of(data, "a/package.json") if type(fact) is EmbeddedCode] == [
        "scripts.prepare"
    ]


def test_a_projects_own_description_is_no_package() -> None:
    facts = facts_of(DATA, "app/package.json")
    assert not [fact for fact in facts if type(fact) is Package]
    assert [fact for fact in facts if type(fact) is EmbeddedCode]


def test_it_is_a_json_document_as_well() -> None:
    assert examine_bytes(DATA, INSTALLED)[-1].formats == ["npm-package", "json"]


@pytest.mark.parametrize("text", [b'{"name": 1}', b'{"scripts": []}', b'{"name": "a", "scripts": {"install": 1}}'])
def test_odd_documents_state_nothing(text: bytes) -> None:
    assert findings_of(text, INSTALLED) == []


@settings(max_examples=40, deadline=None)
@given(data=damaged(DATA))
def test_damage_never_breaks_the_reader(data: bytes) -> None:
    assert_no_failure(data, INSTALLED)
