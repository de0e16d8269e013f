"""A pointer of Git LFS is not the model."""

from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from tests.support import examine_bytes, facts_of, findings_of

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 1827781090\n"


def test_a_pointer_is_not_the_model() -> None:
    found = findings_of(POINTER, "model.bin")
    assert [(item.rule, str(item.severity)) for item in found] == [("lfs-pointer", "low")]
    assert facts_of(POINTER, "model.bin")[0] == Artifact(
        format="lfs-pointer", details={"oid": "sha256:" + "4d" * 32, "size": 1827781090}
    )


@given(st.integers(0, len(POINTER)))
def test_a_cut_pointer_ends_in_a_state(length: int) -> None:
    assert examine_bytes(POINTER[:length], "model.bin")[-1].state == "examined"
