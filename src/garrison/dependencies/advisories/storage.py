"""How advisories lie in the database: its schema, and the packed form of its rows.

One row holds all that is known of one package, so that thousands of packages are looked up in one query.
"""

import datetime
import functools
from typing import TYPE_CHECKING, Any

import msgspec

from garrison.core.errors import GarrisonError
from garrison.dependencies.advisories.advisory import Advisory, Range

if TYPE_CHECKING:
    import zstandard

APPLICATION = 0x47525344
"""`PRAGMA application_id`, "GRSD"."""
VERSION = 1
"""`PRAGMA user_version`: raised when older readers could not make sense of the contents."""
SCHEMA = (
    "CREATE TABLE source (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, "
    "ecosystems TEXT NOT NULL, count INTEGER NOT NULL, broken INTEGER NOT NULL, newest TEXT NOT NULL, "
    "fetched TEXT NOT NULL, validators TEXT NOT NULL)",
    "CREATE TABLE advisory (key INTEGER PRIMARY KEY, id TEXT NOT NULL, source INTEGER NOT NULL, "
    "modified TEXT NOT NULL, payload BLOB NOT NULL)",
    "CREATE UNIQUE INDEX advisory_id ON advisory (id, source)",
    "CREATE TABLE package (key INTEGER PRIMARY KEY, ecosystem TEXT NOT NULL, name TEXT NOT NULL, "
    "payload BLOB NOT NULL)",
    "CREATE UNIQUE INDEX package_name ON package (ecosystem, name)",
    "CREATE TABLE epss (cve INTEGER PRIMARY KEY, score REAL NOT NULL)",
    "CREATE TABLE kev (cve INTEGER PRIMARY KEY)",
)
_LEVEL = 6
_UNPACKED_LIMIT = 256 << 20


class DatabaseDamaged(GarrisonError):
    """The file is no advisory database, or one that lost something on its way."""


class Row(msgspec.Struct, frozen=True, array_like=True):
    """What one advisory of one source says of a package."""

    id: str
    source: int
    modified: datetime.datetime
    ecosystem: str
    name: str
    ranges: tuple[Range, ...]
    versions: int
    """Which of the lists of versions."""


class Rows(msgspec.Struct, array_like=True):
    rows: list[Row]
    lists: list[tuple[str, ...]]
    """Lists of versions; advisories about one package often share them."""


_encode = msgspec.msgpack.Encoder().encode
_decode_rows = msgspec.msgpack.Decoder(Rows).decode
_decode_advisory = msgspec.msgpack.Decoder(Advisory).decode


@functools.cache
def _compressor() -> "zstandard.ZstdCompressor":
    import zstandard

    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)


@functools.cache
def _decompressor() -> "zstandard.ZstdDecompressor":
    import zstandard

    return zstandard.ZstdDecompressor(max_window_size=1 << 27)


def pack_rows(rows: Rows) -> bytes:
    return _compressor().compress(_encode(rows))


def unpack_rows(payload: Any) -> Rows:
    """Raises `DatabaseDamaged`."""
    return _unpacked(payload, _decode_rows)  # type: ignore[no-any-return]


def pack_advisory(advisory: Advisory) -> bytes:
    return _compressor().compress(_encode(advisory))


def unpack_advisory(payload: Any) -> Advisory:
    """Raises `DatabaseDamaged`."""
    return _unpacked(payload, _decode_advisory)  # type: ignore[no-any-return]


def _unpacked(payload: Any, decode: Any) -> Any:
    import zstandard

    try:
        if not 0 <= zstandard.frame_content_size(payload) <= _UNPACKED_LIMIT:
            raise DatabaseDamaged("a row of the advisory database is damaged")
        return decode(_decompressor().decompress(payload))
    except (zstandard.ZstdError, msgspec.MsgspecError, UnicodeDecodeError, TypeError, MemoryError) as error:
        raise DatabaseDamaged(f"a row of the advisory database is damaged: {error}") from None


def cve_number(name: str) -> int | None:
    """`CVE-2021-44228` as one number; `None` for what is no CVE id."""
    prefix, _, rest = name.partition("-")
    year, _, number = rest.partition("-")
    if prefix != "CVE" or len(year) != 4 or not 4 <= len(number) <= 10 or not (year + number).isdecimal():
        return None
    return int(year) * 10**10 + int(number)
