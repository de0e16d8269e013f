"""Bring the documentation up to date with the code: `python scripts/docs.py` (`--check` only says what is not).

Between `<!-- generated: NAME -->` and `<!-- end -->` a page holds what is written here. Blocks of `console` hold
commands after `$ ` and what they print; blocks with a `title` are files; both are made real in an empty directory in
which the scripts of `examples/` have run, page by page. The schema of the report is written too.
"""

import argparse
import ast
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SCHEMA = ROOT / "docs" / "schema" / "report-1.3.schema.json"
_GENERATED = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_JAIL_NOTE = re.compile(r"^Note +(?!The policy).*\n(?: {10}.*\n)*", re.MULTILINE)
"""What the system that the examples run on lacks says nothing to a reader."""
_MARK = "--- end of output ---"


class ExampleFailed(Exception):
    """Python on a page does not run."""


def updated(page: Path) -> str:
    """The page's text as it should be."""
    text = page.read_text()
    text = _GENERATED.sub(lambda found: found[1] + GENERATORS[found[2]]() + found[3], text)
    return _run_examples(text) if "```console" in text or "```python" in text else text


def schema() -> str:
    """The published schema of the report."""
    from garrison.reporting.json_report import schema
    from garrison.reporting.json_text import json_text

    return json_text(schema())


