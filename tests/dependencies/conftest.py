"""An index of the tests' own, and nothing of the machine's: neither pip's settings nor what an index once said."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dependencies.index.server import PackageIndex, serving


@pytest.fixture
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without pip's configuration, netrc, proxies or cache; returns it."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_TRUSTED_HOST", "PIP_CERT", "NETRC", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(home / "system"))
    return home


@pytest.fixture
def index(own_settings: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """A running package index."""
    monkeypatch.setattr("garrison.dependencies.index.transport._BACKOFF_SECONDS", 0.01)
    with serving() as found:
        yield found
