"""The database answers for packages, says how old it is, and never takes a wrong file for an empty one."""

import datetime
import os
import sqlite3
from pathlib import Path

import pytest

from garrison.dependencies.advisories.advisory import Range, SourceInfo
from garrison.dependencies.advisories.database import Database, DatabaseMissing, default_path
from garrison.dependencies.advisories.origins import named_origins
from garrison.dependencies.advisories.storage import DatabaseDamaged
from garrison.dependencies.advisories.updating import update
from tests.dependencies.advisories.samples import document, export


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "advisories.sqlite"
    documents = [
        document("PYSEC-2024-1", "Example_Package"),
        document("PYSEC-2024-2", "example-package", aliases=["CVE-2024-1000"]),
        document("PYSEC-2024-3", "other"),
        document("DEBIAN-CVE-2024-7", "openssl", ecosystem="Debian:12"),
        document("RHSA-2024:1", "kernel", ecosystem="Red Hat:enterprise_linux:9::baseos"),
        document("PYSEC-2024-4", "example-package", withdrawn="2024-06-01T00:00:00Z"),
    ]
    assert not update(named_origins([export(tmp_path / "all.zip", *documents)]), str(target)).failures
    return target


def test_packages_are_found_by_any_spelling_of_their_names(path: Path) -> None:
    with Database.open(str(path)) as database:
        found = database.affected("PyPI", ["Example.Package", "EXAMPLE-package", "unknown", "other"])
    assert set(found) == {"Example.Package", "EXAMPLE-package", "other"}
    assert [one.id for one in found["Example.Package"]] == ["PYSEC-2024-1", "PYSEC-2024-2"]
    first = found["EXAMPLE-package"][0]
    assert (first.ecosystem, first.name) == ("PyPI", "Example_Package")
    assert first.ranges == (Range("ECOSYSTEM", (("introduced", "0"), ("fixed", "1.5"))),)
    assert first.versions == ("1.0", "1.4")


def test_releases_of_distributions_are_kept_apart(path: Path) -> None:
    with Database.open(str(path)) as database:
        assert list(database.affected("Debian:12", ["openssl"])) == ["openssl"]
        assert database.affected("Debian:11", ["openssl"]) == {}
        assert database.affected("PyPI", ["openssl"]) == {}
        assert list(database.affected("Red Hat:enterprise_linux:9", ["kernel"])) == ["kernel"]


def test_an_advisory_by_its_id(path: Path) -> None:
    with Database.open(str(path)) as database:
        advisory = database.advisory("PYSEC-2024-2")
        assert advisory.aliases == ("CVE-2024-1000",)
        assert advisory.summary == "example-package does harm"
        assert database.advisory("PYSEC-2024-4").withdrawn is not None
        assert set(database.advisories(["PYSEC-2024-1", "no-such"])) == {"PYSEC-2024-1"}
        with pytest.raises(KeyError):
            database.advisory("no-such")


def test_many_names_in_one_question(path: Path) -> None:
    names = [f"package-{number}" for number in range(30_000)]
    with Database.open(str(path)) as database:
        assert list(database.affected("PyPI", [*names, "other", 'it\'s "quoted" \x00\ud800'])) == ["other"]


def test_the_age_is_told() -> None:
    day = datetime.datetime(2026, 7, 23, tzinfo=datetime.UTC)
    fetched = day + datetime.timedelta(days=4)
    source = SourceInfo(name="x", kind="osv", ecosystems=("PyPI",), count=7080, newest=day, fetched=fetched)
    later = fetched + datetime.timedelta(days=3)
    assert source.described(later) == "PyPI: 7,080 advisories, newest of 2026-07-23, fetched 3 days ago"
    assert source.as_of == day


def test_a_missing_database_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(DatabaseMissing, match="garrison db update"):
        Database.open(str(tmp_path / "none.sqlite"))


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GARRISON_DATABASE", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_path() == "/data/garrison/advisories.sqlite"
    monkeypatch.setenv("XDG_DATA_HOME", "relative, which the specification forbids")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert default_path() == "/home/somebody/.local/share/garrison/advisories.sqlite"
    monkeypatch.setenv("GARRISON_DATABASE", "/elsewhere.sqlite")
    assert default_path() == "/elsewhere.sqlite"


def damaged(path: Path, said: str) -> None:
    with pytest.raises(DatabaseDamaged, match=said) as error:
        Database.open(str(path))
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_what_is_no_database_is_said(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    other.write_bytes(b"")
    damaged(other, "empty")
    other.write_bytes(b"{}" * 1000)
    damaged(other, "no SQLite file")
    other.unlink()
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE package (ecosystem, name, payload)")
    connection.close()
    damaged(other, "something else")
    damaged(tmp_path, "no regular file")
    os.mkfifo(tmp_path / "pipe")
    damaged(tmp_path / "pipe", "no regular file")


def changed(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_versions_of_the_schema_and_foreign_tables_are_said(path: Path) -> None:
    whole = path.read_bytes()
    changed(path, "PRAGMA user_version = 99")
    damaged(path, "newer garrison")
    changed(path, "PRAGMA user_version = 0")
    damaged(path, "older garrison")
    path.write_bytes(whole)
    changed(
        path, "DROP TABLE package", "CREATE VIEW package AS SELECT 'PyPI' AS ecosystem, 'x' AS name, x'00' AS payload"
    )
    damaged(path, "tables")


def test_a_truncated_database_is_said_at_every_length(path: Path) -> None:
    whole = path.read_bytes()
    for length in [*range(0, 200, 7), *range(200, len(whole), 997), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(DatabaseDamaged):
            Database.open(str(path))
    path.write_bytes(whole + b"\0")
    with pytest.raises(DatabaseDamaged):
        Database.open(str(path))


def test_damaged_rows_are_no_answer(path: Path) -> None:
    changed(path, "UPDATE package SET payload = substr(payload, 1, 20)", "UPDATE advisory SET payload = x'00'")
    with Database.open(str(path)) as database:
        with pytest.raises(DatabaseDamaged, match="damaged"):
            database.affected("PyPI", ["other"])
        with pytest.raises(DatabaseDamaged, match="damaged"):
            database.advisory("PYSEC-2024-1")
    changed(path, "UPDATE source SET newest = 'some day'")
    damaged(path, "some day")