def _run_examples(text: str) -> str:
    """Make the page's files, run its commands and its Python, and put in what the commands print."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        _run([sys.executable, str(ROOT / "examples" / "make_models.py")], directory)
        _run([sys.executable, str(ROOT / "examples" / "make_project.py")], directory)

        def real(found: re.Match[str]) -> str:
            language, title, body = found.groups()
            if title:
                (directory / title).parent.mkdir(parents=True, exist_ok=True)
                (directory / title).write_text(body)
            elif language == "python":
                _run([sys.executable, "-c", body], directory)
            elif language == "console":
                return f"```console\n{''.join(_console(body, directory))}```"
            return found[0]

        return _BLOCK.sub(real, text)


def _console(body: str, directory: Path) -> Iterator[str]:
    commands = [line[2:] for line in body.splitlines() if line.startswith("$ ")]
    script = "".join(f"{command}\ncode=$?\necho '{_MARK}'\n(exit $code)\n" for command in commands)
    outputs = _run(["bash"], directory, script).split(f"{_MARK}\n")
    for command, output in zip(commands, outputs, strict=False):
        yield f"$ {command}\n{_JAIL_NOTE.sub('', output)}"


def _run(command: list[str], directory: Path, script: str = "") -> str:
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(directory),
        "COLUMNS": "84",
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(
        command,
        input=script,
        cwd=directory,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode and not script:
        raise ExampleFailed(done.stdout)
    return done.stdout


def _rules() -> str:
    from garrison.core.registry import rules
    from garrison.reporting.catalogue import rules_markdown

    return "\n" + rules_markdown(sorted(rules().values(), key=lambda rule: rule.id))


def _formats() -> str:
    from garrison.core.registry import formats

    rows = []
    for entry in sorted(formats().values(), key=lambda entry: (not entry.model, not entry.container, entry.id)):
        kind = "model" if entry.model else "container" if entry.container else "other"
        seen = "examined" if entry.extractor else "recognised"
        rows.append((f"`{entry.id}`", entry.title, kind, seen, " ".join(f"`{name}`" for name in entry.extensions)))
    return _table(("Format", "What it is", "Kind", "", "Usual endings"), rows)


def _commands() -> str:
    import importlib

    from garrison.cli.arguments import Parser
    from garrison.cli.main import COMMANDS

    parts = []
    for name, words in COMMANDS.items():
        module = importlib.import_module(f"garrison.cli.{name}")
        parser = Parser(prog=f"garrison {name}")
        module.configure(parser)
        rows = []
        for action in parser._actions:
            value = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
            if action.choices and not action.metavar:
                value = "\\|".join(map(str, action.choices))
            names = ", ".join(f"`{option}`" for option in action.option_strings)
            rows.append((f"{names} {value}".strip(), action.help or ""))
        parts.append(f"\n## garrison {name}\n\n{words[0].upper()}{words[1:]}.\n{_table(('Argument', 'Meaning'), rows)}")
    return "".join(parts)


def _exit_codes() -> str:
    fields = _fields("cli/exits.py")
    return _table(("Code", "Meaning"), [(f"`{default}`", said) for _, _, default, said in fields])


def _policy() -> str:
    return _keys("core/policy.py", "Policy")


def _waivers() -> str:
    return _keys("core/policy.py", "Waiver")


def _identities() -> str:
    return _keys("core/policy.py", "Identity")


def _overrides() -> str:
    return _keys("core/policy.py", "RuleOverride")


def _gate() -> str:
    """The tables of `[gate]`, each with the keys that all have after its own."""
    parts = [_keys("core/gate_policy.py", "GatePolicy")]
    for table, name in (
        ("[gate.signature]", "SignatureRequirement"),
        ("[gate.scan]", "ScanRequirement"),
        ("[gate.training]", "TrainingRequirement"),
        ("[gate.robustness]", "RobustnessRequirement"),
        ("[[gate.robustness.thresholds]]", "Threshold"),
        ("[gate.approvals]", "ApprovalsRequirement"),
        ("[gate.version]", "VersionRequirement"),
    ):
        parts.append(f"\n### `{table}`\n{_keys('core/gate_policy.py', name)}")
    return "".join(parts)


def _gate_common() -> str:
    return _keys("core/gate_policy.py", "Requirement")


def _gate_decision() -> str:
    parts = []
    for name in ("GateDecision", "DecidedOn", "RequirementDecision", "Counted", "PassedOver"):
        rows = [
            (f"`{key}`", f"`{kind}`".replace("|", "\\|"), said)
            for key, kind, _, said in _fields("core/gate_decision.py", name)
        ]
        parts.append(f"\n### {name}\n{_table(('Field', 'Type', 'Meaning'), rows)}")
    return "".join(parts)


def _limits() -> str:
    return _keys("core/limits.py", "Limits")


def _keys(path: str, name: str) -> str:
    """The keys of a TOML table that a struct describes."""
    import importlib

    import msgspec

    module = importlib.import_module(f"garrison.{path.removesuffix('.py').replace('/', '.')}")
    fields = {field.name: field for field in msgspec.structs.fields(getattr(module, name))}
    rows = []
    for key, kind, _, said in _fields(path, name):
        default = fields[key].default
        plain = isinstance(default, str | int | float)
        shown = f"`{msgspec.json.encode(default).decode()}`" if plain else ""
        rows.append((f"`{fields[key].encode_name}`", _toml_type(kind), shown, said))
    return _table(("Key", "Type", "Default", "Meaning"), rows)


def _toml_type(kind: str) -> str:
    """What a type of ours is in TOML; a key that may be `None` may be left out."""
    kind = re.sub(r"^Annotated\[(.*), msgspec\.Meta\(.*\)\]$", r"\1", kind.removesuffix(" | None"))
    return "table" if kind.endswith("Requirement") else _TOML_TYPES.get(kind, kind)


_TOML_TYPES = {
    "str": "string",
    "int": "whole number",
    "float": "number",
    "bool": "true or false",
    "tuple[str, ...]": "list of strings",
    "Severity": "severity",
    "Days": "whole number",
    "Digest": "digest",
    "Names": "list of strings",
    "tuple[Digest, ...]": "list of digests",
    "tuple[Threshold, ...]": "array of tables",
    "datetime.date": "date",
    "Literal['allow', 'deny']": '`"allow"` or `"deny"`',
    "dict[str, RuleOverride]": "tables",
    "tuple[Waiver, ...]": "array of tables",
    "tuple[Identity, ...]": "array of tables",
    "Limits": "table",
    "dict[str, Any]": "table",
}


def _report() -> str:
    parts = []
    for path, name in (
        ("core/report.py", "Report"),
        ("core/report.py", "Item"),
        ("core/findings.py", "Finding"),
        ("core/report.py", "Coverage"),
        ("core/report.py", "CoverageEntry"),
        ("core/policy.py", "Decision"),
    ):
        rows = [(f"`{key}`", f"`{kind}`".replace("|", "\\|"), said) for key, kind, _, said in _fields(path, name)]
        parts.append(f"\n### {name}\n{_table(('Field', 'Type', 'Meaning'), rows)}")
    return "".join(parts)


def _card() -> str:
    """The fields of every struct of a robustness card, from the whole to its parts."""
    import msgspec

    from garrison.core import robustness_card

    parts = []
    (_,), components = msgspec.json.schema_components([robustness_card.Card])
    names = [name for name in vars(robustness_card) if name in components]
    for name in ("Card", *(name for name in names if name != "Card")):
        kind, properties = getattr(robustness_card, name), components[name]["properties"]
        path = kind.__module__.removeprefix("garrison.").replace(".", "/") + ".py"
        said = {field: text for field, _, _, text in _fields(path, name)}
        rows = []
        for field in msgspec.structs.fields(kind):
            value = _json_type(properties[field.encode_name]) + ("" if field.required else ", optional")
            rows.append((f"`{field.encode_name}`", value, said[field.name]))
        about = " ".join((kind.__doc__ or "").split())
        parts.append(f"\n### {name}\n\n{about}\n{_table(('Field', 'Value', 'Meaning'), rows)}")
    return "".join(parts)


def _card_numbers() -> str:
    """The table in the module that makes the numbers."""
    from garrison.core import robustness_measurements

    said = (robustness_measurements.__doc__ or "").partition("\n\n")[2]
    return f"\n{said.strip()}\n\n"


def _predicates() -> str:
    """The fields of garrison's own predicates, and of what is in them."""
    import msgspec

    from garrison.provenance.attestations import predicates

    parts = []
    names = ("Scan", "Robustness", "Approval", "Version", "Tool", "Counts", "Examined", "Checked", "Report")
    for name in (*names, "Dataset", "Measurement"):
        kind = getattr(predicates, name)
        uri = next((f"\nType: `{uri}`\n" for uri, one in predicates.PREDICATES.items() if one is kind), "")
        described = {
            field: said
            for owner in ("Predicate", name)
            for field, _, _, said in _fields("provenance/attestations/predicates.py", owner)
        }
        (_,), components = msgspec.json.schema_components([kind])
        properties = components[name]["properties"]
        rows = []
        for field in msgspec.structs.fields(kind):
            value = _json_type(properties[field.encode_name]) + ("" if field.required else ", optional")
            rows.append((f"`{field.encode_name}`", value, described[field.name]))
        said = " ".join((kind.__doc__ or "").split())
        parts.append(f"\n### {name}\n{uri}\n{said}\n{_table(('Field', 'Value', 'Meaning'), rows)}")
    return "".join(parts)


