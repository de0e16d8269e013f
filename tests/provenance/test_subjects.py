"""Subjects: which bytes and names a statement is about, and what is not taken for them."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.provenance.hashing import Entry, Manifest, Serialization, digest
from garrison.provenance.statements import Subject
from garrison.provenance.subjects import DIRECTORY, attested, check, manifests, matches, serialization_of, subject_of
from garrison.provenance.trust import Refused


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory with two files, one of them in a directory below."""
    directory = tmp_path / "model"
    (directory / "weights").mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    (directory / "weights" / "one.bin").write_bytes(b"\0" * 100)
    return directory


def is_about(subject: Subject, path: Path) -> bool:
    return matches(subject, manifests(str(path), [subject]))


def test_a_directory_is_its_own_subject_wherever_it_lies(model: Path, tmp_path: Path) -> None:
    subject = subject_of(*attested(str(model)))
    assert subject.name == "model" and set(subject.digest) == {"sha256"}
    assert is_about(subject, model)
    model.rename(tmp_path / "elsewhere")
    assert is_about(subject, tmp_path / "elsewhere")


def test_a_file_is_meant_by_its_digest_as_other_tools_say_it(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    subject = subject_of(*attested(str(file)))
    assert subject.digest["sha256"] == sha256 and not subject.annotations
    assert is_about(subject, file)
    for digests in ({"sha256": sha256}, {"sha256": sha256, "sha1": "0" * 40}):
        assert is_about(Subject(digest=digests), file)
    assert is_about(Subject(digest={"blake2b": hashlib.blake2b(b"weights").hexdigest()}), file)
    file.write_bytes(b"others")
    assert not is_about(subject, file)


@pytest.mark.parametrize("change", ["bytes", "added", "removed", "renamed", "moved", "swapped"])
def test_any_change_makes_it_another_model(model: Path, change: str) -> None:
    subject = subject_of(*attested(str(model)))
    one, config = model / "weights" / "one.bin", model / "config.json"
    if change == "bytes":
        config.write_text("[]")
    elif change == "added":
        (model / "empty").touch()
    elif change == "removed":
        one.unlink()
    elif change == "renamed":
        # In its place among the others, so that the root of the format stays what it was.
        config.rename(model / "config.pkl")
    elif change == "moved":
        one.rename(model / "weights.bin")
    else:
        one.write_text("{}")
        config.write_bytes(b"\0" * 100)
    found = manifests(str(model), [subject])
    if change == "renamed":
        assert found[0].root == subject.digest["sha256"]
    with pytest.raises(Refused, match="another model"):
        check(subject, found)


def test_git_s_own_files_and_the_signature_are_no_part_of_it(model: Path) -> None:
    subject = subject_of(*attested(str(model)))
    (model / ".git").mkdir()
    (model / ".git" / "HEAD").touch()
    (model / "model.sig").touch()
    assert is_about(subject, model)
    (model / "weights" / "model.sig").touch()
    assert not is_about(subject, model)


def test_a_file_of_digests_is_not_taken_for_the_directory_that_has_them(model: Path, tmp_path: Path) -> None:
    (manifest,) = digest(str(model), [DIRECTORY])
    file = tmp_path / "notes.txt"
    file.write_bytes(bytes.fromhex("".join(entry.digest for entry in manifest.entries)))
    about_file = subject_of(*attested(str(file)))
    assert about_file.digest["sha256"] == manifest.root
    assert not matches(about_file, [manifest])
    assert not is_about(about_file, model)
    assert not is_about(subject_of(*attested(str(model))), file)


def test_a_root_alone_means_nothing(model: Path) -> None:
    subject = subject_of(*attested(str(model)))
    (manifest,) = manifests(str(model), [subject])
    with pytest.raises(Refused):
        check(Subject(digest=subject.digest), [manifest])
    without_names = Subject(digest=subject.digest, annotations={"serialization": subject.annotations["serialization"]})
    with pytest.raises(Refused, match="names"):
        check(without_names, [manifest])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ignore_paths": [".git", "payload.py"]}, "payload.py"),
        ({"ignore_paths": ["weights"]}, "weights"),
        ({"method": "shards", "shard_size": 100}, "shards"),
        ({"method": "none"}, "serialization"),
        ({"hash_type": "md5"}, "serialization"),
        ({"more": 1}, "serialization"),
        ({"allow_symlinks": 1}, "serialization"),
    ],
)
def test_serializations_that_hide_something_are_refused(model: Path, changes: dict[str, Any], reason: str) -> None:
    subject = subject_of(*attested(str(model)))
    said = {**subject.annotations["serialization"], **changes}
    changed = msgspec.structs.replace(subject, annotations={**subject.annotations, "serialization": said})
    with pytest.raises(Refused, match=reason):
        serialization_of(changed)
    assert manifests(str(model), [changed]) == []


