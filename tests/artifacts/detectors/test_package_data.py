"""Pickles of an installed package that only its own code reads are told of, and deny nothing by themselves."""

from tests.support import findings_of

RECORD = b"babel/__init__.py,,\nbabel/plural.py,,\nbabel/locale-data/aa.dat,,\nbabel-2.17.0.dist-info/RECORD,,\n"
OWN = b"\x80\x02cbabel.plural\nPluralRule\n)R."
HOSTILE = b"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R."
FOREIGN = b"\x80\x02cother_module\nThing\n)R."


def severities(data: bytes, path: str, record: bytes = RECORD, folder: str = "env/babel-2.17.0.dist-info") -> list[str]:
    found = findings_of({f"{folder}/RECORD": record, path: data})
    return [item.severity.value for item in found if item.subject == path]


def test_data_that_the_record_lists_is_low() -> None:
    assert severities(OWN, "env/babel/locale-data/aa.dat") == ["low"]


def test_what_the_record_does_not_list_is_as_bad_as_without_one() -> None:
    assert severities(OWN, "env/babel/locale-data/bb.dat") == ["medium"]
    assert severities(OWN, "elsewhere/babel/locale-data/aa.dat") == ["medium"]
    assert severities(OWN, "env/model.pkl", RECORD + b"model.pkl,,\n") == ["medium"]
    assert severities(OWN, "env/babel/locale-data/aa.dat", folder="env/notes") == ["medium"]
    assert severities(OWN, "env/data/aa.dat", RECORD + b"data/aa.dat,,\n") == ["medium"]
    assert severities(OWN, "env/other/../babel/locale-data/aa.dat") == ["medium"]


def test_a_record_excuses_neither_other_modules_nor_what_is_known_to_be_dangerous() -> None:
    assert severities(FOREIGN, "env/babel/locale-data/aa.dat") == ["medium"]
    assert severities(HOSTILE, "env/babel/locale-data/aa.dat") == ["critical"]
    telling = b"\x80\x02cbabel.plural\nsystem\nX\x02\x00\x00\x00id\x85R."
    assert severities(telling, "env/babel/locale-data/aa.dat") == ["high"]
