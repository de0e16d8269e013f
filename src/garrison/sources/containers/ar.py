"""Unix `ar` archives: Debian packages and static libraries.

Source: `ar(5)`; the System V and BSD ways to write long names.
"""

from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import Artifact
from garrison.sources.containers.names import name_anomalies
from garrison.sources.source import Context, Extracted, Source

MAGIC = b"!<arch>\n"
_NAMES_LIMIT = 1 << 20
_OF_MICROSOFT = 2
"""Linker members that a library for Windows begins with. The names in it are those of the object files when it was
built (`..\\x64\\a.obj`), and linkers write none of them anywhere."""
_INDEXES = frozenset({"/", "/SYM64/", "__.SYMDEF", "__.SYMDEF SORTED"})


def extract(source: Source, context: Context) -> Extracted:
    """The members as sources."""
    yield Artifact(format="ar")
    reader = source.reader
    offset = len(MAGIC)
    names = b""
    linker_members = 0
    for _ in range(context.limits.members):
        context.check_time()
        header = reader.pread(offset, 60)
        if not header.strip(b"\n\0"):
            return
        digits = header[48:58].strip()
        if len(header) < 60 or header[58:60] != b"`\n" or not digits.isdigit():
            raise Malformed(f"no member header at {offset:#x}")
        size = int(digits)
        name = header[:16].decode("latin-1").rstrip(" ")
        data = offset + 60
        skipped = 0
        if name == "//":
            names = reader.pread(data, min(size, _NAMES_LIMIT))
        elif name == "/":
            linker_members += 1
        elif name not in _INDEXES:
            if name.startswith("#1/") and name[3:].isdecimal():
                skipped = min(int(name[3:]), size, _NAMES_LIMIT)
                name = reader.pread(data, skipped).split(b"\0")[0].decode("utf-8", "backslashreplace")
            elif name.startswith("/") and name[1:].isdecimal():
                name = names[int(name[1:]) :].split(b"\n")[0].split(b"\0")[0].decode("utf-8", "backslashreplace")
            name = name.removesuffix("/")
            if name not in _INDEXES:
                if linker_members < _OF_MICROSOFT:
                    yield from name_anomalies(name)
                yield source.member(name or "(no name)", reader.window(data + skipped, size - skipped))
        offset = data + size + size % 2
    raise LimitExceeded("members", f"more than {context.limits.members} members")
