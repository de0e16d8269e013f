"""PyTorch's checkpoints of today: a zip of a pickle and of storages.

Source: `torch/serialization.py` (`_load`).
"""

import functools

from garrison.artifacts.disarm.contents import Left
from garrison.artifacts.disarm.torch_storages import Storages
from garrison.artifacts.disarm.unpickling import Rules, Unpickling
from garrison.artifacts.disarm.values import Opaque, Storage, Value
from garrison.artifacts.formats.pytorch import root_of
from garrison.core.errors import ExaminationError, Malformed
from garrison.sources.containers.zip import Member, directory, open_member
from garrison.sources.reader import Reader
from garrison.sources.source import Context

_STORED = 0
_ORDINARY = frozenset({"version", "byteorder", ".format_version", ".storage_alignment", ".data/serialization_id"})


def is_archive(data: Reader) -> bool:
    """As `torch.load` tells it from stacked pickles."""
    return data.pread(0, 2) == b"PK"


class Archive:
    """One archive, and which of its members were asked for."""

    def __init__(self, reader: Reader, context: Context, rules: Rules) -> None:
        """Raises `Malformed` where it is none."""
        self._rules = rules
        self._reader = reader
        self._context = context
        found = directory(reader)
        root = root_of(found)
        if root is None:
            raise Malformed("the archive has no data.pkl")
        self._prefix = f"{root}/" if root else ""
        self._members = {member.name.lower(): member for member in reversed(found.members) if member.data >= 0}
        self._used: set[str] = set()
        self._swapped = self._small("byteorder") == b"big"

    def member(self, name: str) -> Member | None:
        """By its name below the archive's folder, in any case, as PyTorch's reader looks for it."""
        member = self._members.get(f"{self._prefix}{name}".lower())
        if member is not None:
            self._used.add(member.name)
        return member

    def _opened(self, member: Member) -> Reader:
        window = self._reader.window(member.data, member.packed)
        if member.method == _STORED:
            return window
        if open_member(window, member.method, self._context) is None:
            raise Malformed(f"{member.name!r} is packed with method {member.method}")
        return _Packed(window, member, self._context)

    def _small(self, name: str) -> bytes:
        member = self.member(name)
        return b"" if member is None else self._opened(member).pread(0, 64).strip()

    def value(self, name: str, folder: str, acts: list[Opaque], depth: int = 0) -> Value:
        """The value of a pickle whose storages are members of a folder."""
        member = self.member(name)
        if member is None:
            raise Malformed(f"the archive has no {name}")
        storages = Storages()

        def persistent(identifier: Value) -> Value:
            match identifier:
                case ("storage" | b"storage", kind, key, _, count):
                    found = storages.get(kind, key, count)
                    if isinstance(found, Storage) and found.reader is None and not found.problem:
                        self._find(found, folder)
                    return found
            return Opaque("persistent object that is no storage", 0)

        pickled = self._opened(member)
        machine = Unpickling(pickled, self._context, self._rules, acts=acts, persistent=persistent, depth=depth)
        return machine.load()

    def _find(self, storage: Storage, folder: str) -> None:
        member = self.member(f"{folder}/{storage.key}")
        if member is None:
            storage.problem = "its bytes are not in the archive"
            return
        try:
            reader = self._opened(member)
            if storage.size and not reader.pread(storage.size - 1, 1):
                storage.problem = "there are fewer bytes in the archive than it claims"
                return
        except ExaminationError as error:
            storage.problem = str(error)
            return
        storage.reader, storage.swapped = reader, self._swapped

    def left(self) -> list[Left]:
        """Members that nothing asked for."""
        found = []
        for member in self._members.values():
            inside = member.name.removeprefix(self._prefix)
            if member.name in self._used or member.name.endswith("/") or inside.lower() in _ORDINARY:
                continue
            code = inside.startswith("code/") or inside.lower() in ("bytecode.pkl", "model.json")
            what = "code of the archive" if code else "member of the archive that its pickle does not name"
            found.append(Left(path=inside, reason=what))
        return found


class _Packed(Reader):
    """A compressed member, which `torch.save` never writes: unpacked again when it is asked for, one at a time."""

    def __init__(self, packed: Reader, member: Member, context: Context) -> None:
        self._packed, self._member, self._context = packed, member, context

    @property
    def size(self) -> int:
        return self._member.size

    def pread(self, offset: int, length: int) -> bytes:
        return _unpacked(self).pread(offset, length)

    def unpacked(self) -> Reader:
        reader = open_member(self._packed, self._member.method, self._context)
        assert reader is not None
        return reader


@functools.lru_cache(maxsize=1)
def _unpacked(packed: _Packed) -> Reader:
    return packed.unpacked()
