"""XGBoost models in JSON, UBJSON and the old binary form: real ones pass, trees that lead out of the model do not."""

import base64
import json
import pickle
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from garrison.core.facts import Artifact
from tests.support import examine_bytes, facts_of, findings_of

# Written by XGBoost 2.1.4: one tree of three nodes, and an attribute.
REAL_BINARY = zlib.decompress(
    base64.b64decode(
        "eNpLysxLY2BgsGdigABGKM0EZcP49AACULooNd2quLA0sSg1JbWoKL+IDSqenlRSlJpKb1eRCkBuY0biMw0C9/4HAkaoW6DAAYgb"
        "/kMBSODcmTN7YWqRxGxXr9KyByoFq0cy0gGmHolvi+xnEGCB0kmpxSWwMDDghDLyk7JSk0syy1JdoQLVSnmJualKVkroCUBJByQU"
        "n5NfXBxfkFiUmKtkVa1UnJyYkxpfkF8cX56amZ5RAtRnqFRbCwA2hk2x"
    )
)
REAL_UBJSON = zlib.decompress(
    base64.b64decode(
        "eNqVVM2O0zAQ7t9SbXeLyu4j0BMSEj/igoTYC7e9IU49WE4ySQc5dvG4RVCtlueBZ+ANVrwSTNzWdkoWCUutEs+X8Tfj75vtdW+3"
        "xgqk1WC3h42JdM5itnZAYW+UAbn3h7f+s5vD47QE6dYWhJY10OLxYb/3F8B9WXUCZpWVBYJ2IjOGXELkpDYFqPB6UWXOAgi/K1bS"
        "yjrEHul17beU4lgDi2SfH55OG1AToyQYKpkhny0dGi1QFytnI9cB9rAfsngSqEsTAX0M5Zz4A5JQ4HieSQLxGbBaOlrMiwAZfuO/"
        "n3d3v97wL9xCLh1UxiInm6uOtsW40NyRbtRlgiKoam4zA6//nY7wK3Sjzgso5Vo5oaB0i/mHWEICGmAR2zFtkCJfoios6JRj80n/"
        "936FA5QhYrjUFbR79PbJ9x/HdMZ847uKkrS3nO4Y+NA2Tb+XxuCYxoxWChlvdIGNItpUrjqua7r7gpWDefsuhr1khdvdwRtP3NfG"
        "M2K1LoEIpW4fz3JpKFyl+bwo2544a+TOVgEHRWLdVnhvzhh+0TKLF1YMvoz9YYmwCGQpNpA7Y1ND3QRLjZqhEEIPdv4N0cv94Ok0"
        "9MSbhXKTkBu9evc0mPnCTwtRWlMLuWHnVtBRpK8iV5Lo/zsw8eNC2gpc17w4NdlHrh03sO2ud2ahek2f1qzRAqw1NqoRKuGF3q55"
        "RrlUfIuG9lOiu6tjrpZYlHHGDHGAfRzd/AHqUkIv"
    )
)
STRUCTURE = "tree-structure"


def tree(left: list[int], right: list[int], splits: list[int]) -> dict[str, Any]:
    parameters = {"num_deleted": "0", "num_feature": "4", "num_nodes": str(len(left)), "size_leaf_vector": "1"}
    return {
        "id": 0,
        "left_children": left,
        "right_children": right,
        "split_indices": splits,
        "split_conditions": [0.5] * len(left),
        "tree_param": parameters,
    }


GOOD = tree([1, -1, 3, -1, -1], [2, -1, 4, -1, -1], [3, 0, 1, 0, 0])


def model(*trees: dict[str, Any], information: list[int] | None = None, classes: int = 0) -> dict[str, Any]:
    ensemble = {
        "gbtree_model_param": {"num_trees": str(len(trees)), "num_parallel_tree": "1"},
        "tree_info": information if information is not None else [0] * len(trees),
        "trees": list(trees),
    }
    learner = {
        "attributes": {"best_iteration": "3"},
        "feature_names": [],
        "gradient_booster": {"model": ensemble, "name": "gbtree"},
        "learner_model_param": {"base_score": "5E-1", "num_class": str(classes), "num_feature": "4", "num_target": "1"},
        "objective": {"name": "reg:squarederror"},
    }
    return {"learner": learner, "version": [2, 1, 4]}


