"""Licences of packages and models against a policy."""

from garrison.core.facts import AnyFact, Artifact, Examination, Package
from garrison.core.findings import Check, Finding
from garrison.core.judgement import judge
from garrison.core.policy import PackagePolicy, Policy
from tests.support import findings_of

DENY = Policy(packages=PackagePolicy(denied_licences=("AGPL-3.0", "llama2")))


def package(name: str, *licences: str, state: str = "installed", ecosystem: str = "pypi") -> Package:
    return Package(
        purl=f"pkg:{ecosystem}/{name}@1.0",
        ecosystem=ecosystem,
        name=name,
        version="1.0",
        state=state,  # type: ignore[arg-type]
        licences=licences,
    )


def judged(*facts: AnyFact, policy: Policy = DENY) -> tuple[list[Finding], list[Check]]:
    found, checks = judge([Examination(subject="env", facts=[*facts])], policy)
    kept = [item for item in found if item.rule.startswith("licence-")]
    return kept, [check for check in checks if check.name == "licences"]


def test_a_denied_licence_names_package_and_licence() -> None:
    (found,), (check,) = judged(package("a", "MIT"), package("b", "AGPL-3.0-only"))
    assert (found.rule, found.severity) == ("licence-denied", "high")
    assert "b 1.0" in found.message and "'AGPL-3.0-only'" in found.message
    assert (check.checked, check.total, check.reason) == (2, 2, "")


def test_only_allowed_licences_pass_where_some_are_named() -> None:
    policy = Policy(packages=PackagePolicy(allowed_licences=("MIT", "BSD-3-Clause")))
    found, _ = judged(package("a", "MIT"), package("b", "License :: OSI Approved :: BSD License"), policy=policy)
    assert found == []
    (one,), _ = judged(package("c", "ISC"), policy=policy)
    assert one.rule == "licence-denied" and "not among" in one.message


def test_unknown_licences_are_one_low_finding_and_counted() -> None:
    (found,), (check,) = judged(package("a"), package("b", "ask us"), package("c", "MIT"))
    assert (found.rule, found.severity) == ("licence-unknown", "low") and "'ask us'" in found.message
    assert (check.checked, check.total) == (1, 3) and "2 state none" in check.reason


def test_lock_files_take_the_licence_from_what_is_installed() -> None:
    found, (check,) = judged(package("a", state="locked"), package("a", "MIT"))
    assert found == [] and (check.checked, check.total) == (1, 1)


def test_packages_of_operating_systems_state_no_licences() -> None:
    assert judged(package("openssl", ecosystem="deb")) == ([], [])


def test_models_are_held_to_the_same_policy() -> None:
    (found,), _ = judged(Artifact(format="model-card", details={"license": "llama2"}))
    assert found.rule == "licence-denied" and "llama2" in found.message
    card = b"---\nlicense: agpl-3.0\nlibrary_name: transformers\n---\n# A model\n"
    assert [item.rule for item in findings_of(card, "README.md", policy=DENY)] == ["licence-denied"]


def test_without_a_policy_on_licences_nothing_is_judged() -> None:
    assert judged(package("a", "AGPL-3.0-only"), package("b"), policy=Policy()) == ([], [])
