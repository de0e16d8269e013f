"""Words of like meaning, from files of the user's own: nothing is fetched, and no list is shipped."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from garrison.core.errors import UsageError
from garrison.core.files import contents

Synonyms = Callable[[str], Sequence[str]]
"""Words that may stand for one, the nearest first; none where none is known."""

LARGEST_FILE = 1 << 30
"""Bytes."""
LARGEST_LIST = 1 << 26


def from_list(path: str) -> Synonyms:
    """A JSON object of words, each with a list of words that may stand for it. Case does not matter.

    Raises `UsageError`.
    """
    try:
        lists = msgspec.json.decode(contents(path, LARGEST_LIST), type=dict[str, list[str]])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: no JSON object of words with lists of words: {error}") from None
    known = {word.casefold(): tuple(others) for word, others in lists.items()}
    return lambda word: known.get(word.casefold(), ())


def from_vectors(path: str, *, neighbours: int = 8, similarity: float = 0.7) -> Synonyms:
    """Neighbours in a text file of vectors: each line a word and its numbers, as word2vec and GloVe write them.

    The cosine must be at least `similarity`. Vectors put words of opposite meaning near each other, unless they were
    made not to (Mrkšić et al. 2016, counter-fitting): those are the ones to use here. Raises `UsageError`.
    """
    words, rows = [], []
    width = 0
    for number, line in enumerate(contents(path, LARGEST_FILE).decode("utf-8", "replace").split("\n"), 1):
        word, *numbers = line.rstrip().split(" ")
        if not numbers or (number == 1 and len(numbers) == 1):
            continue  # An empty line, or word2vec's first, which says how many there are.
        try:
            row = np.asarray(numbers, dtype=np.float32)
        except ValueError:
            raise UsageError(f"{path}: line {number} is no word with numbers") from None
        width = width or len(row)
        if len(row) != width or not np.isfinite(row).all():
            raise UsageError(f"{path}: line {number} has not {width} finite numbers")
        words.append(word)
        rows.append(row)
    if not rows:
        raise UsageError(f"{path}: no vectors")
    matrix = np.stack(rows)
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
    index = {word.casefold(): row for row, word in reversed(list(enumerate(words)))}

    def nearest(word: str) -> Sequence[str]:
        own = index.get(word.casefold())
        if own is None:
            return ()
        cosines = matrix @ matrix[own]
        best = (-cosines).argsort(kind="stable")[: neighbours + 1]
        return [words[row] for row in best if cosines[row] >= similarity and words[row].casefold() != word.casefold()]

    return nearest


def in_case_of(word: str, other: str) -> str:
    """`other`, written in capitals as `word` is."""
    if len(word) > 1 and word.isupper():
        return other.upper()
    return other[:1].upper() + other[1:] if word[:1].isupper() else other
