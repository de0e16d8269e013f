"""Whether two conditions on the environment can hold at once, as far as trying usual environments tells.

Source: PEP 508, "Environment Markers".
"""

import functools
import itertools

_PYTHONS = ("2.7", "3.5", "3.6", "3.7", "3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14", "3.15", "4.0")
_SYSTEMS = (
    ("linux", "Linux", "posix"),
    ("darwin", "Darwin", "posix"),
    ("win32", "Windows", "nt"),
    ("cygwin", "CYGWIN_NT-10.0", "posix"),
)
_MACHINES = ("x86_64", "aarch64", "arm64", "AMD64")
_IMPLEMENTATIONS = (("CPython", "cpython"), ("PyPy", "pypy"))
_LONGEST = 500


def overlap(first: str, second: str) -> bool:
    """Whether some usual environment meets both. `False` too where that cannot be told."""
    if not first or not second:
        return bool(_met(first or second)) if first or second else True
    return bool(_met(first) & _met(second))


@functools.lru_cache(maxsize=2048)
def _met(marker: str) -> frozenset[int]:
    """The environments, by number, that meet a marker; none where it cannot be evaluated."""
    from packaging.markers import InvalidMarker, Marker, UndefinedComparison, UndefinedEnvironmentName

    if len(marker) > _LONGEST:
        return frozenset()
    try:
        parsed = Marker(marker)
        return frozenset(
            number for number, environment in enumerate(_environments()) if parsed.evaluate(dict(environment))
        )
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName, ValueError, RecursionError):
        return frozenset()


@functools.cache
def _environments() -> tuple[dict[str, str], ...]:
    return tuple(
        {
            "python_version": python,
            "python_full_version": f"{python}.1",
            "implementation_version": f"{python}.1",
            "sys_platform": platform,
            "platform_system": system,
            "os_name": name,
            "platform_machine": machine,
            "platform_python_implementation": implementation,
            "implementation_name": short,
            "platform_release": "",
            "platform_version": "",
            "extra": "",
        }
        for python, (platform, system, name), machine, (implementation, short) in itertools.product(
            _PYTHONS, _SYSTEMS, _MACHINES, _IMPLEMENTATIONS
        )
    )
