"""Whether an advisory holds for a version, by OSV's rules, and what to upgrade to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.dependencies.advisories.advisory import Affected, Range
from garrison.dependencies.matching import Known, Outcome, Upgrade, every_version
from garrison.dependencies.versions import scheme

AFFECTED, UNAFFECTED, UNDETERMINED = Outcome.AFFECTED, Outcome.UNAFFECTED, Outcome.UNDETERMINED


def entry(
    *ranges: str, id: str = "PYSEC-1", versions: tuple[str, ...] = (), kind: str = "ECOSYSTEM", name: str = "example"
) -> Affected:
    """Ranges as `introduced=0 fixed=1.5`."""
    found = tuple(
        Range(kind, tuple((one.partition("=")[0], one.partition("=")[2]) for one in text.split())) for text in ranges
    )
    return Affected(id=id, ecosystem="PyPI", name=name, ranges=found, versions=versions)


def outcome(one: Affected, version: str, ecosystem: str = "PyPI") -> Outcome:
    return Known(scheme(ecosystem), [one]).outcomes(version)[0][1]


@pytest.mark.parametrize(
    ("ranges", "version", "expected"),
    [
        ("introduced=0 fixed=1.5", "1.4.9", AFFECTED),
        ("introduced=0 fixed=1.5", "1.5", UNAFFECTED),
        ("introduced=0 fixed=1.5", "1.5rc1", AFFECTED),
        ("introduced=0 fixed=1.5", "1.5.post1", UNAFFECTED),
        ("introduced=0 last_affected=1.5", "1.5", AFFECTED),
        ("introduced=0 last_affected=1.5", "1.5.0", AFFECTED),
        ("introduced=0 last_affected=1.5", "1.5.1", UNAFFECTED),
        ("introduced=1.0 fixed=1.5 introduced=2.0 fixed=2.3", "0.9", UNAFFECTED),
        ("introduced=1.0 fixed=1.5 introduced=2.0 fixed=2.3", "1.0", AFFECTED),
        ("introduced=1.0 fixed=1.5 introduced=2.0 fixed=2.3", "1.7", UNAFFECTED),
        ("introduced=1.0 fixed=1.5 introduced=2.0 fixed=2.3", "2.2", AFFECTED),
        ("fixed=2.3 introduced=2.0 fixed=1.5 introduced=1.0", "2.2", AFFECTED),
        ("introduced=0", "99", AFFECTED),
        ("introduced=0 limit=2", "1.9", AFFECTED),
        ("introduced=0 limit=2", "2", UNAFFECTED),
    ],
)
def test_ranges(ranges: str, version: str, expected: Outcome) -> None:
    assert outcome(entry(ranges), version) is expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.11.0+cu113", AFFECTED), ("1.13.1+cu117", UNAFFECTED), ("1.12.9+anything.1", AFFECTED)],
)
def test_a_local_label_changes_nothing(version: str, expected: Outcome) -> None:
    assert outcome(entry("introduced=0 fixed=1.13.1"), version) is expected
    assert outcome(entry("introduced=0 last_affected=1.11.0"), "1.11.0+cu113") is AFFECTED
    assert outcome(entry(versions=("1.11.0",)), "1.11.0+cu113") is AFFECTED


def test_a_bound_with_a_label_is_compared_with_the_label() -> None:
    patched = entry("introduced=0 fixed=1.0+patch2")
    assert outcome(patched, "1.0+patch1") is AFFECTED
    assert outcome(patched, "1.0+patch2") is UNAFFECTED


def test_listed_versions_are_affected_whatever_the_ranges_say() -> None:
    one = entry("introduced=0 fixed=1.0", versions=("3.0",))
    assert outcome(one, "3.0") is AFFECTED
    assert outcome(one, "2.0") is UNAFFECTED
    assert outcome(entry(versions=("1.0.0",)), "1") is AFFECTED
    assert outcome(entry(versions=("1.0.0",)), "1.1") is UNAFFECTED


@pytest.mark.parametrize(
    ("one", "version", "expected"),
    [
        (entry("introduced=0 last_affected=2.6.0-NA"), "2.7.0", UNDETERMINED),
        (entry("introduced=0 last_affected=2.6.0-NA"), "1.0", UNDETERMINED),
        # Below the range no bound can make it affected.
        (entry("introduced=2.0 fixed=2.6.0-NA"), "1.0", UNAFFECTED),
        # Behind the last event that is a version, whatever the first one is.
        (entry("introduced=2024-09-25 fixed=1.5"), "1.6", UNAFFECTED),
        (entry("introduced=2024-09-25 fixed=1.5"), "1.4", UNDETERMINED),
        # The list decides where the bounds do not.
        (entry("introduced=0 last_affected=2.6.0-NA", versions=("2.6.0",)), "2.6.0", AFFECTED),
        (entry("introduced=0 last_affected=2.6.0-NA", versions=("2.6.0",)), "2.7.0", UNAFFECTED),
        (entry("introduced=abc123", kind="GIT"), "1.0", UNDETERMINED),
        (entry(), "1.0", UNDETERMINED),
        (entry("introduced=0 fixed=1.5"), "no-version", UNDETERMINED),
        (entry("introduced=0 fixed=1.5", versions=("no-version",)), "no-version", AFFECTED),
    ],
)
def test_what_nobody_can_tell_is_neither_a_match_nor_silence(one: Affected, version: str, expected: Outcome) -> None:
    assert outcome(one, version) is expected


def test_an_undetermined_outcome_has_a_reason() -> None:
    known = Known(scheme("PyPI"), [entry("introduced=0 last_affected=2.6.0-NA")])
    assert "'2.6.0-NA' is no version" in known.outcomes("2.7.0")[0][2]


def test_without_a_known_order_only_the_list_decides() -> None:
    known = Known(None, [entry("introduced=0 fixed=2", versions=("1.0",))])
    assert [known.outcomes(version)[0][1] for version in ("1.0", "1.1")] == [AFFECTED, UNAFFECTED]
    assert Known(None, [entry("introduced=0 fixed=2")]).outcomes("1.0")[0][1] is UNDETERMINED


@pytest.mark.parametrize(
    ("entries", "version", "expected"),
    [
        (["introduced=0 fixed=1.5"], "1.0", Upgrade(version="1.5")),
        (["introduced=0 fixed=1.5", "introduced=0 fixed=1.7"], "1.0", Upgrade(version="1.7")),
        # The same major version is the lesser one.
        (["introduced=0 fixed=1.5 introduced=2.0 fixed=2.2"], "1.0", Upgrade(version="1.5")),
        (["introduced=0 fixed=1.5 introduced=2.0 fixed=2.2"], "2.1", Upgrade(version="2.2")),
        # A fixed version that has something else is no help.
        (["introduced=0 fixed=1.5", "introduced=1.5 fixed=1.6"], "1.0", Upgrade(version="1.6")),
        (["introduced=0 fixed=1.5", "introduced=0"], "1.0", Upgrade(version="1.5", left=("ID-1",))),
        (["introduced=0"], "1.0", Upgrade(left=("ID-0",))),
        (["introduced=0 last_affected=1.5"], "1.0", Upgrade(left=("ID-0",))),
        (["introduced=0 fixed=1.5rc1", "introduced=0 fixed=1.6"], "1.0", Upgrade(version="1.6")),
        (["introduced=0 fixed=1.5rc2"], "1.5rc1", Upgrade(version="1.5rc2")),
        (["introduced=0 fixed=0.5 introduced=0.9 fixed=1.5"], "1.0", Upgrade(version="1.5")),
    ],
)
def test_the_least_upgrade_that_clears_all(entries: list[str], version: str, expected: Upgrade) -> None:
    known = Known(scheme("PyPI"), [entry(text, id=f"ID-{number}") for number, text in enumerate(entries)])
    affected = [one.id for one, state, _ in known.outcomes(version) if state is AFFECTED]
    assert known.upgrade(version, affected) == expected


def test_a_version_that_an_index_knows_is_a_candidate_too() -> None:
    known = Known(scheme("PyPI"), [entry("introduced=0 last_affected=1.5")])
    assert known.upgrade("1.0", ["PYSEC-1"], ["1.9"]) == Upgrade(version="1.9")


numbers = st.integers(0, 5).map(str)
versions = st.lists(numbers, min_size=1, max_size=2).map(".".join)


@given(st.lists(st.lists(versions, min_size=1, max_size=4), min_size=1, max_size=4), versions)
def test_an_upgrade_is_later_clean_and_the_first_such_candidate(bounds: list[list[str]], version: str) -> None:
    kinds = ("introduced", "fixed")
    order = scheme("PyPI")
    rows = [
        " ".join(f"{kinds[number % 2]}={bound}" for number, bound in enumerate(sorted(set(some), key=order.key)))
        for some in bounds
    ]
    known = Known(order, [entry(text, id=f"ID-{number}") for number, text in enumerate(rows)])
    affected = known.holding(version)
    upgrade = known.upgrade(version, affected)
    fixed = {
        bound
        for one in known.entries
        for one_range in one.ranges
        for kind, bound in one_range.events
        if kind == "fixed"
    }
    clean = sorted(
        (one for one in fixed if order.key(one) > order.key(version) and not known.holding(one)), key=order.key
    )
    if clean:
        assert order.key(upgrade.version) == order.key(clean[0]) and not upgrade.left
    elif affected:
        assert upgrade.left
        assert set(upgrade.left) <= set(affected)


@given(
    st.text(alphabet="0123456789.abrc-+!", max_size=8), st.lists(st.text(alphabet="012.a-NA", max_size=6), max_size=4)
)
def test_whatever_a_version_or_a_bound_is_there_is_an_answer(version: str, bounds: list[str]) -> None:
    events = " ".join(f"{kind}={bound}" for kind, bound in zip(("introduced", "fixed") * 2, bounds, strict=False))
    listed = entry("introduced=0 fixed=1.5", id="ID-0", versions=(version,))
    for order in (scheme("PyPI"), scheme("Debian"), None):
        known = Known(order, [listed, entry(events or "introduced=0", id="ID-1")])
        outcomes = known.outcomes(version)
        assert outcomes[0][1] is AFFECTED
        assert all(reason for _, state, reason in outcomes if state is UNDETERMINED)
        upgrade = known.upgrade(version, known.holding(version))
        assert not upgrade.version or "ID-0" not in upgrade.left or upgrade.version != version
        assert known.fixes(version, known.entries) is not None


def test_every_version_is_affected_where_nothing_ends_the_range() -> None:
    assert every_version(entry("introduced=0"))
    assert not every_version(entry("introduced=0 fixed=2"))
    assert not every_version(entry("introduced=1"))
    assert not every_version(entry(versions=("1.0",)))
