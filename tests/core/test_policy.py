"""A policy parses or says what is wrong with it; it is found where a person would put it."""

import datetime
from pathlib import Path

import pytest

from garrison.core.errors import UsageError
from garrison.core.facts import Anomaly, Examination, Native
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import decide, judge
from garrison.core.policy import Policy, Waiver
from garrison.core.policy_file import find_policy, load_policy
from garrison.core.report import Coverage

TODAY = datetime.date(2026, 11, 23)
FULL = Coverage(examined=1, not_understood=0, failed=0, skipped=0)
GAPS = Coverage(examined=1, not_understood=1, failed=0, skipped=0)


def found(severity: Severity, rule: str = "malformed", subject: str = "model.pkl") -> Finding:
    return Finding(rule=rule, severity=severity, subject=subject, place="@ 0x2f", message="seen")


def waiver(expires: datetime.date, **overrides: str) -> Waiver:
    fields = {"rule": "malformed", "reason": "known", "owner": "ada@example.org", **overrides}
    return Waiver(expires=expires, **fields)


@pytest.mark.parametrize(
    ("severity", "threshold", "allowed"),
    [
        (Severity.CRITICAL, Severity.HIGH, False),
        (Severity.HIGH, Severity.HIGH, False),
        (Severity.MEDIUM, Severity.HIGH, True),
        (Severity.MEDIUM, Severity.MEDIUM, False),
        (Severity.HIGH, Severity.CRITICAL, True),
        (Severity.INFO, Severity.INFO, False),
    ],
)
def test_the_threshold_denies_at_and_above(severity: Severity, threshold: Severity, allowed: bool) -> None:
    decision = decide([found(severity)], [], FULL, Policy(threshold=threshold), TODAY)
    assert decision.allowed is allowed
    assert bool(decision.reasons) is not allowed


def test_a_threshold_may_come_as_a_word() -> None:
    policy = Policy(threshold="medium")  # type: ignore[arg-type]
    assert not decide([found(Severity.MEDIUM)], [], FULL, policy, TODAY).allowed
    with pytest.raises(ValueError):
        Policy(threshold="severe")  # type: ignore[arg-type]


def test_verdicts_tell_clean_from_opaque_from_incomplete() -> None:
    native = [Examination(subject="plan.engine", facts=[Native(form="ELF")])]
    assert decide([], [], FULL, Policy(), TODAY).verdict == "clean"
    assert decide([], native, FULL, Policy(), TODAY).verdict == "opaque"
    assert decide([], [], GAPS, Policy(), TODAY).verdict == "incomplete"
    assert decide([found(Severity.LOW)], [], FULL, Policy(), TODAY).verdict == "accepted"
    assert decide([found(Severity.INFO)], [], FULL, Policy(), TODAY).verdict == "clean"


def test_nothing_examined_is_not_clean() -> None:
    for coverage in (Coverage(examined=0, not_understood=0, failed=0, skipped=count) for count in (0, 1)):
        assert decide([], [], coverage, Policy(), TODAY).verdict == "incomplete"
        assert decide([], [], coverage, Policy(coverage="deny"), TODAY).reasons == ("nothing was examined",)


def test_gaps_deny_only_where_the_policy_says_so() -> None:
    assert decide([], [], GAPS, Policy(), TODAY).allowed
    denied = decide([], [], GAPS, Policy(coverage="deny"), TODAY)
    assert not denied.allowed
    assert "not examined" in denied.reasons[0]


def test_a_waiver_counts_through_its_last_day_and_no_longer() -> None:
    finding = found(Severity.CRITICAL)
    on_the_day = decide([finding], [], FULL, Policy(waivers=(waiver(TODAY),)), TODAY)
    assert on_the_day.allowed and on_the_day.waived[0].finding == finding
    late = decide([finding], [], FULL, Policy(waivers=(waiver(TODAY - datetime.timedelta(1)),)), TODAY)
    assert not late.allowed
    assert len(late.expired) == 1


