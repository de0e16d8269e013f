"""npm's locks: both layouts, who asks for what, and tarballs of other packages."""

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact, Package, Requirement
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of, worst

REGISTRY = "https://registry.npmjs.org"
INTEGRITY = "sha512-" + b64encode(b"x" * 64).decode()


def entry(name: str, version: str, /, **more: Any) -> dict[str, Any]:
    address = f"{REGISTRY}/{name}/-/{name.rpartition('/')[2]}-{version}.tgz"
    return {"version": version, "resolved": address, "integrity": INTEGRITY, **more}


def three(**more: Any) -> dict[str, Any]:
    return {
        "name": "demo",
        "lockfileVersion": 3,
        "requires": True,
        "packages": {
            "": {
                "name": "demo",
                "workspaces": ["libs/*"],
                "dependencies": {"@babel/core": "^7", "short": "npm:lodash@^4", "bare": "npm:ms"},
                "devDependencies": {"mocha": "^10"},
            },
            "libs/ours": {"version": "0.1.0", "dependencies": {"express": "^4"}},
            "node_modules/ours": {"resolved": "libs/ours", "link": True},
            "node_modules/@babel/core": entry("@babel/core", "7.24.0", license="MIT", hasInstallScript=True),
            "node_modules/short": entry("lodash", "4.17.21", name="lodash"),
            "node_modules/bare": entry("ms", "2.0.0", name="ms"),
            "node_modules/express": entry("express", "4.18.2", dependencies={"debug": "2.6.9"}),
            "node_modules/express/node_modules/debug": entry("debug", "2.6.9", inBundle=True),
            "node_modules/debug": entry("debug", "4.3.4"),
            "node_modules/mocha": entry("mocha", "10.0.0", dev=True, license={"type": "MIT"}),
            "node_modules/tool": {"version": "1.0.0", "resolved": "git+ssh://git@github.com/o/tool.git#" + "a" * 40},
            "node_modules/mirror": {"version": "1.0.0", "resolved": "https://npm.example.org/mirror/-/mirror-1.0.0.tgz", "integrity": INTEGRITY},  # noqa: E501
            **more,
        },
    }  # fmt: skip


DEBUG = entry("debug", "2.6.9")
ONE = {
    "lockfileVersion": 1,
    "dependencies": {
        "express": entry("express", "4.18.2", requires={"debug": "2.6.9"}, dependencies={"debug": DEBUG}),
        "short": {**entry("lodash", "4.17.21"), "version": "npm:lodash@4.17.21"},
        "tool": {"version": "git+https://example.org/tool.git#" + "a" * 40, "from": "tool@git+https://example.org/tool.git"},
        "mocha": entry("mocha", "10.0.0", dev=True),
    },
}  # fmt: skip


def packages(document: object) -> dict[str, Package]:
    found = facts_of(json.dumps(document).encode(), "package-lock.json")
    return {fact.place.removeprefix("packages."): fact for fact in found if isinstance(fact, Package)}


def rules(document: object) -> list[tuple[str, str]]:
    found = findings_of(json.dumps(document).encode(), "package-lock.json")
    return [(item.rule, item.severity.value) for item in found]


def test_packages_of_the_newer_layout() -> None:
    found = packages(three())
    core = found["node_modules/@babel/core"]
    assert core.purl == "pkg:npm/%40babel/core@7.24.0" and core.name == "@babel/core" and core.licences == ("MIT",)
    assert core.hashes == ("sha512:" + "78" * 64,) and core.direct is True and core.source == ""
    assert found["node_modules/short"].name == "lodash" and found["node_modules/bare"].name == "ms"
    assert found["node_modules/express"].direct is True and found["node_modules/debug"].direct is False
    assert found["node_modules/express/node_modules/debug"].version == "2.6.9"
    assert found["node_modules/mocha"].group == "dev" and found["node_modules/mocha"].licences == ("MIT",)
    assert found["node_modules/tool"].source == "git+ssh://git@github.com/o/tool.git#" + "a" * 40
    assert found["node_modules/mirror"].source == "https://npm.example.org"
    assert len(found) == 9
    details = next(
        f.details for f in facts_of(json.dumps(three()).encode(), "package-lock.json") if type(f) is Artifact
    )
    assert details == {"packages": 9, "lock version": "3", "with install scripts": 1}


def test_an_ordinary_lock_says_only_where_another_registry_is() -> None:
    assert rules(three()) == [("package-source", "low")]


