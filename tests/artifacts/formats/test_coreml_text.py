"""Programs of compiled CoreML models: where their weights are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Artifact, Reference
from tests.support import examine_bytes, facts_of, findings_of


def program(*values: str) -> bytes:
    """Constants whose paths are written in the older and in the newer way."""
    lines = "".join(
        f'  tensor<fp16, [2]> w{n} = const()[name = string("w"), val = tensor<fp16, [2]>(BLOBFILE(path = {value}, '
        "offset = uint64(64)))];\n"
        for n, value in enumerate(values)
    )
    return (
        f"program(1.3)\n[buildInfo = dict<string, string>({{}})]\n{{\n func main<ios18>() {{\n{lines} }}\n}}".encode()
    )


ORDINARY = program('string("@model_path/weights/weight.bin")', 'tensor<string, []>("@model_path/weights/weight.bin")')


def test_an_ordinary_program_tells_of_itself_and_is_no_finding() -> None:
    assert findings_of(ORDINARY, "model.mil") == []
    artifact, reference = facts_of(ORDINARY, "model.mil")
    assert artifact == Artifact(format="coreml-text", details={"program": "1.3", "functions": "main (ios18)"})
    assert isinstance(reference, Reference) and reference.target == "weights/weight.bin"


@pytest.mark.parametrize("path", ["/etc/passwd", "@model_path/../../other.bin"])
@pytest.mark.parametrize("written", ['string("{}")', 'tensor<string, []>("{}")'])
def test_weights_from_elsewhere(path: str, written: str) -> None:
    (found,) = findings_of(program(written.format(path)), "model.mil")
    assert (found.rule, found.severity) == ("escaping-reference", "high")


@given(st.integers(0, len(ORDINARY)), st.text(max_size=4))
def test_damaged_programs_never_raise(cut: int, noise: str) -> None:
    data = ORDINARY[:cut] + noise.encode() + ORDINARY[cut:]
    assert all(e.state != "failed" for e in examine_bytes(data, "model.mil"))