def as_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


def ubjson(value: Any) -> bytes:
    """As XGBoost writes it: integers in typed arrays, lengths of eight bytes."""
    if isinstance(value, dict):
        return b"{" + b"".join(ubjson(key)[1:] + ubjson(item) for key, item in value.items()) + b"}"
    if isinstance(value, list):
        count = b"#L" + struct.pack(">q", len(value))
        if value and all(type(item) is int for item in value):
            return b"[$l" + count + struct.pack(f">{len(value)}i", *value)
        return b"[" + count + b"".join(map(ubjson, value))
    if isinstance(value, str):
        return b"SL" + struct.pack(">q", len(value)) + value.encode()
    return b"d" + struct.pack(">f", value) if isinstance(value, float) else b"l" + struct.pack(">i", value)


def binary(document: dict[str, Any]) -> bytes:
    learner = document["learner"]
    parameters, ensemble = learner["learner_model_param"], learner["gradient_booster"]["model"]
    text = [struct.pack("<Q", len(name)) + name for name in (b"reg:squarederror", b"gbtree")]
    head = struct.pack("<fIiii", 0.5, 4, int(parameters["num_class"]), 0, 0) + bytes(116)
    trees = b""
    for one in ensemble["trees"]:
        nodes = list(zip(one["left_children"], one["right_children"], one["split_indices"], strict=True))
        trees += struct.pack("<iiiiii", 1, len(nodes), 0, 0, 4, 0) + bytes(124)
        trees += b"".join(struct.pack("<iiiIf", -1, left, right, split, 0.5) for left, right, split in nodes)
        trees += bytes(16 * len(nodes))
    count = len(ensemble["trees"])
    information = struct.pack(f"<{count}i", *ensemble["tree_info"])
    return head + b"".join(text) + struct.pack("<i", count) + bytes(156) + trees + information


FORMS = pytest.mark.parametrize("form", [as_json, ubjson, binary])
Form = Callable[[dict[str, Any]], bytes]


def rules(data: bytes) -> list[tuple[str, str]]:
    return [(item.rule, item.severity) for item in findings_of(data)]


@FORMS
def test_an_honest_model_gives_no_finding(form: Form) -> None:
    data = form(model(GOOD, tree([-1], [-1], [0])))
    assert findings_of(data) == []
    (artifact,) = [f for f in facts_of(data) if isinstance(f, Artifact)]
    assert artifact.format.startswith("xgboost-")
    assert artifact.details["trees"] == 2
    assert artifact.details["features"] == 4
    assert artifact.details["objective"] == "reg:squarederror"


@pytest.mark.parametrize(("data", "form"), [(REAL_BINARY, "xgboost-binary"), (REAL_UBJSON, "xgboost-ubjson")])
def test_what_xgboost_writes_is_read_to_its_last_byte(data: bytes, form: str) -> None:
    assert findings_of(data) == []
    (examination,) = examine_bytes(data)
    assert (examination.formats, examination.state) == ([form], "examined")
    assert [rule for rule, _ in rules(data + b"more")] == ["trailing-data"]


def test_the_binary_form_before_it_had_a_prefix() -> None:
    bare = REAL_BINARY.removeprefix(b"binf")
    assert examine_bytes(bare)[-1].formats == ["xgboost-binary"]
    assert findings_of(bare) == []


@FORMS
@pytest.mark.parametrize(
    "broken",
    [
        tree([1, -1, 3, -1, -1], [2, -1, 1000, -1, -1], [0] * 5),
        tree([1, -1, 3, -1, -1], [2, -1, -5, -1, -1], [0] * 5),
        tree([1, -1, 0, -1, -1], [2, -1, 4, -1, -1], [0] * 5),
        tree([1, -1, 2, -1, -1], [2, -1, 4, -1, -1], [0] * 5),
        tree([1, -1, 3, -1, -1], [2, -1, 4, -1, -1], [0, 0, 4000, 0, 0]),
    ],
    ids=["beyond", "before", "back to the root", "circle", "feature"],
)
def test_trees_that_lead_out_of_the_model(form: Form, broken: dict[str, Any]) -> None:
    data = form(model(GOOD, broken))
    assert rules(data) == [(STRUCTURE, "high")]
    assert [item.place for item in findings_of(data)] == ["tree 1"]


