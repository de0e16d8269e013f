import pytest
from hypothesis import given

from garrison.core.facts import OperatingSystem
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of

DEBIAN = b"""PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION_CODENAME=bookworm
ID=debian
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEBIAN, ("debian", "12", "Debian GNU/Linux 12 (bookworm)")),
        (b"ID='rhel'\nVERSION_ID='9.4'\nPRETTY_NAME=\"Red \\\"Hat\\\"\"\n", ("rhel", "9.4", 'Red "Hat"')),
        (b"NAME=Debian\nVERSION_CODENAME=trixie\nID=debian\n", ("debian", "trixie", "")),
        (b"# Arch\nID=arch\nBUILD_ID=rolling\n", ("arch", "", "")),
    ],
)
def test_the_distribution_and_its_version(text: bytes, expected: tuple[str, str, str]) -> None:
    (system,) = [fact for fact in facts_of(text, "image!/etc/os-release") if isinstance(fact, OperatingSystem)]
    assert (system.id, system.version, system.name) == expected


def test_other_files_of_assignments_are_none() -> None:
    assert "os-release" not in examine_bytes(DEBIAN, "settings.env")[0].formats
    assert "os-release" not in examine_bytes(b"NAME=x\n", "os-release")[0].formats


@given(data=damaged(DEBIAN))
def test_damage_never_raises(data: bytes) -> None:
    assert_no_failure(data, "etc/os-release")
