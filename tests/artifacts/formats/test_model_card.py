"""Cards go to the inventory, and their heads are never constructed."""

from hypothesis import given
from hypothesis import strategies as st

from garrison.core.facts import Artifact, Reference
from tests.support import examine_bytes, facts_of, findings_of

CARD = (
    b"---\nlicense: apache-2.0\nbase_model: org/base\ndatasets:\n- org/data\n- org/more\ntags: [a, b]\n"
    b"model-index:\n- name: x\n---\n# Title\n\nText: with colons, {braces} and `code`.\n"
)


def test_a_card_goes_to_the_inventory() -> None:
    facts = facts_of(CARD, "README.md")
    assert findings_of(CARD, "README.md") == []
    assert facts[0] == Artifact(
        format="model-card",
        details={"license": "apache-2.0", "base_model": "org/base", "datasets": "org/data, org/more"},
    )
    assert {(f.role, f.target) for f in facts if type(f) is Reference} == {
        ("base-model", "org/base"),
        ("metadata", "org/data"),
        ("metadata", "org/more"),
    }


@given(st.text(alphabet=st.sampled_from("{}[]:,-&*!|>#'\"%@ \n\tlicense"), max_size=80))
def test_any_head_of_a_card_ends_in_a_state(head: str) -> None:
    assert examine_bytes(f"---\n{head}\n---\n".encode(), "README.md")[-1].state != "failed"
