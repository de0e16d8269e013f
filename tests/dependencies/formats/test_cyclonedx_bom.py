"""CycloneDX: packages wherever they are nested, models and data sets, in both forms."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact, Description, Link, OperatingSystem, Package
from garrison.core.judgement import judge
from garrison.core.policy import Policy
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of, worst

SSL = "pkg:deb/debian/libssl3@3.0.11-1?epoch=1&upstream=openssl%403.0.11-1"
DATA = {"type": "dataset", "contents": {"url": "https://example.org/l"}, "classification": "public"}
PARAMETERS = {
    "task": "text-to-image",
    "approach": {"type": "supervised"},
    "datasets": [{"type": "dataset", "name": "LAION"}],
}
BILL = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "version": 1,
    "metadata": {"component": {"bom-ref": "app", "type": "application", "name": "app", "version": "1"}},
    "components": [
        {
            "bom-ref": "numpy",
            "type": "library",
            "name": "numpy",
            "version": "1.26.4",
            "purl": "pkg:pypi/NumPy@1.26.4",
            "hashes": [{"alg": "SHA-256", "content": "a" * 64}, {"alg": "BLAKE2b-256", "content": "b"}],
            "licenses": [{"license": {"id": "BSD-3-Clause"}}, {"expression": "MIT OR Apache-2.0"}],
            "components": [{"type": "library", "name": "openblas", "version": "0.3", "scope": "optional"}],
        },
        {"type": "operating-system", "name": "Debian", "version": "12"},
        {"bom-ref": "ssl", "type": "library", "name": "libssl3", "version": "3.0.11-1", "purl": SSL},
        {"type": "library", "name": "musl", "purl": "pkg:apk/alpine/musl@1.2.4-r2?distro=alpine-3.19.1"},
        {"type": "library", "group": "org.apache", "name": "io", "version": "2", "purl": "pkg:maven/org.apache/io@2"},
        {
            "type": "machine-learning-model",
            "group": "CompVis",
            "name": "stable-diffusion",
            "version": "1.4",
            "purl": "pkg:huggingface/CompVis/stable-diffusion@ABCDEF",
            "licenses": [{"license": {"name": "OpenRAIL"}}],
            "modelCard": {"modelParameters": PARAMETERS},
        },
        {"type": "data", "name": "LAION", "data": [DATA]},
        {"type": "file", "name": "readme"},
    ],
    "dependencies": [{"ref": "app", "dependsOn": ["numpy"]}, {"ref": "numpy", "dependsOn": ["ssl", "nobody"]}],
}
XML = f"""<?xml version="1.0" encoding="UTF-8"?>
<bom xmlns="http://cyclonedx.org/schema/bom/1.5" serialNumber="urn:uuid:1" version="1">
  <metadata><component type="application" bom-ref="app"><name>app</name><version>1</version></component></metadata>
  <components>
    <component type="library" bom-ref="numpy">
      <name>numpy</name><version>1.26.4</version>
      <hashes><hash alg="SHA-256">{"a" * 64}</hash></hashes>
      <licenses><license><id>BSD-3-Clause</id></license></licenses>
      <purl>pkg:pypi/numpy@1.26.4</purl>
      <components><component type="library"><name>openblas</name><version>0.3</version></component></components>
    </component>
    <component type="machine-learning-model"><name>net</name><modelCard><modelParameters><task>vision</task>
      <datasets><dataset><name>LAION</name></dataset></datasets></modelParameters></modelCard></component>
  </components>
  <dependencies><dependency ref="app"><dependency ref="numpy"/></dependency></dependencies>
