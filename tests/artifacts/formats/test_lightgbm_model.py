"""LightGBM models: what the text says, and trees that lead out of it."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from tests.support import examine_bytes, facts_of, findings_of

TREE = {
    "num_leaves": "3",
    "num_cat": "0",
    "split_feature": "0 1",
    "threshold": "1.5 2.5",
    "decision_type": "2 2",
    "left_child": "1 -1",
    "right_child": "-2 -3",
    "leaf_value": "0.1 0.2 0.3",
}
CATEGORICAL = TREE | {"num_cat": "1", "decision_type": "2 1", "threshold": "1.5 0"}
CATEGORICAL |= {"cat_boundaries": "0 2", "cat_threshold": "1 5"}


def model(*trees: dict[str, str], sizes: str = "", end: str = "\n") -> bytes:
    texts = [f"Tree={n}\n" + "".join(f"{k}={v}\n" for k, v in tree.items()) + "\n" for n, tree in enumerate(trees)]
    header = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n"
    header += "objective=binary sigmoid:1\nfeature_names=a b\nfeature_infos=[0:1] [0:1]\n"
    header += f"tree_sizes={sizes or ' '.join(str(len(text)) for text in texts)}\n\n"
    ending = "end of trees\n\nfeature_importances:\na=1\n\nparameters:\n[boosting: gbdt]\n[num_iterations: 2]\n"
    ending += "end of parameters\n\npandas_categorical:null\n"
    return (header + "".join(texts) + ending).replace("\n", end).encode()


def rules(data: bytes) -> list[tuple[str, str]]:
    return [(item.rule, item.severity) for item in findings_of(data)]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_honest_model_gives_no_finding(end: str) -> None:
    stump = {"num_leaves": "1", "num_cat": "0", "leaf_value": "0.5"}
    data = model(TREE, CATEGORICAL, stump, end=end)
    assert findings_of(data, "model.txt") == []
    (artifact,) = [f for f in facts_of(data) if isinstance(f, Artifact)]
    assert artifact.format == "lightgbm"
    assert artifact.details == {
        "framework": "lightgbm",
        "version": "v4",
        "num_class": "1",
        "objective": "binary sigmoid:1",
        "features": 2,
        "trees": 3,
        "boosting": "gbdt",
        "iterations": "2",
    }


@pytest.mark.parametrize(
    "broken",
    [
        TREE | {"left_child": "1 -9"},
        TREE | {"left_child": "5 -1"},
        TREE | {"left_child": "1 0"},
        TREE | {"left_child": "1 1"},
        TREE | {"split_feature": "0 7"},
        TREE | {"leaf_features": "0 7"},
        CATEGORICAL | {"threshold": "1.5 3"},
        CATEGORICAL | {"cat_boundaries": "0 900"},
        CATEGORICAL | {"cat_boundaries": "5 2"},
    ],
    ids=["leaf", "node", "root", "circle", "feature", "linear", "set", "bits", "order"],
)
def test_trees_that_lead_out_of_the_model(broken: dict[str, str]) -> None:
    data = model(TREE, broken)
    assert rules(data) == [("tree-structure", "high")]
    assert [item.place for item in findings_of(data)] == ["tree 1"]


@pytest.mark.parametrize("sizes", ["999999 10", "-50 10"])
def test_lengths_that_leave_the_text(sizes: str) -> None:
    assert ("tree-structure", "high") in rules(model(TREE, TREE, sizes=sizes))


def test_promises_that_are_not_kept() -> None:
    assert rules(model(TREE, sizes="10 10 10")) == [("malformed", "low")]
    assert rules(model(TREE | {"left_child": "1"})) == [("malformed", "low")]
    assert rules(model(TREE | {"left_child": "1 x"})) == [("malformed", "low")]


def test_many_broken_trees_are_counted_and_not_listed() -> None:
    assert 20 < len(findings_of(model(*[TREE | {"left_child": "1 1"}] * 300))) < 25


def test_a_dump_is_named_for_what_it_is() -> None:
    dump = {"name": "tree", "version": "v4", "num_class": 1, "tree_info": [{"tree_index": 0}], "feature_infos": {}}
    (artifact,) = [f for f in facts_of(json.dumps(dump).encode(), "dump.json") if isinstance(f, Artifact)]
    assert (artifact.format, artifact.details["trees"]) == ("lightgbm-dump", 1)
    assert findings_of(json.dumps(dump).encode(), "dump.json") == []


def test_other_texts_about_trees_are_no_models() -> None:
    for text in (b"tree\nversion=v4\nhello\n", b"tree\n- oak\n- ash\n", b"a tree\nnum_class=1\n"):
        assert "lightgbm" not in examine_bytes(text)[-1].formats


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_damaged_models_never_raise(data: st.DataObject) -> None:
    raw = bytearray(model(TREE, CATEGORICAL))
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    assert all(e.state != "failed" for e in examine_bytes(cut))
