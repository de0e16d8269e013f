"""Pipenv's locks: categories, indexes, and keys that stand twice."""

import json

from hypothesis import given, settings

from garrison.core.facts import Package, Requirement
from tests.support import assert_no_failure, damaged, facts_of, findings_of, worst

HASH = "sha256:" + "a" * 64
LOCK = {
    "_meta": {
        "hash": {"sha256": "b" * 64},
        "pipfile-spec": 6,
        "sources": [
            {"name": "pypi", "url": "https://pypi.org/simple", "verify_ssl": True},
            {"name": "inside", "url": "https://user:secret@packages.example.org/simple", "verify_ssl": True},
        ],
    },
    "default": {
        "Flask": {"hashes": [HASH], "index": "pypi", "markers": "python_version >= '3.8'", "version": "==3.0.0"},
        "ours": {"hashes": [HASH], "index": "inside", "version": "==1.0"},
        "markupsafe": {"git": "https://github.com/pallets/safe", "ref": "b36054111bc1e8bbadb5d0d60158feb72926f467"},
    },
    "develop": {"pytest": {"hashes": [HASH], "version": "==8.0.0"}, "flask": {"hashes": [HASH], "version": "==3.0.0"}},
    "docs": {"sphinx": {"hashes": [HASH], "version": "==7.0"}},
}  # fmt: skip
TEXT = json.dumps(LOCK, indent=4)


def test_packages_of_each_category() -> None:
    facts = facts_of(TEXT.encode(), "Pipfile.lock")
    found = [(fact.name, fact.version, fact.group) for fact in facts if isinstance(fact, Package)]
    assert found == [
        ("flask", "3.0.0", ""),
        ("ours", "1.0", ""),
        ("pytest", "8.0.0", "develop"),
        ("flask", "3.0.0", "develop"),
        ("sphinx", "7.0", "docs"),
    ]
    sources = {fact.name: fact.source for fact in facts if isinstance(fact, Package | Requirement)}
    assert sources["flask"] == "" and sources["ours"] == "https://packages.example.org/simple"
    assert sources["markupsafe"] == "git+https://github.com/pallets/safe@b36054111bc1e8bbadb5d0d60158feb72926f467"
    assert "secret" not in repr([fact for fact in facts if isinstance(fact, Package)])


def test_only_the_unknown_index_is_said() -> None:
    assert [(item.rule, item.severity) for item in findings_of(TEXT.encode(), "Pipfile.lock")] == [
        ("package-source", "low")
    ]


def test_an_index_whose_certificate_is_not_checked_is_said() -> None:
    text = TEXT.replace('"verify_ssl": true', '"verify_ssl": false', 1)
    assert ("package-index", "medium") in [(i.rule, i.severity) for i in findings_of(text.encode(), "Pipfile.lock")]


def test_a_package_that_stands_twice_is_said() -> None:
    text = TEXT.replace('"pytest": {', '"pytest": {"version": "==1"}, "pytest": {')
    found = findings_of(text.encode(), "Pipfile.lock")
    assert worst(found) == "medium" and found[0].rule == "duplicate-keys" and "'pytest'" in found[0].message


def test_it_is_known_by_what_it_holds_too() -> None:
    assert any(isinstance(fact, Package) for fact in facts_of(TEXT.encode(), "renamed"))


def test_wrong_types_are_no_failure() -> None:
    for text in ("[]", "3", '{"default": []}', '{"default": {"a": 1, "b": {"version": 2, "hashes": {}}}, "_meta": 1}'):
        assert_no_failure(text.encode(), "Pipfile.lock")


@settings(deadline=None)
@given(damaged(TEXT.encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "Pipfile.lock")


def test_blanks_around_a_version_are_no_part_of_it() -> None:
    found = facts_of(b'{"default": {"jinja2": {"version": " == 2.10 "}}}', "Pipfile.lock")
    assert [fact.version for fact in found if type(fact) is Package] == ["2.10"]
