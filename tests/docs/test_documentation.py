"""The documentation says what the code does: generated parts are current and examples run as printed.

`python scripts/docs.py` brings it up to date.
"""

import re
import sys
from pathlib import Path

import pytest
import yaml
from scripts.docs import GENERATORS, PAGES, ROOT, SCHEMA, schema, updated

from garrison.cli.main import main

NAMES = [str(page.relative_to(ROOT)) for page in PAGES]


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_pages_are_current_and_their_examples_run(page: Path) -> None:
    assert page.read_text() == updated(page)


def test_the_published_schema_is_current() -> None:
    assert SCHEMA.read_text() == schema()


def test_every_generated_part_has_its_page() -> None:
    used = {name for page in PAGES for name in re.findall(r"<!-- generated: (\S+) -->", page.read_text())}
    assert used == set(GENERATORS)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_configuration_examples_parse(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for block in re.findall(r"^```yaml\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
        yaml.safe_load(block)
    for options in re.findall(r"garrison scan [^\n`]*?(--format [^\n`|]+)", page.read_text()):
        words = [word for word in options.split("||")[0].split() if not word.startswith("$")]
        assert main(["scan", "no/such/path", *words]) == 2
        assert "no such" in capsys.readouterr().err


def test_decisions_are_short() -> None:
    for page in (ROOT / "docs" / "decisions").glob("*.md"):
        if page.name != "index.md":
            assert len([line for line in page.read_text().splitlines() if line]) <= 8, page.name


def test_python_of_the_examples_needs_no_more_than_garrison() -> None:
    text = (ROOT / "examples" / "make_models.py").read_text()
    imported = set(re.findall(r"^(?:from|import) (\w+)", text, re.MULTILINE))
    assert imported <= set(sys.stdlib_module_names)
