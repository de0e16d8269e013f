"""Whatever is done to a log that was signed to its end is found, and where."""

import functools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.errors import UsageError
from garrison.serving.record import lines as chain
from garrison.serving.record import signatures
from garrison.serving.record.lines import Position
from garrison.serving.record.verification import Verdict, verify
from tests.serving.record.logs import OTHER, SIGNER, Clock, entry, lines, opened, segment, written

KEY = SIGNER.public_key


def checked(path: Path, **options: object) -> Verdict:
    return verify(str(path), [KEY], **options)  # type: ignore[arg-type]


def reason(path: Path, **options: object) -> str:
    verdict = checked(path, **options)
    assert verdict.problem is not None
    return verdict.problem.reason


def test_a_log_as_it_was_written_verifies(tmp_path: Path) -> None:
    verdict = checked(written(tmp_path / "log", 10))
    assert verdict.problem is None and verdict.warnings == []
    assert (verdict.first, verdict.last, verdict.verified) == (1, 14, 14)
    assert (verdict.checkpoints, verdict.unsigned, verdict.signed) == (3, 0, 14)
    assert (verdict.guard, verdict.signatures) == ("guard-1", "verified")
    assert os.stat(segment(tmp_path / "log")).st_mode & 0o777 == 0o600
    assert os.stat(tmp_path / "log").st_mode & 0o777 == 0o700


def test_without_a_key_the_chain_alone_is_verified_and_said_so(tmp_path: Path) -> None:
    verdict = verify(str(written(tmp_path / "log")))
    assert verdict.problem is None
    assert (verdict.signatures, verdict.signed, verdict.unsigned) == ("unchecked", 0, 14)


def test_what_is_behind_the_last_checkpoint_is_told(tmp_path: Path) -> None:
    with opened(tmp_path / "log") as log:
        for number in range(3):
            log.append(entry(number))
        verdict = checked(tmp_path / "log")
    assert (verdict.problem, verdict.last, verdict.signed, verdict.unsigned) == (None, 4, 1, 3)


def edit(path: Path) -> None:
    segment(path).write_bytes(segment(path).read_bytes().replace(b'"id":"call5"', b'"id":"call6"'))


def rearranged(change: Callable[[list[bytes]], object]) -> Callable[[Path], None]:
    def apply(path: Path) -> None:
        found = lines(path)
        change(found)
        segment(path).write_bytes(b"".join(found))

    return apply


def rewrite(path: Path) -> None:
    """Edit a call, and chain all that follows anew, as somebody without the key can."""
    position, made = Position(0, chain.GENESIS), b""
    for line in lines(path):
        body = line.rstrip(b"\n").replace(b'"id":"call5"', b'"id":"call6"')
        new = chain.line(position, b"{" + body[body.index(b'"kind"') :])
        position = chain.after(position, new)
        made += new + b"\n"
    segment(path).write_bytes(made)


def exchange(path: Path) -> None:
    one, two = segment(path, 1).read_bytes(), segment(path, 2).read_bytes()
    segment(path, 1).write_bytes(two)
    segment(path, 2).write_bytes(one)


TAMPERING: dict[str, tuple[Callable[[Path], object], str]] = {
    "edit": (edit, "it is not the line that the next one was written behind"),
    "delete a line": (rearranged(lambda found: found.pop(5)), "its number is 7, where 6 comes next"),
    "insert a line": (rearranged(lambda found: found.insert(5, found[4])), "its number is 5, where 6 comes next"),
    "reorder": (rearranged(lambda found: found.insert(5, found.pop(4))), "its number is 6, where 5 comes next"),
    "an empty line": (rearranged(lambda found: found.insert(5, b"\n")), "no line of an audit log"),
    "not JSON": (rearranged(lambda found: found.__setitem__(4, found[4][:-3] + b"\n")), "no valid JSON"),
    "edit and chain anew": (rewrite, "its signature does not fit"),
    "cut off a part of a line": (
        lambda path: segment(path).write_bytes(segment(path).read_bytes()[:-5]),
        "it is incomplete",
    ),
    "no signature": (
        rearranged(lambda found: found.__setitem__(5, found[5].split(b',"signature"')[0] + b"}\n")),
        "it is not signed",
    ),
    "a longer line": (lambda path: segment(path).write_bytes(b"x" * (1 << 21)), "longer than"),
    "empty": (lambda path: segment(path).write_bytes(b""), "the segment is empty"),
    "renamed": (lambda path: segment(path).rename(segment(path, 7)), "the first line of segment 1"),
}  # fmt: skip


