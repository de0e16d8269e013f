"""Whether the indices of a decision tree stay inside it: prediction follows them without looking."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def children(indices: "Sequence[int]", first: int, beyond: int) -> str:
    """What is wrong with the children of all inner nodes of a tree whose root is 0; empty where nothing is.

    Each child must lie between `first` and `beyond`, and be the child of one node only: then the tree has no circle
    that prediction could reach.
    """
    if not indices:
        return ""
    lowest, highest = min(indices), max(indices)
    if lowest < first or highest >= beyond:
        wrong = highest if highest >= beyond else lowest
        return f"a child's index is {wrong}, in a tree of {beyond} nodes"
    distinct = set(indices)
    if 0 in distinct:
        return "a node leads back to the root"
    if len(distinct) != len(indices):
        return "a node is the child of two others"
    return ""


def features(indices: "Sequence[int]", count: int) -> str:
    """What is wrong with the features that inner nodes split on; empty where nothing is or no count is known."""
    if not indices or count <= 0:
        return ""
    lowest, highest = min(indices), max(indices)
    if lowest < 0 or highest >= count:
        wrong = highest if highest >= count else lowest
        return f"a node splits on feature {wrong} of {count}"
    return ""