</bom>
"""


def facts(document: object) -> list[object]:
    return list(facts_of(json.dumps(document).encode(), "bom.json"))


def packages(document: object) -> dict[str, Package]:
    return {fact.name: fact for fact in facts(document) if isinstance(fact, Package)}


def test_packages_with_hashes_licences_and_dependencies() -> None:
    found = packages(BILL)
    numpy = found["numpy"]
    assert numpy.purl == "pkg:pypi/numpy@1.26.4" and numpy.state == "listed" and numpy.place == "components[0]"
    assert numpy.hashes == ("sha256:" + "a" * 64, "blake2b-256:b") and numpy.direct is True
    assert numpy.licences == ("BSD-3-Clause", "MIT OR Apache-2.0") and numpy.dependencies == ("libssl3",)
    blas = found["openblas"]
    assert blas.purl == "pkg:generic/openblas@0.3" and blas.group == "optional"
    assert blas.place == "components[0].components[0]"
    assert found["org.apache:io"].ecosystem == "maven" and "readme" not in found and "app" not in found


def test_packages_of_systems_know_their_distribution() -> None:
    found = packages(BILL)
    ssl = found["libssl3"]
    assert ssl.distribution == "debian:12" and ssl.version == "1:3.0.11-1" and ssl.name == "libssl3"
    assert (ssl.source_name, ssl.source_version) == ("openssl", "3.0.11-1")
    assert found["musl"].distribution == "alpine:3.19.1"
    assert [(f.id, f.version) for f in facts(BILL) if isinstance(f, OperatingSystem)] == [("debian", "12")]


def test_models_and_data_sets_go_to_the_inventory() -> None:
    found = {fact.format: fact.details for fact in facts(BILL) if isinstance(fact, Artifact)}
    model = found["machine-learning-model"]
    assert model["name"] == "CompVis/stable-diffusion" and model["task"] == "text-to-image"
    assert model["data sets"] == "LAION" and model["licence"] == "OpenRAIL"
    assert found["data-set"]["addresses"] == "https://example.org/l" and found["data-set"]["classification"] == "public"
    assert found["cyclonedx-bom"] == {"packages": 6, "specification": "1.6", "describes": "app 1"}
    assert packages(BILL)["CompVis/stable-diffusion"].purl == "pkg:huggingface/CompVis/stable-diffusion@abcdef"


def test_an_honest_bill_gives_no_finding() -> None:
    assert findings_of(json.dumps(BILL).encode(), "bom.json") == []
    assert findings_of(XML.encode(), "bom.xml") == []


def test_the_xml_form_tells_the_same() -> None:
    found = facts_of(XML.encode(), "anything")
    numpy, blas = (fact for fact in found if isinstance(fact, Package))
    assert numpy.hashes == ("sha256:" + "a" * 64,) and numpy.licences == ("BSD-3-Clause",) and numpy.direct is True
    assert blas.name == "openblas" and blas.purl == "pkg:generic/openblas@0.3"
    details = {fact.format: fact.details for fact in found if isinstance(fact, Artifact)}
    assert details["machine-learning-model"] == {"name": "net", "task": "vision", "data sets": "LAION"}
    assert details["cyclonedx-bom"]["specification"] == "1.5"


def test_a_bill_inside_an_attestation_is_read() -> None:
    wrapped = {
        "_type": "https://in-toto.io/Statement/v1",
        "predicateType": "https://cyclonedx.org/bom",
        "predicate": BILL,
    }
    assert "numpy" in packages(wrapped)


def test_entities_and_depth_are_bounded() -> None:
    bomb = XML.replace("<bom ", '<!DOCTYPE b [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><bom ', 1)
    assert examine_bytes(bomb.encode(), "bom.xml")[-1].state != "examined"
    deep = XML.replace("<components>", "<components>" + "<component><components>" * 2000, 1)
    assert_no_failure(deep.encode(), "bom.xml")
    nested = (
        '{"bomFormat": "CycloneDX", "components": ' + '[{"name": "a", "components": ' * 400 + "[]" + "}]" * 400 + "}"
    )
    assert_no_failure(nested.encode(), "bom.json")


WRONG = {
    "a component without a name": ({"type": "library"}, "components[1] has no name"),
    "a component that is a number": (3, "components[1] is no object"),
    "a name that is a number": ({"name": 4}, "components[1].name is no text"),
    "a version that is a number": ({"name": "django", "version": 3.2}, "components[1].version is no text"),
    "a package URL that is a list": ({"name": "django", "purl": ["pkg:pypi/django@3.2"]}, "components[1].purl is no"),
    "a package URL that is none": ({"name": "django", "version": "3.2", "purl": "django@3.2"}, "begins with 'pkg:'"),
    "an endless name": ({"name": "d" * 999, "version": "3.2"}, "more than 500 characters"),
    "components inside that are a text": ({"name": "x", "version": "1", "components": "y"}, "components is no list"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_entries_that_cannot_be_right_leave_the_bill_examined_in_part(wrong: str) -> None:
    entry, reason = WRONG[wrong]
    sound = {"type": "library", "name": "numpy", "version": "1.26.4", "purl": "pkg:pypi/numpy@1.26.4"}
    data = json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [sound, entry]}).encode()
    last = examine_bytes(data, "bom.json")[-1]
    assert last.state == "partial" and reason in last.reason
    assert "pkg:pypi/numpy@1.26.4" in [fact.purl for fact in last.facts if isinstance(fact, Package)]
    assert "malformed" in {item.rule for item in findings_of(data, "bom.json")}


def test_of_many_such_entries_some_are_named_and_all_are_counted() -> None:
    data = json.dumps({"bomFormat": "CycloneDX", "components": [{"type": "library"}] * 50}).encode()
    assert examine_bytes(data, "bom.json")[-1].reason.endswith("; and 47 more such entries")


def test_a_component_without_a_version_is_not_taken_for_checked() -> None:
    component = {"type": "library", "name": "django", "purl": "pkg:pypi/django"}
    data = json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [component]}).encode()
    _, checks = judge(examine_bytes(data, "bom.json"), Policy())
    (check,) = (check for check in checks if check.name == "known vulnerabilities")
    assert check.gap and (check.checked, check.total) == (0, 1)


def test_models_and_data_sets_are_described() -> None:
    net, laion = (fact for fact in facts(BILL) if isinstance(fact, Description))
    assert net.name == "CompVis/stable-diffusion" and net.licences == ("OpenRAIL",) and net.task == "text-to-image"
    assert net.approach == "supervised" and net.datasets == ("LAION",) and net.version == "1.4"
    assert laion.about == "data-set" and laion.name == "LAION"
    assert laion.links == (Link(role="distribution", target="https://example.org/l"),)
    assert [fact.task for fact in facts_of(XML.encode(), "bom.xml") if isinstance(fact, Description)] == ["vision"]


def test_data_sets_are_named_by_reference_and_hashes_of_models_are_kept() -> None:
    model = {
        "type": "machine-learning-model",
        "name": "net",
        "hashes": [{"alg": "SHA3-256", "content": "A" * 64}],
        "modelCard": {
            "modelParameters": {"datasets": [{"ref": "d"}, {"ref": "nowhere"}]},
            "considerations": {
                "environmentalConsiderations": {
                    "energyConsumptions": [
                        {"activity": "training", "co2CostEquivalent": {"value": 3.5, "unit": "tCO2eq"}}
                    ]
                }
            },
        },
    }
    bill = {"bomFormat": "CycloneDX", "components": [model, {"type": "data", "bom-ref": "d", "name": "corpus"}]}
    found = facts(bill)
    net = next(fact for fact in found if isinstance(fact, Description) and fact.about == "model")
    assert net.datasets == ("corpus",) and net.emissions == {"training": "3.5 tCO2eq"}
    details = next(f.details for f in found if isinstance(f, Artifact) and f.format == "machine-learning-model")
    assert details["hashes"] == "sha3-256:" + "a" * 64


KEYS = st.sampled_from(["component", "type", "name", "purl", "licenses", "license", "hashes", "modelCard"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(VALUES)
def test_any_types_end_in_a_state(value: object) -> None:
    document = {"bomFormat": "CycloneDX", "metadata": value, "components": value, "dependencies": value}
    assert_no_failure(json.dumps(document).encode(), "bom.json")
    assert_no_failure(json.dumps(document | {"components": [value, {"type": "data", "data": value}]}).encode(), "x")


@settings(deadline=None)
@given(damaged(json.dumps(BILL).encode(), XML.encode()))
def test_damage_ends_in_a_state(data: bytes) -> None:
    assert_no_failure(data, "bom")
    assert worst(findings_of(data, "bom")) in ("none", "low", "medium")


def test_the_mark_may_stand_anywhere_in_a_file_that_is_called_a_bill() -> None:
    bill = {"a": "x" * 100_000, **BILL, "z": "x" * 100_000}
    assert [f for f in facts_of(json.dumps(bill).encode(), "p/bom.json") if type(f) is Package]
    assert [f for f in facts_of(json.dumps(bill).encode(), "p/app.cdx.json") if type(f) is Package]


def test_a_delete_character_hides_nothing() -> None:
    data = json.dumps({"a": "DEL", **BILL}).replace("DEL", chr(127)).encode()
    assert [f for f in facts_of(data, "bom.json") if type(f) is Package]


WIDE = (
    '<?xml version="1.0" encoding="utf-16"?><bom xmlns="http://cyclonedx.org/schema/bom/1.4"><components>'
    '<component type="library"><name>numpy</name><version>1.26.4</version><purl>pkg:pypi/numpy@1.26.4</purl>'
    "</component></components></bom>"
)


def test_a_bill_that_was_redirected_to_a_file_on_windows_is_read() -> None:
    for text in (json.dumps(BILL), WIDE):
        for name in ("bom", "list.txt"):
            found = [f.purl for f in facts_of(text.encode("utf-16"), name) if type(f) is Package]
            assert "pkg:pypi/numpy@1.26.4" in found


def test_components_nested_too_deep_are_no_silence() -> None:
    component = '{"type": "library", "name": "django", "version": "3.2.0", "purl": "pkg:pypi/django@3.2.0"}'
    for _ in range(150):
        component = f'{{"type": "library", "name": "x", "components": [{component}]}}'
    text = f'{{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{component}]}}'
    assert "resource-limit" in {item.rule for item in findings_of(text.encode(), "bom.json")}