@pytest.mark.parametrize("how", TAMPERING)
def test_tampering_is_found(how: str, tmp_path: Path) -> None:
    change, said = TAMPERING[how]
    change(written(tmp_path / "log"))
    assert said in reason(tmp_path / "log")


def test_the_first_bad_record_is_named(tmp_path: Path) -> None:
    edit(written(tmp_path / "log"))
    verdict = checked(tmp_path / "log")
    assert verdict.problem is not None
    assert verdict.problem.file.endswith("audit-000001.jsonl")
    assert (verdict.problem.line, verdict.problem.record, verdict.last, verdict.signed) == (8, 8, 7, 6)


def test_a_line_behind_a_signed_one_is_named_and_not_the_signed_one(tmp_path: Path) -> None:
    found = lines(written(tmp_path / "log"))
    found[6] = found[6].replace(b'"previous":"', b'"previous":"0', 1)[:-1] + b"\n"
    found[6] = found[6][:93] + found[6][94:]
    segment(tmp_path / "log").write_bytes(b"".join(found))
    verdict = checked(tmp_path / "log")
    assert verdict.problem is not None
    assert (verdict.problem.record, verdict.last, verdict.signed) == (7, 6, 6)


def several(path: Path, **settings: object) -> Path:
    clock = Clock()
    with opened(path, segment_seconds=10.0, wall=clock, monotonic=clock, checkpoint_seconds=1000.0, **settings) as log:
        for number in range(12):
            log.append(entry(number))
            clock.now += 4
    return path


def test_segments_follow_each_other(tmp_path: Path) -> None:
    verdict = checked(several(tmp_path / "log"))
    assert verdict.problem is None
    assert (verdict.segments, verdict.absent) == (4, 0)
    assert checked(segment(tmp_path / "log", 2)).problem is None


SEVERAL: dict[str, tuple[Callable[[Path], object], str]] = {
    "exchange segments": (exchange, "the first line of segment 2, in the file of segment 1"),
    "delete one in the midst": (lambda path: segment(path, 2).unlink(), "segment 2 is not there"),
    "delete the first": (lambda path: segment(path, 1).unlink(), "the log does not say that they were deleted"),
}


@pytest.mark.parametrize("how", SEVERAL)
def test_tampering_with_segments_is_found(how: str, tmp_path: Path) -> None:
    change, said = SEVERAL[how]
    change(several(tmp_path / "log"))
    assert said in reason(tmp_path / "log")


def test_a_segment_of_another_log_is_found(tmp_path: Path) -> None:
    several(tmp_path / "log"), several(tmp_path / "other")
    shutil.copy(segment(tmp_path / "other", 3), segment(tmp_path / "log", 3))
    assert reason(tmp_path / "log") == "it is a segment of another log"


def test_old_segments_are_deleted_and_the_log_says_so(tmp_path: Path) -> None:
    several(tmp_path / "log", keep_segments=2)
    assert sorted(os.listdir(tmp_path / "log")) == ["audit-000003.jsonl", "audit-000004.jsonl", "lock"]
    verdict = checked(tmp_path / "log")
    assert (verdict.problem, verdict.absent, verdict.segments) == (None, 2, 2)
    assert verdict.first > 1
    segment(tmp_path / "log", 3).unlink()
    assert "segments before 4 are not there" in reason(tmp_path / "log")


