"""Versions of Python packages.

Source: PEP 440, "Version specifiers", now the specification of the same name on packaging.python.org.
"""

import re
from typing import Any

from garrison.dependencies.versions.scheme import InvalidVersion, Scheme

_PLAIN = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18}){0,9}", re.ASCII)
_LOWEST, _MIDDLE, _HIGHEST = -1, 0, 1
_FINAL = ((_HIGHEST,), (_LOWEST,), (_HIGHEST,), ())
_LONGEST = 1000


class Pep440(Scheme):
    def _key(self, version: str) -> Any:
        # Nine in ten versions are numbers and dots; `packaging` takes ten times as long for them.
        if _PLAIN.fullmatch(version):
            return (0, _significant(tuple(map(int, version.split(".")))), *_FINAL)
        parsed = _parse(version)
        pre: tuple[Any, ...] = (_HIGHEST,)
        if parsed.pre is not None:
            pre = (_MIDDLE, *parsed.pre)
        elif parsed.post is None and parsed.dev is not None:
            pre = (_LOWEST,)
        post = (_LOWEST,) if parsed.post is None else (_MIDDLE, parsed.post)
        dev = (_HIGHEST,) if parsed.dev is None else (_MIDDLE, parsed.dev)
        local = tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in _parts(parsed.local))
        return parsed.epoch, _significant(parsed.release), pre, post, dev, local

    def is_prerelease(self, version: str) -> bool:
        return not _PLAIN.fullmatch(version) and bool(_parse(version).is_prerelease)

    def comparable(self, version: str) -> str:
        """Without the local label: `1.11.0+cu113` is 1.11.0 built in another way."""
        return version.partition("+")[0]


def _parse(version: str) -> Any:
    import packaging.version

    if len(version) > _LONGEST:
        raise InvalidVersion(f"a version of {len(version)} characters")
    try:
        return packaging.version.Version(version)
    except ValueError:
        raise InvalidVersion(f"{version!r} is no version as PEP 440 has them") from None


def _parts(local: str | None) -> list[str]:
    return local.split(".") if local else []


def _significant(release: tuple[int, ...]) -> tuple[int, ...]:
    end = len(release)
    while end > 1 and not release[end - 1]:
        end -= 1
    return release[:end]