@pytest.mark.parametrize("digests", [{}, {"md5": "0" * 32}, {"gitCommit": "0" * 40}])
def test_digests_that_are_not_known_are_refused(digests: dict[str, str]) -> None:
    with pytest.raises(Refused, match="no digest that is known"):
        serialization_of(Subject(digest=digests))


@pytest.mark.parametrize("annotation", [None, 1, [], {}, {"sha256": 1}, {"sha256": "0" * 64, "more": "x"}])
def test_an_annotation_of_another_shape_matches_nothing(model: Path, annotation: object) -> None:
    subject = subject_of(*attested(str(model)))
    changed = msgspec.structs.replace(subject, annotations={**subject.annotations, "manifest": annotation})
    assert not is_about(changed, model)


def test_links_stand_for_their_files_only_where_that_was_asked_for(model: Path) -> None:
    (model / "link").symlink_to("config.json")
    with pytest.raises(Refused, match="link"):
        attested(str(model))
    subject = subject_of(*attested(str(model), follow_symlinks=True))
    assert subject.annotations["serialization"]["allow_symlinks"] is True
    assert is_about(subject, model)
    (model / "link").unlink()
    (model / "link").symlink_to("weights/one.bin")
    assert not is_about(subject, model)


def test_links_stand_only_in_the_way_of_those_that_do_not_allow_them(model: Path) -> None:
    strict = subject_of(*attested(str(model)))
    (model / "link").symlink_to("config.json")
    following = subject_of(*attested(str(model), follow_symlinks=True))
    found = manifests(str(model), [strict, following])
    assert not matches(strict, found) and matches(following, found)
    with pytest.raises(Refused, match="link"):
        manifests(str(model), [strict])


def test_a_model_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "odd\udcff"
    path.mkdir()
    (path / "file").touch()
    subject = subject_of(*attested(str(path)))
    assert subject.name == "odd\\udcff" and is_about(subject, path)
    assert subject_of(*attested(str(path / "file"))).name == "file"


_NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/\\"), min_size=1, max_size=8)


@given(
    one=st.dictionaries(_NAMES, st.sampled_from(["aa" * 32, "bb" * 32]), min_size=1, max_size=4),
    other=st.dictionaries(_NAMES, st.sampled_from(["aa" * 32, "bb" * 32]), min_size=1, max_size=4),
)
def test_two_directories_are_the_same_only_if_they_are(one: dict[str, str], other: dict[str, str]) -> None:
    def made(files: dict[str, str]) -> Manifest:
        entries = tuple(Entry(name=name, digest=files[name], algorithm="blake3") for name in sorted(files))
        hashed = msgspec.structs.replace(DIRECTORY, algorithm="blake3")
        return Manifest(name="m", serialization=hashed, entries=entries)

    if {"."} not in (set(one), set(other)):
        assert matches(subject_of(made(one)), [made(other)]) == (one == other)


def test_each_kind_of_digest_is_made_in_one_reading(model: Path) -> None:
    assert [one.serialization.algorithm for one in attested(str(model), sha256=True)] == ["sha256"]
    with open(model / "large", "wb") as file:
        file.truncate(1 << 30)
    found = attested(str(model), sha256=True)
    assert [one.serialization.algorithm for one in found] == ["blake3", "sha256"]
    subjects = [subject_of(one) for one in found]
    assert subjects[0] != subjects[1]
    assert all(matches(subject, manifests(str(model), subjects)) for subject in subjects)
    assert Serialization(algorithm="sha256") not in [one.serialization for one in found]
