"""XML documents that are no models: honest declarations pass, and what leads elsewhere or multiplies does not."""

import pytest

from garrison.core.facts import Artifact
from tests.support import examine_bytes, facts_of, findings_of, worst


@pytest.mark.parametrize(
    "data",
    [
        b"<?xml version='1.0'?><settings><a/></settings>",
        b'<!DOCTYPE hibernate PUBLIC "-//H//DTD" "http://www.hibernate.org/dtd/h.dtd"><hibernate/>',
        b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY ns_svg "http://www.w3.org/2000/svg">]><svg xmlns="&ns_svg;"/>',
        b'<!DOCTYPE a [<!ENTITY link "https://e.example/?a=1&amp;b=2">]><a>&link;</a>',
        b'<!DOCTYPE book [<!ENTITY chapter SYSTEM "chapter.xml">]><book>&chapter;</book>',
        b'<?xml version="1.0"?><?xml-stylesheet href="https://e.example/style.css"?><page/>',
    ],
)
def test_honest_documents_are_no_finding(data: bytes) -> None:
    assert findings_of(data, "document.xml") == []
    (examination,) = examine_bytes(data, "document.xml")
    assert (examination.formats, examination.state) == (["xml"], "examined")


def test_entities_that_lead_elsewhere_or_multiply() -> None:
    reading = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
    assert [(f.rule, f.severity) for f in findings_of(reading)] == [("escaping-reference", "high")]
    fetching = b'<!DOCTYPE a [<!ENTITY x SYSTEM "http://e.example/">]><a>&x;</a>'
    assert [(f.rule, f.severity) for f in findings_of(fetching)] == [("remote-reference", "high")]
    multiplying = b'<!DOCTYPE a [<!ENTITY x "1"><!ENTITY y "&x;&x;"><!ENTITY z "&y;&y;">]><a>&z;</a>'
    assert worst(findings_of(multiplying)) == "high"


def test_a_document_tells_its_outermost_element() -> None:
    (artifact,) = facts_of(b"<?xml version='1.0'?><p:settings xmlns:p='x'/>")
    assert artifact == Artifact(format="xml", details={"root": "settings"})
    assert [f.rule for f in findings_of(b"<?xml version='1.0'?><a><b></a>")] == ["malformed"]
    assert examine_bytes(b"<!DOCTYPE html><html><body/></html>")[-1].formats != ["xml"]
