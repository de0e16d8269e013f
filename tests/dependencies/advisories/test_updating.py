"""An update brings in what is new, takes out what is gone, and leaves a whole database behind whatever happens."""

import datetime
import fcntl
import hashlib
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from garrison.core.errors import GarrisonError, UsageError
from garrison.dependencies.advisories import updating
from garrison.dependencies.advisories.database import Database
from garrison.dependencies.advisories.origins import named_origins, usual_origins
from garrison.dependencies.advisories.storage import DatabaseDamaged
from garrison.dependencies.advisories.updating import Outcome, update
from tests.dependencies.advisories.samples import document, export
from tests.dependencies.advisories.test_contents import EPSS, KEV


class Place:
    """A directory with a database and an export that changes."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.database = str(directory / "data" / "advisories.sqlite")
        self.said: list[str] = []

    def update(self, *origins: object, fresh: bool = False, sha256: str = "") -> Outcome:
        self.said.clear()
        named = named_origins(map(str, origins), sha256)
        return update(named, self.database, fresh=fresh, say=self.said.append)

    def export(self, *documents: dict[str, Any], name: str = "all.zip", **raw: bytes) -> str:
        return export(self.directory / name, *documents, **raw)

    def ids(self, name: str = "example", ecosystem: str = "PyPI") -> list[str]:
        with Database.open(self.database) as database:
            return sorted(one.id for one in database.affected(ecosystem, [name]).get(name, ()))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_what_is_new_changed_and_gone(place: Place) -> None:
    old = [document("A-1"), document("A-2"), document("A-3", "other")]
    assert not place.update(place.export(*old)).failures
    assert place.said == [f"{place.directory}/all.zip: 3 advisories, 3 new"]
    place.update(place.export(*old))
    assert place.said == [f"{place.directory}/all.zip: 3 advisories"]
    changed = document("A-1", "renamed", modified="2024-05-02T00:00:00Z")
    stale = document("A-2", "ignored", modified="2024-04-01T00:00:00Z")
    place.update(place.export(changed, stale, document("A-4")))
    assert place.said == [f"{place.directory}/all.zip: 3 advisories, 1 new, 1 changed, 1 removed"]
    assert (place.ids(), place.ids("renamed"), place.ids("other"), place.ids("ignored")) == (
        ["A-2", "A-4"],
        ["A-1"],
        [],
        [],
    )
    with Database.open(place.database) as database:
        assert set(database.advisories(["A-1", "A-2", "A-3", "A-4"])) == {"A-1", "A-2", "A-4"}
        assert [(source.count, source.ecosystems) for source in database.sources] == [(3, ("PyPI",))]


def test_a_withdrawn_advisory_no_longer_counts(place: Place) -> None:
    place.update(place.export(document("A-1"), document("A-2")))
    gone = document("A-1", modified="2024-06-01T00:00:00Z", withdrawn="2024-06-01T00:00:00Z")
    place.update(place.export(gone, document("A-2")))
    assert place.ids() == ["A-2"]


def test_a_date_in_the_future_does_not_keep_an_entry_from_changing(place: Place) -> None:
    place.update(place.export(document("A-1", modified="2999-01-01T00:00:00Z"), document("A-2")))
    place.update(place.export(document("A-1", "renamed"), document("A-2")))
    assert (place.ids(), place.ids("renamed")) == (["A-2"], ["A-1"])
    with Database.open(place.database) as database:
        assert database.sources[0].newest == datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)


def test_of_one_advisory_in_several_sources_the_latest_counts(place: Place) -> None:
    first = place.export(document("A-1"), document("B-1"), name="first.zip")
    second = place.export(document("A-1", fixed="2.0", modified="2024-06-01T00:00:00Z"), name="second.zip")
    place.update(first, second)
    with Database.open(place.database) as database:
        found = {one.id: one for one in database.affected("PyPI", ["example"])["example"]}
        assert found["A-1"].ranges[0].events[-1] == ("fixed", "2.0") and len(found) == 2
        assert database.advisory("A-1").modified.month == 6
    # What one source no longer has, the other still does.
    place.update(place.export(document("B-1"), document("C-1"), name="first.zip"))
    assert place.ids() == ["A-1", "B-1", "C-1"]


def test_the_same_id_twice_in_one_export(place: Place) -> None:
    later = document("A-1", fixed="3.0", modified="2024-07-01T00:00:00Z")
    for documents in ([document("A-1"), later], [later, document("A-1")]):
        place.update(place.export(*documents), fresh=True)
        with Database.open(place.database) as database:
            (affected,) = database.affected("PyPI", ["example"])["example"]
        assert affected.ranges[0].events[-1] == ("fixed", "3.0")


def test_several_packages_and_ecosystems_in_one_advisory(place: Place) -> None:
    affected = [
        *document()["affected"],
        *document(ecosystem="npm")["affected"],
        *document(ecosystem="Debian:12")["affected"],
    ]
    place.update(place.export(document("A-1", affected=affected), document("A-2")))
    assert place.ids() == ["A-1", "A-2"]
    assert place.ids(ecosystem="npm") == place.ids(ecosystem="Debian:12") == ["A-1"]
    with Database.open(place.database) as database:
        assert database.sources[0].ecosystems == ("PyPI", "Debian", "npm")
        assert [source.count for source in database.covering("Debian:11")] == [2]
        assert database.covering("Go") == ()
    place.update(place.export(document("A-1", modified="2024-06-01T00:00:00Z"), document("A-2")))
    assert place.ids(ecosystem="npm") == []
    with Database.open(place.database) as database:
        assert database.sources[0].ecosystems == ("PyPI",)


def test_many_advisories_about_few_packages(place: Place) -> None:
    documents = [document(f"A-{number}", ("example", "other")[number % 2]) for number in range(40)]
    place.update(place.export(*documents))
    later = [{**one, "modified": "2024-06-01T00:00:00Z"} for one in documents[:30]]
    place.update(place.export(*later))
    assert place.ids() == sorted(f"A-{number}" for number in range(0, 30, 2))


def test_broken_entries_are_counted_and_said(place: Place) -> None:
    place.update(place.export(document("A-1"), document("A-2"), document("A-3")))
    broken = {"A-2": b"{", "x\x1b[2J": b"null"}
    outcome = place.update(place.export(document("A-1"), document("A-3"), document("A-4"), **broken))
    assert not outcome.failures
    assert "2 could not be read (A-2.json: " in place.said[0]
    assert place.ids() == ["A-1", "A-2", "A-3", "A-4"], "what cannot be read now stays as it was"
    with Database.open(place.database) as database:
        assert database.sources[0].broken == 2 and database.sources[0].count == 4
        assert "2 more could not be read" in database.sources[0].described()


def test_a_source_that_is_mostly_broken_is_refused(place: Place) -> None:
    place.update(place.export(document("A-1")))
    for name in ("all.zip", "new.zip"):
        outcome = place.update(place.export(document("A-5"), name=name, a=b"{", b=b"[]"))
        assert "2 of 3 entries cannot be read" in outcome.failures[0] and not outcome.written
    assert place.ids() == ["A-1"]
    assert "no advisories" in place.update(place.export()).failures[0]


def test_an_export_that_lost_most_of_its_advisories_is_refused(place: Place) -> None:
    place.update(place.export(*(document(f"A-{number}") for number in range(10))))
    few = place.export(document("A-1"), document("B-1"))
    assert "1 of the 10" in place.update(few).failures[0]
    assert len(place.ids()) == 10
    assert not place.update(few, fresh=True).failures
    assert place.ids() == ["A-1", "B-1"]


def test_a_source_that_fails_leaves_the_others_alone(place: Place) -> None:
    bad = place.directory / "bad"
    bad.write_text("neither this nor that")
    outcome = place.update(place.export(document("A-1")), bad)
    assert outcome.written and outcome.failures == [
        f"{bad}: it is no export of OSV (zip, tar, JSON, YAML), no EPSS scores and no KEV catalogue"
    ]
    assert place.ids() == ["A-1"]


def test_a_directory_of_yaml(place: Place) -> None:
    directory = place.directory / "vulns" / "example"
    directory.mkdir(parents=True)
    text = "id: PYSEC-2024-{0}\nmodified: '{1}'\naffected:\n"
    text += "- package: {{ecosystem: PyPI, name: example}}\n  versions: ['{2}']\n"
    for number in (1, 2):
        (directory / f"PYSEC-2024-{number}.yaml").write_text(text.format(number, "2024-01-01T00:00:00Z", "1.10"))
    place.update(directory.parent)
    (directory / "PYSEC-2024-1.yaml").write_text(text.format(1, "2024-02-01T00:00:00Z", "1.20"))
    place.update(directory.parent)
    assert place.said[0].endswith("2 advisories, 1 changed")
    with Database.open(place.database) as database:
        assert [one.versions for one in database.affected("PyPI", ["example"])["example"]] == [("1.10",), ("1.20",)]


def test_ranks_are_merged_by_cve(place: Place) -> None:
    epss, kev = place.directory / "scores.csv", place.directory / "kev.json"
    epss.write_bytes(EPSS + b"CVE-2024-2000,0.75,0.99\n")
    kev.write_bytes(KEV)
    documents = [
        document("A-1", aliases=["CVE-2024-1000"]),
        document("DEBIAN-CVE-2024-2000"),
        document("A-3", upstream=["CVE-2024-1000", "CVE-2024-2000"]),
        document("A-4", related=["CVE-2024-1000"]),
    ]
    assert not place.update(place.export(*documents), epss, kev).failures
    with Database.open(place.database) as database:
        found = database.advisories(["A-1", "DEBIAN-CVE-2024-2000", "A-3", "A-4"])
        told = [source.described() for source in database.sources]
    assert {id: (one.epss, one.kev) for id, one in found.items()} == {
        "A-1": (0.25, True),
        "DEBIAN-CVE-2024-2000": (0.75, False),
        "A-3": (0.75, True),
        "A-4": (None, False),
    }
    assert told[1].startswith("2 EPSS scores, newest of 2026-07-20")
    assert told[2].startswith("1 known exploited vulnerability, newest of 2026-07-20")
    epss.write_bytes(EPSS.replace(b"2026-07-20", b"2026-07-19"))
    assert "older than what the database has" in place.update(epss).failures[0]
    epss.write_bytes(EPSS.replace(b"2026-07-20", b"2026-07-21"))
    assert not place.update(epss).failures
    with Database.open(place.database) as database:
        assert database.advisory("A-3").epss == 0.25, "scores are replaced as a whole"
    assert "another kind" in place.update(place.export(document(), name="scores.csv")).failures[0]


def test_digests_of_files(place: Place) -> None:
    path = place.export(document())
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert not place.update(path, sha256=digest.upper()).failures
    outcome = place.update(path, sha256="0" * 64)
    assert digest in outcome.failures[0] and not outcome.written


@pytest.mark.parametrize(
    ("texts", "sha256", "said"),
    [
        (["no/such"], "", "no such file"),
        (["/dev/null"], "", "neither a file nor a directory"),
        (["."], "0" * 64, "exactly one file"),
        (["https://a.example/x", "https://b.example/x"], "0" * 64, "exactly one file"),
        (["https://a.example/x"], "0" * 63, "64 hexadecimal digits"),
        (["https://a.example/x"], "g" * 64, "64 hexadecimal digits"),
        (["http://a.example/x"], "", "only https"),
        (["http://127.0.0.1.a.example/x"], "", "only https"),
        (["ftp://a.example/x"], "", "only https"),
        (["file:///etc/passwd"], "", "no address"),
        (["https:///x"], "", "no address"),
        (["https://a.example:port/x"], "", "no address"),
        (["https://a.example/x\r\nHost: b"], "", "no address"),
        (["http://user:secret@a.example/x"], "", "^http://a.example/x: only"),
    ],
)
def test_origins_that_are_wrong_usage(texts: list[str], sha256: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        named_origins(texts, sha256)


def test_the_usual_sources() -> None:
    names = [origin.name for origin in usual_origins()]
    for ecosystem in ("PyPI", "Debian", "Ubuntu", "Alpine", "npm", "Go", "crates.io"):
        assert f"https://osv-vulnerabilities.storage.googleapis.com/{ecosystem}/all.zip" in names
    assert len(names) == 9
    chosen = [origin.name for origin in usual_origins(["pypi", "Rocky Linux"])]
    assert [name.rsplit("/", 2)[1] for name in chosen[:2]] == ["PyPI", "Rocky%20Linux"] and len(chosen) == 4
    with pytest.raises(UsageError, match="did you mean 'Debian'"):
        usual_origins(["debain"])


def test_credentials_are_no_part_of_a_name() -> None:
    (origin,) = named_origins(["https://user:s%40cret@a.example/x?y=1#z"])
    assert origin.name == "https://a.example/x?y=1"
    assert origin.place is not None and origin.place.credentials == "Basic dXNlcjpzQGNyZXQ="


def test_a_reader_keeps_the_database_that_it_has_opened(place: Place) -> None:
    place.update(place.export(document("A-1")))
    with Database.open(place.database) as database:
        place.update(place.export(document("A-1"), document("A-2")))
        assert [one.id for one in database.affected("PyPI", ["example"])["example"]] == ["A-1"]
    assert place.ids() == ["A-1", "A-2"]


def test_an_update_that_breaks_leaves_the_database_as_it_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.update(place.export(document("A-1")))
    before = Path(place.database).read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full)
        with pytest.raises(GarrisonError, match="No space left"):
            place.update(place.export(document("A-1"), document("A-2")))
    assert Path(place.database).read_bytes() == before
    assert sorted(os.listdir(place.directory / "data")) == ["advisories.sqlite", "advisories.sqlite.lock"]
    Path(f"{place.database}.draft").write_bytes(b"left behind by a process that was killed")
    assert not place.update(place.export(document("A-1"), document("A-2"))).failures
    assert place.ids() == ["A-1", "A-2"]


def test_a_damaged_database_is_not_built_upon(place: Place) -> None:
    place.update(place.export(document("A-1")))
    Path(place.database).write_bytes(b"garbage")
    with pytest.raises(DatabaseDamaged, match="--fresh"):
        place.update(place.export(document("A-2")))
    assert not place.update(place.export(document("A-2")), fresh=True).failures
    assert place.ids() == ["A-2"]


def test_of_two_updates_the_second_waits(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.update(place.export(document("A-1")))
    with open(f"{place.database}.lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        monkeypatch.setattr(updating, "_PATIENCE", 0.1)
        with pytest.raises(GarrisonError, match="another update is at work"):
            place.update(place.export(document("A-2")))
        monkeypatch.setattr(updating, "_PATIENCE", 20.0)
        released = threading.Thread(target=lambda: (time.sleep(0.2), fcntl.flock(held, fcntl.LOCK_UN)))
        released.start()
        assert not place.update(place.export(document("A-1"), document("A-2"))).failures
        released.join()
    assert "waiting for another update" in place.said[0]
    assert place.ids() == ["A-1", "A-2"]


def test_updates_at_once_all_count(place: Place) -> None:
    paths = [place.export(document(f"A-{number}"), name=f"{number}.zip") for number in range(6)]
    threads = [threading.Thread(target=update, args=(named_origins([path]), place.database)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert place.ids() == [f"A-{number}" for number in range(6)]


def test_a_place_that_cannot_be_written(place: Place) -> None:
    (place.directory / "data").write_text("a file where a directory should be")
    with pytest.raises(GarrisonError, match="cannot be written"):
        place.update(place.export(document()))


def test_permissions_of_the_database_stay(place: Place) -> None:
    place.update(place.export(document("A-1")))
    os.chmod(place.database, 0o640)
    place.update(place.export(document("A-1"), document("A-2")))
    assert os.stat(place.database).st_mode & 0o777 == 0o640


def test_unicode_names_and_hostile_texts_survive_the_way(place: Place) -> None:
    name = "пример-\U0001f40d"
    odd = document("A-1", name, summary="red \x1b[31m text \u202e")
    odd["affected"][0]["versions"] = ["1.0\x00", "é"]
    place.update(place.export(odd))
    with Database.open(place.database) as database:
        (affected,) = database.affected("PyPI", [name])[name]
        assert affected.versions == ("1.0\x00", "é")
        assert database.advisory("A-1").summary == json.loads(json.dumps("red \x1b[31m text \u202e"))


def test_a_full_disk_is_called_so(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill(self: Any) -> None:
        self._draft.execute("PRAGMA max_page_count = 1")
        self._draft.execute("CREATE TABLE filler AS SELECT zeroblob(1000000)")

    monkeypatch.setattr(updating._Update, "_run", fill)
    with pytest.raises(GarrisonError, match=r"cannot be written: database or disk is full"):
        place.update(place.export(document("A-1")))