@pytest.mark.parametrize("overrides", [{"rule": "other"}, {"subject": "other/*"}, {"place": "@ 0x30"}])
def test_a_waiver_for_something_else_does_not_count(overrides: dict[str, str]) -> None:
    policy = Policy(waivers=(waiver(TODAY, **overrides),))
    assert not decide([found(Severity.HIGH)], [], FULL, policy, TODAY).allowed


def test_denied_and_allowed_formats() -> None:
    pickle = [Examination(subject="model.pkl", formats=["pickle"])]
    assert not decide([], pickle, FULL, Policy(denied_formats=("pickle",)), TODAY).allowed
    assert decide([], pickle, FULL, Policy(allowed_formats=("pickle",)), TODAY).allowed
    assert not decide([], pickle, FULL, Policy(allowed_formats=("safetensors",)), TODAY).allowed


def test_rule_overrides() -> None:
    examinations = [Examination(subject="x", facts=[Anomaly(what="malformed", detail="breaks off")])]
    (plain,) = judge(examinations, Policy())[0]
    assert plain.rule == "malformed" and plain.severity is Severity.LOW and plain.fix and plain.references
    policy = load({"rules": {"malformed": {"severity": "critical"}}})
    assert judge(examinations, policy)[0][0].severity is Severity.CRITICAL
    assert judge(examinations, load({"rules": {"malformed": {"enabled": False}}}))[0] == []


def load(table: dict[str, object]) -> Policy:
    from garrison.core.policy import parse_policy

    return parse_policy(table)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"treshold": "high"}, "treshold"),
        ({"threshold": "severe"}, "threshold"),
        ({"waivers": [{"rule": "x"}]}, "waivers"),
        ({"waivers": [{"rule": "x", "reason": "", "owner": "", "expires": "soon"}]}, "expires"),
        ({"limits": {"seconds": "many"}}, "seconds"),
        ({"rules": {"no-such-rule": {"enabled": False}}}, "no-such-rule"),
        ({"denied-formats": ["pickel"]}, "pickel"),
        ([], "object"),
    ],
)
def test_a_mistake_is_named(table: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load(table)


def test_toml_values_arrive_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "garrison.toml"
    path.write_text(
        """
threshold = "medium"
coverage = "deny"
allowed-globals = ["mycompany.*"]
[limits]
seconds = 5
[rules.malformed]
severity = "info"
[[waivers]]
rule = "malformed"
reason = "a known damaged file"
owner = "ada@example.org"
expires = 2027-01-31
subject = "old/*"
"""
    )
    policy = load_policy(str(path))
    assert policy.threshold is Severity.MEDIUM
    assert policy.limits.seconds == 5
    assert policy.waivers[0].expires == datetime.date(2027, 1, 31)


def test_the_nearest_file_counts_and_the_search_ends_at_the_repository(tmp_path: Path) -> None:
    (tmp_path / "garrison.toml").write_text("")
    repository = tmp_path / "repository"
    deep = repository / "a" / "b"
    deep.mkdir(parents=True)
    (repository / ".git").mkdir()
    assert find_policy(str(deep)) is None
    (repository / "pyproject.toml").write_text("[project]\nname = 'garrison-user'\n")
    assert find_policy(str(deep)) is None
    (repository / "pyproject.toml").write_text("[tool.garrison]\nthreshold = 'low'\n")
    assert find_policy(str(deep)) == str(repository / "pyproject.toml")
    assert load_policy(start=str(deep)).threshold is Severity.LOW
    (repository / "a" / "garrison.toml").write_text("threshold = 'critical'\n")
    assert load_policy(start=str(deep)).threshold is Severity.CRITICAL


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="/dev/zero: more than 4,194,304 bytes"):
        load_policy("/dev/zero")


@pytest.mark.parametrize("content", [b"threshold = ", b"\xff\xfe", b"threshold = 'no'"])
def test_a_broken_file_is_a_usage_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "garrison.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"garrison\.toml"):
        load_policy(str(path))
    with pytest.raises(UsageError, match="No such file"):
        load_policy(str(tmp_path / "missing.toml"))