def test_segments_older_than_configured_are_deleted_few_at_a_time(tmp_path: Path) -> None:
    several(tmp_path / "log")
    clock = Clock(os.stat(segment(tmp_path / "log")).st_mtime + 10 * 86400)
    with opened(tmp_path / "log", keep_days=5.0, wall=clock, monotonic=clock, segment_seconds=1.0) as log:
        clock.now += 2
        log.append(entry())
    assert sorted(os.listdir(tmp_path / "log"))[0] == "audit-000003.jsonl"
    assert checked(tmp_path / "log").problem is None


def test_another_key_is_refused_unless_it_is_trusted_too(tmp_path: Path) -> None:
    written(tmp_path / "log")
    with opened(tmp_path / "log", signer=OTHER) as log:
        log.append(entry())
    assert reason(tmp_path / "log").startswith("it is signed with another key")
    verdict = verify(str(tmp_path / "log"), [KEY, OTHER.public_key])
    assert (verdict.problem, verdict.unsigned) == (None, 0)


def test_without_a_signing_key_nothing_counts_as_signed(tmp_path: Path) -> None:
    written(tmp_path / "log", sign=False)
    assert verify(str(tmp_path / "log")).problem is None
    assert reason(tmp_path / "log") == "it is not signed"


def cut(path: Path, keep: int) -> None:
    segment(path).write_bytes(b"".join(lines(path)[:keep]))


def test_what_is_cut_off_at_a_checkpoint_is_told_by_an_anchor(tmp_path: Path) -> None:
    log, anchor = tmp_path / "log", tmp_path / "anchor"
    written(log, anchor=str(anchor))
    verdict = checked(log, anchor=str(anchor))
    assert (verdict.problem, verdict.anchored) == (None, verdict.last)
    for keep in range(1, len(lines(log))):
        copy = tmp_path / f"cut{keep}"
        shutil.copytree(log, copy)
        cut(copy, keep)
        assert checked(copy).problem is None  # nothing in it tells
        assert "its end was cut off" in reason(copy, anchor=str(anchor))


def test_a_log_that_was_cut_and_continued_is_told_by_an_anchor(tmp_path: Path) -> None:
    log, anchor = tmp_path / "log", tmp_path / "anchor"
    written(log, anchor=str(anchor))
    cut(log, 6)
    written(log)
    assert checked(log).problem is None
    assert "the anchor holds another record" in reason(log, anchor=str(anchor))


def test_an_older_log_and_another_log_are_told_by_an_anchor(tmp_path: Path) -> None:
    log, anchor = tmp_path / "log", tmp_path / "anchor"
    written(log, anchor=str(anchor))
    shutil.copytree(log, tmp_path / "older")
    written(log, anchor=str(anchor))
    assert "its end was cut off" in reason(tmp_path / "older", anchor=str(anchor))
    written(tmp_path / "other")
    assert "the anchor holds nothing of this log" in reason(tmp_path / "other", anchor=str(anchor))


def test_a_torn_line_of_an_anchor_is_passed_over(tmp_path: Path) -> None:
    log, anchor = tmp_path / "log", tmp_path / "anchor"
    written(log, anchor=str(anchor))
    anchor.write_bytes(anchor.read_bytes()[:-10])
    assert checked(log, anchor=str(anchor)).problem is None


def test_verification_can_begin_at_a_checkpoint(tmp_path: Path) -> None:
    several(tmp_path / "log", checkpoint_records=2)
    first = segment(tmp_path / "log")
    first.write_bytes(first.read_bytes().replace(b'"id":"call1"', b'"id":"call9"'))
    assert checked(tmp_path / "log").problem is not None
    verdict = checked(tmp_path / "log", from_checkpoint=lines_from(tmp_path / "log", 3))
    assert verdict.problem is None and verdict.signed == verdict.last
    assert "no checkpoint" in reason(tmp_path / "log", from_checkpoint=lines_from(tmp_path / "log", 3) + 1)
    assert "there is no record 1000" in reason(tmp_path / "log", from_checkpoint=1000)