@FORMS
def test_outputs_that_are_not_there(form: Form) -> None:
    assert rules(form(model(GOOD, information=[7]))) == [(STRUCTURE, "high")]
    assert rules(form(model(*[GOOD] * 3, information=[0, 1, 2], classes=3))) == []


def test_many_broken_trees_are_counted_and_not_listed() -> None:
    data = as_json(model(*[tree([1], [1], [0])] * 500))
    assert 20 < len(findings_of(data)) < 25


def test_leaves_of_trees_with_many_outputs_keep_an_index_at_their_right() -> None:
    assert findings_of(as_json(model(tree([1, -1, -1], [2, 0, 1], [0, 0, 0])))) == []


def test_parts_of_different_lengths_and_promises_are_stated() -> None:
    short = tree([1, -1, -1], [2, -1], [0, 0, 0])
    assert rules(as_json(model(short))) == [("malformed", "low")]
    document = model(GOOD)
    document["learner"]["gradient_booster"]["model"]["gbtree_model_param"]["num_trees"] = "9"
    assert rules(as_json(document)) == [("malformed", "low")]


def test_the_snapshot_of_a_booster_is_read_through_its_model() -> None:
    snapshot = ubjson({"Config": {"version": [2, 1, 4]}, "Model": model(tree([9], [9], [0]))})
    assert rules(snapshot) == [(STRUCTURE, "high")]


def test_sizes_that_lie_cost_nothing() -> None:
    start = ubjson({"learner": {}})[:-2] + ubjson("trees")[1:]
    for lie in (
        b"[$l#L\x7f" + b"\xff" * 7,
        b"[$Z#L\x7f" + b"\xff" * 7,
        b"[$l#L" + b"\xff" * 8,
        b"SL\x7f" + b"\xff" * 7,
    ):
        (examination,) = examine_bytes(start + lie)
        assert examination.formats == ["xgboost-ubjson"]
        assert examination.state == "partial"
    deep = ubjson({"learner": {}})[:-2] + ubjson("x")[1:] + b"[" * 100_000
    assert examine_bytes(deep)[-1].state == "partial"


def test_other_json_is_no_model() -> None:
    for text in (b'{"learner": "me"}', b'{"version": [1, 0, 0], "learner": {"note": "text"}}', b'{"learner": {}}'):
        assert examine_bytes(text)[-1].formats == ["json"]


def test_documents_inside_a_model_are_still_walked() -> None:
    document = model(GOOD)
    document["learner"]["attributes"]["template"] = "{{ cycler.__init__.__globals__.os.popen('id') }}"
    assert "template-escape" in {rule for rule, _ in rules(as_json(document))}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([REAL_BINARY, REAL_UBJSON, as_json(model(GOOD)), ubjson(model(GOOD))]), st.data())
def test_damaged_models_never_raise(data: bytes, choice: st.DataObject) -> None:
    raw = bytearray(data)
    for _ in range(choice.draw(st.integers(0, 4))):
        raw[choice.draw(st.integers(0, len(raw) - 1))] = choice.draw(st.integers(0, 255))
    cut = bytes(raw[: choice.draw(st.integers(0, len(raw)))])
    assert all(e.state != "failed" for e in examine_bytes(cut))


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_the_buffer_inside_a_pickled_booster_is_read(protocol: int) -> None:
    """A pickle is no wrapper that hides a broken model."""
    buffer = ubjson({"Config": {"version": [2, 1, 4]}, "Model": model(tree([9], [9], [0]))})
    found = findings_of(pickle.dumps({"handle": bytearray(buffer)}, protocol), "model.pkl")
    assert [(item.rule, item.severity) for item in found if "literal@" in item.subject] == [(STRUCTURE, "high")]
