"""Whatever is altered in what was signed or sealed is refused, and what the tables say can be altered does open."""

from pathlib import Path

import pytest

from garrison.provenance.trust import Refused
from tests.provenance.alterations import Attempt, tables


def rows(kind: str) -> list[object]:
    return [
        pytest.param(attempt, id=f"{table.title}: {what}")
        for table in tables()
        for what, attempt in getattr(table, kind).items()
    ]


@pytest.mark.parametrize("attempt", rows("refused"))
def test_what_was_altered_is_refused(attempt: Attempt, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        attempt(tmp_path)


@pytest.mark.parametrize("attempt", rows("harmless"))
def test_what_says_nothing_may_be_altered(attempt: Attempt, tmp_path: Path) -> None:
    attempt(tmp_path)


def test_each_kind_has_its_table() -> None:
    assert all(table.refused and table.about for table in tables())
    assert len({table.title for table in tables()}) == len(tables())