def test_packages_of_the_older_layout() -> None:
    found = packages(ONE)
    names = sorted((fact.name, fact.version, fact.group) for fact in found.values())
    assert names == [
        ("debug", "2.6.9", ""),
        ("express", "4.18.2", ""),
        ("lodash", "4.17.21", ""),
        ("mocha", "10.0.0", "dev"),
    ]
    assert found["dependencies.express"].dependencies == ("debug",)
    asked = [f for f in facts_of(json.dumps(ONE).encode(), "package-lock.json") if isinstance(f, Requirement)]
    assert [(fact.name, fact.source) for fact in asked] == [("tool", "git+https://example.org/tool.git#" + "a" * 40)]


@pytest.mark.parametrize(
    "hostile",
    [
        {"node_modules/debug": entry("debug", "4.3.4") | {"resolved": f"{REGISTRY}/debvg/-/debvg-4.3.4.tgz"}},
        {"node_modules/debug": entry("debug", "4.3.4") | {"resolved": f"{REGISTRY}/debug/-/debug-4.3.3.tgz"}},
        {"node_modules/debug": entry("debug", "4.3.4") | {"resolved": f"{REGISTRY}/@evil/debug/-/debug-4.3.4.tgz"}},
        {"node_modules/debug": entry("evil", "1.0.0", name="evil")},
    ],
)
def test_another_package_under_a_name_is_found(hostile: dict[str, Any]) -> None:
    assert ("lock-injection", "high") in rules(three(**hostile))


def test_what_only_older_npm_would_fetch_is_found() -> None:
    document = three()
    document["dependencies"] = {"debug": entry("debug", "4.3.4"), "ms": entry("ms", "9.9.9")}
    assert ("lock-injection", "high") in rules(document)
    document["dependencies"] = {"debug": entry("debug", "4.3.4")}
    assert ("lock-injection", "high") not in rules(document)


@pytest.mark.parametrize(
    ("address", "integrity", "severity"),
    [
        ("http://registry.npmjs.org/debug/-/debug-4.3.4.tgz", True, "low"),
        ("http://registry.npmjs.org/debug/-/debug-4.3.4.tgz", False, "high"),
        ("https://203.0.113.9/debug.tgz", False, "high"),
        ("https://example.org/debug.tgz", False, "medium"),
        ("https://npm.pkg.github.com/download/@o/n/1.0.0/" + "c" * 40, True, "none"),
        ("https://codeload.github.com/o/debug/tar.gz/" + "c" * 40, True, "none"),
    ],
)
def test_other_addresses_are_judged(address: str, integrity: bool, severity: str) -> None:
    value = {"version": "4.3.4", "resolved": address} | ({"integrity": INTEGRITY} if integrity else {})
    document = {"lockfileVersion": 3, "packages": {"": {}, "node_modules/debug": value}}
    assert worst(findings_of(json.dumps(document).encode(), "package-lock.json")) == severity


def test_an_entry_without_integrity_among_others_is_said() -> None:
    plain = {key: value for key, value in entry("debug", "4.3.4").items() if key != "integrity"}
    assert ("lock-unhashed", "low") in rules(three(**{"node_modules/debug": plain}))


def test_keys_that_stand_twice_are_said() -> None:
    text = json.dumps(ONE).replace('"short"', '"express": {}, "short"')
    assert worst(findings_of(text.encode(), "package-lock.json")) == "medium"


def test_deep_nesting_ends() -> None:
    text = (
        '{"lockfileVersion": 1, "dependencies": '
        + '{"a": {"version": "1.0.0", "dependencies": ' * 900
        + "{}"
        + "}}" * 900
        + "}"
    )
    assert_no_failure(text.encode(), "package-lock.json")
    assert examine_bytes(b"[" * 100_000, "package-lock.json")[-1].state != "examined"


KEYS = st.sampled_from(["packages", "dependencies", "version", "resolved", "license", "node_modules/a", "", "name"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(VALUES)
def test_any_types_end_in_a_state(value: object) -> None:
    assert_no_failure(
        json.dumps({"lockfileVersion": 3, "packages": value, "dependencies": value}).encode(), "package-lock.json"
    )
    assert_no_failure(json.dumps(value).encode(), "package-lock.json")


@settings(deadline=None)
@given(damaged(json.dumps(three()).encode(), json.dumps(ONE).encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "package-lock.json")