def lines_from(path: Path, number: int) -> int:
    return chain.head(lines(path, number)[0].rstrip()).n


def test_a_clock_that_goes_back_is_worth_a_warning(tmp_path: Path) -> None:
    with opened(tmp_path / "log") as log:
        log.append(entry(1, time=1_000_500.0))
        log.append(entry(2, time=1_000_020.0))
    verdict = checked(tmp_path / "log")
    assert verdict.problem is None
    assert verdict.warnings[0] == "record 3: the clock went back by 480 s"


@functools.cache
def example() -> bytes:
    with tempfile.TemporaryDirectory() as place:
        return segment(written(Path(place) / "log")).read_bytes()


def verdict_of(data: bytes) -> Verdict:
    with tempfile.TemporaryDirectory() as place:
        segment(Path(place)).write_bytes(data)
        return checked(Path(place))


@settings(max_examples=150)
@given(st.data())
def test_any_flipped_bit_is_found(data: st.DataObject) -> None:
    log = bytearray(example())
    log[data.draw(st.integers(0, len(log) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert verdict_of(bytes(log)).problem is not None


@settings(max_examples=100)
@given(st.data())
def test_any_change_of_lines_is_found_unless_it_cuts_off_the_end(data: st.DataObject) -> None:
    before = example().splitlines(keepends=True)
    after = data.draw(st.lists(st.sampled_from(before), max_size=len(before) + 2) | st.permutations(before))
    verdict = verdict_of(b"".join(after))
    if after and after == before[: len(after)]:
        assert verdict.problem is None
    else:
        assert verdict.problem is not None


@settings(max_examples=100)
@given(st.binary(max_size=400))
def test_anything_at_all_is_answered_with_a_verdict(data: bytes) -> None:
    assert verdict_of(data).problem is not None
    assert verdict_of(example() + data).problem is not None or not data


def test_a_signature_counts_only_as_it_was_written() -> None:
    line = signatures.signed(b'{"n":1}', SIGNER)
    key = signatures.fingerprint(KEY)
    assert signatures.verified(line, key, {key: KEY}) == ""
    assert signatures.verified(line.upper().replace(b"SIGNATURE", b"signature"), key, {key: KEY}) != ""
    for other in (line[:-1], line.replace(b'"}', b' "}'), line.replace(b'"}', b'zz"}'), b'{"n":1}'):
        assert signatures.verified(other, key, {key: KEY}) != ""


def test_what_is_no_log_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no audit log"):
        verify(str(tmp_path))
    (tmp_path / "x.txt").touch()
    with pytest.raises(UsageError, match="neither a directory nor a segment"):
        verify(str(tmp_path / "x.txt"))


def test_the_unsigned_end_can_be_cut_and_written_anew_and_is_told_as_unsigned(tmp_path: Path) -> None:
    log, anchor = tmp_path / "log", str(tmp_path / "anchor")
    with opened(log, anchor=anchor) as writing:
        writing.append(entry(1))
        writing.append(entry(2))
        shutil.copytree(log, tmp_path / "copy")
    copy = tmp_path / "copy"
    first, position = lines(copy)[0], Position(0, chain.GENESIS)
    position = chain.after(position, first.rstrip(b"\n"))
    segment(copy).write_bytes(first + chain.line(position, b'{"kind":"call","time":1.0,"id":"forged"}') + b"\n")
    verdict = checked(copy)
    assert (verdict.problem, verdict.signed, verdict.unsigned) == (None, 1, 1)
    (tmp_path / "earlier").write_bytes(Path(anchor).read_bytes().splitlines(keepends=True)[0])
    assert checked(copy, anchor=str(tmp_path / "earlier")).problem is None
    assert "its end was cut off" in reason(copy, anchor=anchor)
