"""TensorRT engines, and the metadata that exporters put before them."""

import json
import struct

from hypothesis import given

from garrison.core.facts import Artifact
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of, worst

ENGINE = b"ptrt" + struct.pack("<IIQI", 0x61, 0, 64, 1) + bytes(64)


def wrapped(metadata: object) -> bytes:
    text = json.dumps(metadata).encode()
    return struct.pack("<I", len(text)) + text + ENGINE


def test_ordinary_models_are_no_finding() -> None:
    assert findings_of(wrapped({"task": "detect"})) == []
    assert all(item.state == "examined" for item in examine_bytes(wrapped({"task": "detect"})))


def test_an_engine_and_the_metadata_before_it() -> None:
    artifact = next(fact for fact in facts_of(ENGINE) if isinstance(fact, Artifact))
    assert artifact.details == {"mark": "ptrt", "serialisation_version": 0x61}
    template = {"names": "{{ ''.__class__.__mro__[1].__subclasses__() }}"}
    assert worst(findings_of(wrapped(template))) == "critical"
    (found,) = findings_of(b"print('hello')\n", "model.engine")
    assert (found.rule, found.severity) == ("format-mismatch", "low")


@given(damaged(ENGINE, wrapped({"a": 1})))
def test_broken_files_do_not_fail(data: bytes) -> None:
    assert_no_failure(data)