def _json_type(schema: dict[str, Any]) -> str:
    """What JSON Schema says of a value, in a word or two."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return "severity" if name == "Severity" else f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return _json_type(next(one for one in schema["anyOf"] if one.get("type") != "null"))
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"] if value is not None)
    if schema.get("format") == "date-time":
        return "time"
    if schema["type"] == "array":
        return f"list: {_json_type(schema['items'])}"
    return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(schema["type"], schema["type"])


def _facts() -> str:
    tree = ast.parse((ROOT / "src/garrison/core/facts.py").read_text())
    rows = [
        (f"`{node.name}`", (ast.get_docstring(node) or "").replace("\n", " "))
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Fact" for base in node.bases)
    ]
    return _table(("Fact", "What it states"), rows)


def _threats() -> str:
    from garrison.threats import frameworks

    rows = [(f"[{f.title}]({f.url})", f.publisher, f"`{next(iter(f.entries))}` …") for f in frameworks()]
    return _table(("Framework", "By", "Ids"), rows)


def _alterations() -> str:
    sys.path.insert(0, str(ROOT))  # the tables are the tests' own
    from tests.provenance.alterations import tables

    parts = []
    for table in tables():
        rows = [(_one_line(what), "refused") for what in table.refused]
        rows += [(_one_line(what), "holds, since this says nothing") for what in table.harmless]
        parts.append(f"\n## {table.title}\n\n{table.about}\n{_table(('What was altered', 'Outcome'), rows)}")
    return "".join(parts)


def _one_line(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _decisions() -> str:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    titles = [(page.name, page.read_text().partition("\n")[0].removeprefix("# ")) for page in pages]
    return "\n" + "".join(f"- [{title}]({name})\n" for name, title in titles if name != "index.md") + "\n"


def _http_routes() -> str:
    from garrison.serving.calls import Action
    from garrison.serving.http.routes import ROUTES

    text = "\n| Action | Requests |\n|---|---|\n"
    for action in Action:
        requests = [f"`{route.method} {route.pattern}`" for route in ROUTES if route.action is action]
        if requests:
            text += f"| {action} | {'<br>'.join(requests)} |\n"
    return text + "\n"


def _fields(path: str, name: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Name, type, default and the docstring beneath it, of each field of a class or of each constant of a module."""
    tree: ast.Module | ast.ClassDef = ast.parse((ROOT / "src/garrison" / path).read_text())
    if name:
        tree = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        said = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            said = " ".join(str(following.value.value).split())
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            default = ast.unparse(node.value) if node.value else ""
            yield node.target.id, ast.unparse(node.annotation), default, said
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, "", ast.unparse(node.value), said


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines) + "\n"


GENERATORS: dict[str, Callable[[], str]] = {
    "rules": _rules,
    "formats": _formats,
    "commands": _commands,
    "exit-codes": _exit_codes,
    "policy": _policy,
    "waivers": _waivers,
    "identities": _identities,
    "overrides": _overrides,
    "gate": _gate,
    "gate-common": _gate_common,
    "gate-decision": _gate_decision,
    "limits": _limits,
    "report": _report,
    "predicates": _predicates,
    "card": _card,
    "card-numbers": _card_numbers,
    "facts": _facts,
    "threats": _threats,
    "decisions": _decisions,
    "alterations": _alterations,
    "http-routes": _http_routes,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything is out of date")
    check = parser.parse_args().check
    wrong = 0
    for path in [SCHEMA, *PAGES]:
        name = path.relative_to(ROOT)
        try:
            text = schema() if path == SCHEMA else updated(path)
        except ExampleFailed as error:
            print(f"{name}: {error}")
            wrong += 1
            continue
        if not path.exists() or path.read_text() != text:
            print(f"{name}: {'out of date' if check else 'written'}")
            wrong += check
            if not check:
                path.write_text(text)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
