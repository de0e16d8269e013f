"""What a pickle has pushed and what it remembers."""

from garrison.artifacts.disarm.values import Value
from garrison.core.errors import LimitExceeded

_PUSHED = 4_000_000


class Stack:
    """Values above marks, and the memo. Taking from an empty one raises `IndexError`."""

    def __init__(self) -> None:
        self.memo: dict[int, Value] = {}
        self._values: list[Value] = []
        self._marks: list[list[Value]] = []
        self._pushed = 0

    def clear(self) -> None:
        """Empty it for the next stream; what was pushed in all stays bounded."""
        self._values, self._marks, self.memo = [], [], {}

    def _count(self) -> None:
        self._pushed += 1
        if self._pushed > _PUSHED:
            raise LimitExceeded("memory", f"a pickle of more than {_PUSHED:,} values")

    @property
    def top(self) -> Value:
        return self._values[-1]

    @top.setter
    def top(self, value: Value) -> None:
        self._values[-1] = value

    def push(self, value: Value) -> None:
        self._count()
        self._values.append(value)

    def pop(self) -> Value:
        return self._values.pop()

    def mark(self) -> None:
        self._count()
        self._marks.append(self._values)
        self._values = []

    def pop_mark(self) -> list[Value]:
        """What was pushed since the last mark."""
        items = self._values
        self._values = self._marks.pop()
        return items

    def drop(self) -> None:
        """Forget the last value, or the mark where nothing is above it."""
        if self._values:
            self._values.pop()
        else:
            self.pop_mark()
