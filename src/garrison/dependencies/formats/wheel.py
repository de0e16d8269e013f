"""Wheels: whether the files are those that the wheel's own record lists.

Source: the packaging user guide, "Binary distribution format" and "Recording installed projects" (`RECORD`).
"""

import base64
import csv
import hashlib
from collections.abc import Iterable

from garrison.core.errors import Malformed
from garrison.core.facts import Anomaly, Artifact
from garrison.dependencies.wording import first_of
from garrison.sources.containers.zip import Member, directory, open_member
from garrison.sources.source import Context, Extracted, Source

_UNLISTED = ("RECORD", "RECORD.jws", "RECORD.p7s")
_HASHED = 32 << 20
"""Unpacked bytes whose digests are compared: code first. What lies beyond is only held against the list."""
_CODE = (".py", ".pth", ".so", ".pyd", ".dll", ".exe", ".sh", ".pkl", ".pt", ".bin")
_SHOWN = 5


def sniff(source: Source) -> bool:
    """A zip with the record and the description of a wheel in one folder at its top."""
    return _folder(member.name for member in directory(source.reader).members) != ""


def _folder(names: Iterable[str]) -> str:
    tops = set(names)
    found = [name.rpartition("/")[0] for name in tops if name.count("/") == 1 and name.endswith(".dist-info/RECORD")]
    return next((folder for folder in found if f"{folder}/WHEEL" in tops), "")


def extract(source: Source, context: Context) -> Extracted:
    """What is there and not listed, listed and not there, or there with other bytes."""
    members = {m.name: m for m in directory(source.reader).members if not m.name.endswith("/") and m.data >= 0}
    folder = _folder(members)
    if not folder:
        raise Malformed("the record, or the description beside it, is damaged")
    listed = _record(source, members[f"{folder}/RECORD"], context)
    unlisted = [name for name in members if name not in listed and not _is_signature(name, folder)]
    missing = [name for name in listed if name not in members]
    changed, compared = _changed(source, members, listed, context)
    yield Artifact(format="wheel", details={"files": len(members), "compared": compared})
    for names, what in (
        (unlisted, "the record does not list"),
        (missing, "the record lists what is not there:"),
        (changed, "the bytes are not those that the record lists:"),
    ):
        if names:
            detail = f"{what} {first_of([repr(name) for name in names], _SHOWN)}"
            yield Anomaly(what="wheel-record-mismatch", detail=detail, place=f"{folder}/RECORD")


def _is_signature(name: str, folder: str) -> bool:
    return name in [f"{folder}/{one}" for one in _UNLISTED]


def _record(source: Source, member: Member, context: Context) -> dict[str, str]:
    """The digest of each file that is listed, as written; empty where it has none."""
    opened = open_member(source.reader.window(member.data, member.packed), member.method, context)
    if opened is None:
        raise Malformed("the record cannot be unpacked")
    text = opened.whole(context.limits.buffer).decode("utf-8", "replace")
    try:
        rows = [row for row in csv.reader(text.splitlines()) if row and row[0]]
    except csv.Error as error:
        raise Malformed(f"the record is no list of values: {error}") from None
    return {row[0].replace("\\", "/"): row[1] if len(row) > 1 else "" for row in rows}


def _changed(
    source: Source, members: dict[str, Member], listed: dict[str, str], context: Context
) -> tuple[list[str], int]:
    """Files whose digest is another, and how many were compared."""
    found: list[str] = []
    compared, left = 0, _HASHED
    names = [name for name in members if listed.get(name)]
    for name in sorted(names, key=lambda name: not name.endswith(_CODE)):
        context.check_time()
        member = members[name]
        kind, _, written = listed[name].partition("=")
        if kind not in ("sha256", "sha384", "sha512") or member.size > left:
            continue
        left -= member.size
        opened = open_member(source.reader.window(member.data, member.packed), member.method, context)
        if opened is None:
            continue
        digest = hashlib.new(kind)
        for chunk in opened.chunks():
            digest.update(chunk)
        compared += 1
        if base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() != written.rstrip("="):
            found.append(name)
    return found, compared
