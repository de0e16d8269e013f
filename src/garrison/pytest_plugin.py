"""Plugin for pytest: tests that load only what policy lets through, and a fixture that scans what they made.

`--garrison-protect` protects the whole run as `garrison.protect` does. The fixture `garrison_scan` fails a test where
the policy denies a path. Both go by `--garrison-policy`, else by the nearest policy file above the tests.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable

    from garrison.core.policy import Policy
    from garrison.core.report import Report


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("garrison", "security of models")
    group.addoption(
        "--garrison-protect",
        action="store_true",
        help="have all that unpickles or loads models in tests refuse what the policy refuses",
    )
    group.addoption(
        "--garrison-policy",
        metavar="FILE",
        help="the policy (default: the nearest garrison.toml, or [tool.garrison], above the tests)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("garrison_protect"):
        import garrison
        from garrison.core.errors import UsageError

        try:
            protection = garrison.protect(_policy(config))
        except UsageError as error:
            raise pytest.UsageError(str(error)) from None
        config.add_cleanup(protection.stop)


@pytest.fixture
def garrison_scan(pytestconfig: pytest.Config) -> "Callable[..., Report]":
    """Scans a path, or several, and returns the report; the test fails where the policy denies.

    A call takes what `garrison.scan` takes; a `policy` given there counts instead of the policy file.
    """
    import garrison

    def scan(
        path: "str | os.PathLike[str] | Iterable[str | os.PathLike[str]]", policy: "Policy | None" = None
    ) -> "Report":
        __tracebackhide__ = True
        report = garrison.scan(path, policy or _policy(pytestconfig))
        if not report.decision.allowed:
            from garrison.reporting import renderer

            subjects = ", ".join(report.subjects)
            pytest.fail(f"garrison denies {subjects}\n\n{renderer('table')(report)}", pytrace=False)
        return report

    return scan


def _policy(config: pytest.Config) -> "Policy":
    from garrison.core.errors import UsageError
    from garrison.core.policy_file import load_policy

    try:
        return load_policy(config.getoption("garrison_policy"), start=str(config.rootpath))
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
