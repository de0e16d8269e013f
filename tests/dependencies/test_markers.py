"""Whether two conditions on the environment can hold at once."""

import pytest

from garrison.dependencies.markers import overlap


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("", "", True),
        ("", "python_version >= '3.8'", True),
        ("python_version < '3.9'", "python_version >= '3.9'", False),
        ("python_version < '3.10'", "python_version >= '3.9'", True),
        ("sys_platform == 'win32'", "platform_system == 'Linux'", False),
        ("sys_platform == 'win32'", "platform_system == 'Windows'", True),
        ("platform_machine == 'arm64' and sys_platform == 'darwin'", "sys_platform == 'darwin'", True),
        ("implementation_name == 'pypy'", "platform_python_implementation == 'CPython'", False),
        ("extra == 'x'", "", False),
        ("platform_release >= '20'", "", False),
        ("no marker", "", False),
        ("(" * 5000, "", False),
    ],
)
def test_usual_environments(first: str, second: str, expected: bool) -> None:
    assert overlap(first, second) is expected
    assert overlap(second, first) is expected
