"""What is registered exists, and what exists is registered."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import garrison
from garrison.core import facts
from garrison.core.facts import Anomaly, Examination
from garrison.core.judgement import judge
from garrison.core.policy import Policy
from garrison.core.registry import Format, formats, load, registration, rules

PACKAGE = Path(garrison.__file__).parent
FORMATS = list(registration().formats)
KINDS = {
    kind.__struct_config__.tag
    for kind in vars(facts).values()
    if inspect.isclass(kind) and issubclass(kind, facts.Fact) and kind is not facts.Fact
}


@pytest.mark.parametrize("entry", FORMATS, ids=lambda entry: entry.id)
def test_functions_of_formats_exist(entry: Format) -> None:
    for name in (entry.extractor, entry.sniffer):
        assert not name or callable(load(name))


def test_formats_are_registered_once() -> None:
    names = [entry.id for entry in FORMATS]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("entry", FORMATS, ids=lambda entry: entry.id)
def test_every_format_can_be_recognised(entry: Format) -> None:
    assert entry.title
    assert not entry.confirm or entry.sniffer
    assert all(bytes.fromhex(magic.hex) for magic in entry.magic)
    assert all(extension == extension.lower() and extension.startswith(".") for extension in entry.extensions)


def test_detectors_exist_and_read_kinds_that_exist() -> None:
    for detector in registration().detectors:
        assert callable(load(detector.function))
        assert set(detector.facts) <= KINDS, detector.function


def test_every_extractor_module_is_registered() -> None:
    registered = {entry.extractor.partition(":")[0] for entry in FORMATS}
    for path in PACKAGE.glob("*/formats/*.py"):
        name = f"garrison.{path.parents[1].name}.formats.{path.stem}"
        if path.stem != "__init__" and "\ndef extract(" in path.read_text():
            assert name in registered, name


def test_every_format_has_its_test_file() -> None:
    tests = {path.stem for path in Path(__file__).parents[1].rglob("test_*.py")}
    modules = [path.stem for path in PACKAGE.glob("*/formats/[!_]*.py")]
    assert [module for module in modules if f"test_{module}" not in tests] == []


def strings(name: str, argument: int, keyword: str) -> Iterator[tuple[str, str]]:
    """Literal arguments of calls of `name` in the whole package, with where they stand."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == name:
                values = [k.value for k in node.keywords if k.arg == keyword] or node.args[argument : argument + 1]
                for value in values:
                    if isinstance(value, ast.Constant) and isinstance(value.value, str):
                        yield value.value, f"{path.name}:{node.lineno}"


def test_every_rule_that_the_code_names_is_in_the_catalogue() -> None:
    named = [*strings("Anomaly", 9, "what"), *strings("finding", 0, "rule")]
    assert named
    assert [(rule, where) for rule, where in named if rule not in rules()] == []


def test_every_rule_is_stated_somewhere() -> None:
    files = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".json") and path.parent.name != "rules"]
    text = "\n".join(path.read_text() for path in files)
    assert [rule for rule in rules() if f'"{rule}"' not in text] == []


def test_every_file_of_knowledge_is_read() -> None:
    text = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    assert [path.name for path in PACKAGE.rglob("knowledge/*.json") if path.name not in text] == []


def test_rules_say_what_a_person_needs() -> None:
    for rule in rules().values():
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.id)
        assert rule.title and not rule.title.endswith(".")
        assert len(rule.description) > 60 and rule.fix, rule.id
        assert rule.references and all(reference.startswith("https://") for reference in rule.references), rule.id
        assert rule.threats, rule.id


def test_a_detector_that_fails_is_a_finding_and_spares_the_rest() -> None:
    hostile = Examination(subject="bad", facts=[Anomaly(what="no such rule", detail="")])
    honest = Examination(subject="other", facts=[Anomaly(what="malformed", detail="breaks off")])
    found = {item.subject: item for item in judge([hostile, honest], Policy())[0]}
    assert found["bad"].rule == "not-judged" and found["bad"].severity == "high"
    assert found["other"].rule == "malformed"
    assert "malformed" in rules() and "resource-limit" in rules()
    assert formats() == {entry.id: entry for entry in FORMATS}
