"""ncnn networks: layers that ncnn does not have."""

from hypothesis import given

from garrison.core.facts import Artifact
from tests.support import assert_no_failure, damaged, examine_bytes, facts_of, findings_of

NCNN = b"7767517\n3 3\nInput data 0 1 data 0=227\nConvolution conv 1 1 data conv 0=64\nSoftmax p 1 1 conv p\n"


def test_ordinary_models_are_no_finding() -> None:
    assert findings_of(NCNN) == []
    assert all(item.state == "examined" for item in examine_bytes(NCNN))


def test_layers_that_ncnn_does_not_have() -> None:
    (found,) = findings_of(NCNN + b"YoloFocus f 1 1 p f\nYoloFocus g 1 1 f g\n", "m.param")
    assert (found.rule, found.severity, found.place) == ("custom-operator", "medium", "line 6")
    assert [f.rule for f in findings_of(NCNN + b"Input x\n")] == ["malformed"]
    artifact = next(fact for fact in facts_of(NCNN) if isinstance(fact, Artifact))
    assert artifact.details == {"layers": 3, "blobs": 3}


@given(damaged(NCNN))
def test_broken_files_do_not_fail(data: bytes) -> None:
    assert_no_failure(data)
