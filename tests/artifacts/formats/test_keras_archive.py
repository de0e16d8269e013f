import io
import json
import zipfile

import pytest

from garrison.core.facts import Artifact
from tests.support import examine_bytes, facts_of, findings_of, worst

METADATA = json.dumps({"keras_version": "3.3.3", "date_saved": "2024-06-18@07:48:29"})
HONEST = json.dumps(
    {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": []}, "registered_name": None}
)
HOSTILE = json.dumps({"module": "os", "class_name": "system", "config": {"name": "x"}, "registered_name": None})


def archive(*members: "tuple[str, str | bytes]", method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, data in members:
            file.writestr(name, data)
    return out.getvalue()


def test_an_honest_archive_is_known_and_has_no_finding() -> None:
    data = archive(("metadata.json", METADATA), ("config.json", HONEST), method=zipfile.ZIP_DEFLATED)
    assert findings_of(data, "model.keras") == []
    (artifact,) = [fact for fact in facts_of(data) if isinstance(fact, Artifact) and fact.format == "keras"]
    assert artifact.details == {"keras_version": "3.3.3", "date_saved": "2024-06-18@07:48:29"}


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(HOSTILE, id="plain"),
        pytest.param("\ufeff" + HOSTILE, id="byte order mark"),
        pytest.param(HOSTILE.encode("utf-16"), id="UTF-16, which Python's json reads"),
        pytest.param(f"[{HOSTILE}]", id="list"),
        pytest.param(json.dumps({"any": {"thing": json.loads(HOSTILE)}}), id="no model at its top"),
        pytest.param(HOSTILE.replace("class_name", "\\u0063lass_name"), id="escaped key"),
    ],
)
def test_a_hostile_configuration_is_found_once(config: "str | bytes") -> None:
    found = findings_of(archive(("metadata.json", METADATA), ("config.json", config)), "model.keras")
    assert [finding.severity for finding in found if finding.severity.rank > 1] == ["critical"]


def test_every_configuration_is_judged_where_there_are_two() -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        data = archive(("config.json", HONEST), ("metadata.json", METADATA), ("config.json", HOSTILE))
    assert worst(findings_of(data, "m.keras")) == "critical"


def test_a_configuration_that_is_no_json_is_said() -> None:
    found = findings_of(archive(("metadata.json", METADATA), ("config.json", b"\xff{")), "model.keras")
    assert "malformed" in {finding.rule for finding in found}


def test_a_zip_with_a_configuration_alone_is_no_keras() -> None:
    data = archive(("config.json", HONEST), ("x.txt", "x"))
    assert "keras" not in examine_bytes(data, "files.zip")[-1].formats
    assert "keras" in examine_bytes(data, "model.keras")[-1].formats


def test_an_archive_torn_anywhere_is_no_error() -> None:
    data = archive(("metadata.json", METADATA), ("config.json", HOSTILE), method=zipfile.ZIP_DEFLATED)
    for length in range(0, len(data), 5):
        for examination in examine_bytes(data[:length], "model.keras"):
            assert examination.state != "failed", examination.reason
