"""Keys are made, told again by their digest, rotated and revoked, while a guard goes on."""

import os
import stat
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.serving.authenticate.key_file import create, read, revoke, rotate, well_formed
from garrison.serving.authenticate.keys import KeyRing


class Clock:
    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "keys.json")


def ring(path: str, clock: Clock, said: list[str] | None = None) -> KeyRing:
    return KeyRing(
        path, wall=clock, monotonic=clock, unreadable=lambda why: said.append(why) if said is not None else None
    )


def name(found: object) -> str | None:
    return found[0].name if found else None  # type: ignore[index]


def test_a_key_lets_in_whom_it_was_made_for_and_is_written_nowhere(path: str) -> None:
    key, text = create(path, "ana", roles=("caller",), tenant="bank", attributes={"team": "risk"})
    found = ring(path, Clock()).find(text)
    assert found is not None
    principal = found[0]
    assert (principal.name, principal.roles, principal.tenant, principal.method) == ("ana", ("caller",), "bank", "key")
    assert text not in Path(path).read_text()
    assert text.split("_")[2] not in Path(path).read_text()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert key.id in text


def test_what_is_no_key_lets_nobody_in(path: str) -> None:
    _, text = create(path, "ana")
    keys = ring(path, Clock())
    for wrong in ("", "garrison_", text[:-1], text + "x", text.swapcase(), "x" * 100_000, "\udcff", text + "\n"):
        assert keys.find(wrong) is None


@given(st.integers(0, 60), st.sampled_from("0aZ_"))
def test_a_slip_of_the_pen_is_told_by_the_form(at: int, letter: str) -> None:
    text = "garrison_a1b2c3d4_" + "k" * 43
    from garrison.serving.authenticate.key_file import _check

    whole = text + _check(text)
    assert well_formed(whole)
    slipped = whole[:at] + letter + whole[at + 1 :]
    assert well_formed(slipped) is (slipped == whole)


def test_keys_end_and_begin(path: str) -> None:
    clock = Clock()
    _, text = create(path, "ana", lifetime=60, now=clock.now)
    keys = ring(path, clock)
    assert name(keys.find(text)) == "ana"
    clock.now += 60
    assert keys.find(text) is None


def test_a_key_is_rotated_with_an_overlap(path: str) -> None:
    clock = Clock()
    key, old = create(path, "ana", now=clock.now)
    keys = ring(path, clock)
    _, new = rotate(path, key.id, overlap=100, now=clock.now)
    clock.now += 2
    assert name(keys.find(old)) == name(keys.find(new)) == "ana"
    clock.now += 100
    assert (keys.find(old), name(keys.find(new))) == (None, "ana")
    with pytest.raises(UsageError, match="is not good any more"):
        rotate(path, key.id, overlap=1, now=clock.now)


def test_a_key_that_is_revoked_is_bad_within_a_second(path: str) -> None:
    clock = Clock()
    key, text = create(path, "ana")
    keys = ring(path, clock)
    revoke(path, key.id)
    clock.now += 1
    assert keys.find(text) is None
    with pytest.raises(UsageError, match="no key has the id 'x'"):
        revoke(path, "x")


def test_a_torn_file_leaves_the_keys_before_and_is_said_once(path: str) -> None:
    clock, said = Clock(), list[str]()
    _, text = create(path, "ana")
    keys = ring(path, clock, said)
    Path(path).write_text('{"version": 1, "keys": [')
    for _ in range(3):
        clock.now += 1
        assert name(keys.find(text)) == "ana"
    assert len(said) == 1
    os.unlink(path)
    clock.now += 1
    assert name(keys.find(text)) == "ana"
    assert len(said) == 2


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}x",
        "[]",
        '{"keys": [{"id": "a"}]}',
        '{"version": 2, "keys": []}',
        '{"keys": [{"id": "a", "sha256": "x", "principal": "p"}]}',
    ],
)
def test_what_is_no_file_of_keys_is_said(path: str, content: str) -> None:
    Path(path).write_text(content)
    os.chmod(path, 0o600)
    with pytest.raises(UsageError, match=r"keys\.json: no file of keys"):
        read(path)


def test_a_file_that_others_may_write_is_not_read(path: str) -> None:
    create(path, "ana")
    os.chmod(path, 0o620)
    with pytest.raises(UsageError, match="others may write it"):
        read(path)


@pytest.mark.parametrize("principal", ["", "a\nb", "x" * 300])
def test_a_principal_has_a_name(path: str, principal: str) -> None:
    with pytest.raises(UsageError, match="names no principal"):
        create(path, principal)
    with pytest.raises(UsageError, match="lives for longer"):
        create(path, "ana", lifetime=0)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1.0])
def test_no_key_becomes_endless_by_a_number_that_is_none(path: str, seconds: float) -> None:
    key, _ = create(path, "ana", lifetime=60)
    with pytest.raises(UsageError):
        rotate(path, key.id, overlap=seconds)
    with pytest.raises(UsageError):
        create(path, "ana", lifetime=seconds)
    assert [one.expires for one in read(path)] == [key.expires]


def test_two_who_make_keys_at_once_lose_none(path: str) -> None:
    threads = [threading.Thread(target=lambda: [create(path, "ana") for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read(path)) == 40
