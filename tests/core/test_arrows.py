"""Rooms import only the rooms that they may: architecture.md says which."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import garrison

PACKAGE = Path(garrison.__file__).parent
MAY_IMPORT = {
    "core": set(),
    "threats": {"core"},
    "sources": {"core"},
    "artifacts": {"core", "sources"},
    "dependencies": {"core", "sources"},
    "provenance": {"core", "sources"},
    "robustness": {"core", "sources"},
    "serving": {"core", "sources", "artifacts", "provenance", "robustness", "loading", "scanning"},
    "reporting": {"core", "threats"},
    "cli": {
        "core",
        "threats",
        "reporting",
        "scanning",
        "describing",
        "attacking",
        "loading",
        "targets",
        "artifacts",
        "dependencies",
        "provenance",
        "robustness",
        "serving",
    },
}


def imported(path: Path) -> Iterator[str]:
    """Modules of garrison that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def arrows(folder: str) -> set[tuple[str, str]]:
    """Files below a folder, each with the rooms that it takes something from."""
    return {
        (str(path.relative_to(PACKAGE)), module.split(".")[1])
        for path in (PACKAGE / folder).rglob("*.py")
        for module in imported(path)
        if module.startswith("garrison.")
    }


def test_every_room_is_among_these() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(MAY_IMPORT)


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_what_they_may(room: str) -> None:
    assert arrows("cli")
    allowed = {room, "__version__", *MAY_IMPORT[room]}
    assert sorted(arrow for arrow in arrows(room) if arrow[1] not in allowed) == []


def test_detectors_read_facts_and_never_files() -> None:
    readers = (
        "garrison.artifacts.wire",
        "garrison.artifacts.formats",
        "garrison.artifacts.pickle",
        "garrison.dependencies.formats",
    )
    for path in PACKAGE.glob("*/detectors/*.py"):
        assert [module for module in imported(path) if module.startswith((*readers, "garrison.sources"))] == []
