import base64
import marshal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from tests.artifacts.wire.hdf5_files import FILES, MODELS, with_configuration
from tests.support import examine_bytes, facts_of, findings_of, worst

CODE = base64.b64encode(marshal.dumps(compile("__import__('os').system('id')", "<lambda>", "eval"))).decode()
LAMBDA = {"name": "evil", "function": [CODE, None, None], "function_type": "lambda"}
HOSTILE: dict[str, Any] = {"class_name": "Sequential", "config": [{"class_name": "Lambda", "config": LAMBDA}]}


@pytest.mark.parametrize("name", MODELS)
def test_an_honest_model_is_known_and_has_no_finding(name: str) -> None:
    assert findings_of(FILES[name], "model.h5") == []
    artifact = next(fact for fact in facts_of(FILES[name]) if isinstance(fact, Artifact))
    assert artifact.format == "keras-hdf5"
    assert artifact.details["keras_version"] == "2.15.0"


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "document",
    [
        pytest.param(HOSTILE, id="plain"),
        pytest.param({"first": 1, **HOSTILE}, id="another key first"),
        pytest.param(
            str(HOSTILE).replace("'", '"').replace("None", "null").replace('"class_', '"\\u0063lass_'), id="escaped"
        ),
    ],
)
def test_a_hostile_configuration_is_found_in_every_layout(name: str, document: object) -> None:
    found = findings_of(with_configuration(name, document), "model.h5")
    assert [(finding.rule, finding.severity) for finding in found] == [("dangerous-embedded-code", "critical")]
    assert found[0].place == "layer 'evil'"


@pytest.mark.parametrize("name", ["external", "virtual", "virtual, older", "dense external links"])
def test_data_of_other_files_is_found(name: str) -> None:
    found = findings_of(FILES[name], "weights.h5")
    assert {(finding.rule, finding.severity) for finding in found} == {("escaping-reference", "high")}


@pytest.mark.parametrize("size", [4096, 1 << 16, 1 << 20])
def test_a_model_behind_another_file_is_found(size: int) -> None:
    picture = b"\x89PNG\r\n\x1a\n".ljust(size, b"\0")
    data = picture + with_configuration("oldest", HOSTILE)
    assert "hdf5-behind" in examine_bytes(data, "picture.png")[-1].formats
    assert worst(findings_of(data, "picture.png")) == "critical"
    assert "hdf5-behind" not in examine_bytes(b"x" + data, "picture.png")[-1].formats


def test_pickles_in_attributes_and_datasets_are_read() -> None:
    found = findings_of(FILES["pickles"], "data.h5")
    assert {finding.subject for finding in found} == {"data.h5!//blob", "data.h5!//@pickle"}
    assert {finding.severity for finding in found} == {"critical"}


def test_a_configuration_that_is_no_json_is_said() -> None:
    assert {f.rule for f in findings_of(with_configuration("oldest", '{"class_name": '), "m.h5")} == {"malformed"}


def test_a_torn_file_is_searched_for_its_configuration() -> None:
    data = with_configuration("oldest", HOSTILE)
    at = data.index(b"TREE")
    found = findings_of(data[:at] + b"XXXX" + data[at + 4 :], "model.h5")
    assert worst(found) == "critical"
    assert "malformed" in {finding.rule for finding in found}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(list(FILES)), st.data())
def test_flipped_bytes_are_no_error(name: str, data: st.DataObject) -> None:
    sample = bytearray(FILES[name])
    used = [at for at, byte in enumerate(sample) if byte]
    for _ in range(data.draw(st.integers(1, 6))):
        sample[data.draw(st.sampled_from(used))] = data.draw(st.integers(0, 255))
    for examination in examine_bytes(bytes(sample), "model.h5"):
        assert examination.state != "failed", examination.reason
