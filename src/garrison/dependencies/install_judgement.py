"""What installing a package runs, judged: `setup.py`, build backends of a project's own, scripts of npm and conda.

One thing alone is seldom telling: builds run compilers, read versions by `exec`, and some fetch libraries. It is what
stands together that tells: code that is decrypted and run, a name of the machine and an address, keys and a connection.
"""

import re
from collections.abc import Iterator

import msgspec

from garrison.core.facts import EmbeddedCode, Examination, Import
from garrison.core.findings import Finding, Severity
from garrison.core.judgement import finding
from garrison.dependencies.knowledge import install_code as knowledge

_RULE = "install-time-code"
_ORDINARY = re.compile(
    r"open\(|read_text|version|about|__init__|\b(?:f|fp|fh|fd|file|infile|handle|stream)\.read\(|compile\("
)
"""What `exec` is given where `setup.py` takes the version from a file."""
_FETCHED = re.compile(
    r"urlopen|urlretrieve|requests\.|httpx\.|\.text\b|\.content\b|b64decode|b32decode|b16decode|b85decode|a85decode|decompress|"
    r"fromhex|unhexlify|decrypt|marshal|rot_?13|chr\(|\bmap\(|\.decode\("
)
"""What `exec` is given where the code was fetched or hidden."""
_SENDING = re.compile(r"^(?:data|json|files|params|headers|body|content|embeds?)=|^f['\"]|\.format\(|\+|%")
_SHELLS = re.compile(r"['\"](?:/bin/)?(?:ba|da|z|k)?sh['\"]|cmd(?:\.exe)?['\"]|powershell", re.IGNORECASE)
_PIP = re.compile(r"\bpip[3]?['\"]?,? .{0,20}install\b|'install'", re.IGNORECASE)
_RUNS_PYTHON = re.compile(r"sys\.executable|\bpython[w\d.]*(?:\.exe)?\b", re.IGNORECASE)
_INLINE = re.compile(
    r"\bnode\s+(?:-e|--eval|-p)\b|\bpython[\d.]*\s+-c\b|\beval\b|\batob\(|Buffer\.from\(|>\s*/dev/null\s+2>&1", re.I
)
_WORD = re.compile(r"[^\s;&|()\"'<>]+")


class _Seen(msgspec.Struct):
    """What one script does: calls by kind with where, and texts by kind."""

    calls: dict[str, list[Import]]
    texts: dict[str, list[EmbeddedCode]]

    def has(self, *kinds: str) -> bool:
        return any(kind in self.calls or kind in self.texts for kind in kinds)


def of_python(examination: Examination) -> Iterator[Finding]:
    seen = _Seen({}, {})
    for fact in examination.facts:
        if type(fact) is Import and fact.origin == "install":
            kind = knowledge.call_kind(f"{fact.module}.{fact.name}") or "environment"
            seen.calls.setdefault(kind, []).append(fact)
        elif type(fact) is EmbeddedCode and fact.form == "text in an install script":
            for kind in fact.names:
                seen.texts.setdefault(kind, []).append(fact)
    for judge in (_hidden_code, _fetching_command, _sends, _reverse_shell, _second_stage, _watches):
        outcome = judge(seen)
        if outcome is not None:
            severity, message, place = outcome
            yield finding(_RULE, examination.subject, place, f"installing it {message}", severity=severity)
            return
    yield from _alone(examination, seen)


_Outcome = tuple[Severity, str, str] | None


def _hidden_code(seen: _Seen) -> _Outcome:
    """Code that is decoded or fetched, and run."""
    for fact in seen.calls.get("code", []):
        given = " ".join(fact.arguments)
        if fact.name == "loads" or fact.name in ("CodeType", "FunctionType"):
            return Severity.HIGH, f"builds code from data: {_shown(fact)}", fact.place
        fetched = _FETCHED.search(given) and not re.search(r"\bopen\(|read_text|read_bytes", given)
        if fetched:
            return Severity.CRITICAL, f"runs code that is hidden or fetched: {_shown(fact)}", fact.place
        if seen.has("decode") and seen.has("packed-text", "network", "socket") and not _ORDINARY.search(given):
            return Severity.CRITICAL, f"decodes what it carries or fetches, and runs it: {_shown(fact)}", fact.place
        if not given and fact.usage == "reference" and seen.has("decode", "network"):
            return Severity.HIGH, f"hands {fact.name} on beside code that decodes or fetches", fact.place
        if seen.has("decode", "network", "socket") and not _ORDINARY.search(given) and not _is_literal(given):
            does = "decodes" if seen.has("decode") else "fetches"
            return Severity.HIGH, f"{does} data and runs code that it puts together: {_shown(fact)}", fact.place
    if seen.has("native") and seen.has("decode", "packed-text"):
        fact = seen.calls["native"][0]
        return Severity.CRITICAL, f"unpacks data and calls it as machine code: {_shown(fact)}", fact.place
    return None


def _is_literal(given: str) -> bool:
    return given[:1] in ("'", '"') and given[-1:] in ("'", '"') and given.count(given[0]) == 2


def _fetching_command(seen: _Seen) -> _Outcome:
    for fact in seen.calls.get("command", []):
        given = " ".join(fact.arguments)
        plain = " ".join(re.findall(r"[^\s'\",\[\]]+", given))
        if "fetching-command" in knowledge.text_kinds(plain):
            return Severity.CRITICAL, f"runs a command that fetches or opens a way in: {_shown(fact)}", fact.place
        if "drop-point" in knowledge.text_kinds(plain):
            return Severity.CRITICAL, f"runs a command that reaches a drop point: {_shown(fact)}", fact.place
        if _RUNS_PYTHON.search(given) and seen.has("program-text"):
            text = seen.texts["program-text"][0]
            return Severity.CRITICAL, f"writes a program out and starts it: {text.excerpt[:120]!r}", fact.place
    return None


def _sends(seen: _Seen) -> _Outcome:
    """Something of the machine, and a way out."""
    out = [*seen.calls.get("network", []), *seen.calls.get("socket", [])]
    points = seen.texts.get("drop-point", [])
    if points and (out or seen.has("command")):
        return (
            Severity.CRITICAL,
            f"reaches {knowledge.does('drop-point')}: {points[0].excerpt[:120]!r}",
            points[0].place,
        )
    if not out:
        if seen.has("credential-file"):
            text = seen.texts["credential-file"][0]
            return Severity.MEDIUM, f"names {knowledge.does('credential-file')}: {text.excerpt[:120]!r}", text.place
        if points:
            message = f"names {knowledge.does('drop-point')}: {points[0].excerpt[:120]!r}"
            return Severity.MEDIUM, message, points[0].place
        return None
    if seen.has("credential-file"):
        text = seen.texts["credential-file"][0]
        message = f"names {knowledge.does('credential-file')} ({text.excerpt[:80]!r}) and reaches out: {_shown(out[0])}"
        return Severity.CRITICAL, message, text.place
    sending = [fact for fact in out if any(_SENDING.search(given) for given in fact.arguments) or fact.name == "post"]
    if seen.has("environment"):
        fact = seen.calls["environment"][0]
        severity = Severity.CRITICAL if sending else Severity.HIGH
        return severity, f"takes the whole environment and reaches out: {_shown((sending or out)[0])}", fact.place
    if seen.has("identity") and (sending or seen.has("socket")):
        fact = seen.calls["identity"][0]
        message = f"asks who and where it is ({fact.module}.{fact.name}) and reports it: {_shown((sending or out)[0])}"
        return Severity.HIGH, message, fact.place
    return None


def _reverse_shell(seen: _Seen) -> _Outcome:
    for fact in seen.calls.get("command", []):
        if seen.has("socket") and (fact.name == "spawn" or _SHELLS.search(" ".join(fact.arguments))):
            return Severity.CRITICAL, f"opens a connection and starts a shell: {_shown(fact)}", fact.place
    return None


def _second_stage(seen: _Seen) -> _Outcome:
    """What was fetched is run, as far as the names tell."""
    if not seen.has("network"):
        return None
    for fact in seen.calls.get("command", []):
        given = " ".join(fact.arguments)
        fetched = seen.calls["network"][0]
        if fact.name in ("startfile", "popen", "system") and not _known_program(fact):
            return (
                Severity.HIGH,
                f"fetches something ({_shown(fetched)}) and runs a command: {_shown(fact)}",
                fact.place,
            )
        if re.search(r"\.exe\b|chmod|/tmp/|tempfile|\btmp", given) and not _known_program(fact):
            return Severity.HIGH, f"fetches something ({_shown(fetched)}) and starts it: {_shown(fact)}", fact.place
    return None


def _watches(seen: _Seen) -> _Outcome:
    facts = seen.calls.get("screen", [])
    if not facts:
        return None
    severity = Severity.HIGH if seen.has("network", "socket") else Severity.MEDIUM
    return severity, f"watches or reads what is its user's own: {_shown(facts[0])}", facts[0].place


def _alone(examination: Examination, seen: _Seen) -> Iterator[Finding]:
    """What some builds do as well."""
    said = []
    place = ""
    for fact in seen.calls.get("command", []):
        if _PIP.search(" ".join(fact.arguments)):
            said.append(f"installs other packages ({_shown(fact)})")
            place = place or fact.place
            break
    for kind in ("network", "socket"):
        for fact in seen.calls.get(kind, [])[:1]:
            said.append(f"{knowledge.does(kind)} ({_shown(fact)})")
            place = place or fact.place
    if said:
        message = f"installing it {' and '.join(said)}"
        yield finding(_RULE, examination.subject, place, message, severity=Severity.LOW)


def _known_program(fact: Import) -> bool:
    """Whether the command begins with a program that builds use."""
    first = next((word for word in re.findall(r"[^\s'\",\[\]()]+", fact.arguments[0])), "") if fact.arguments else ""
    return knowledge.is_harmless_program(first)


def _shown(fact: Import) -> str:
    return f"{fact.module}.{fact.name}({', '.join(fact.arguments)})"[:160]


def of_script(examination: Examination, fact: EmbeddedCode) -> Iterator[Finding]:
    """A command line of npm, or a shell script of conda."""
    text = fact.excerpt
    kinds = knowledge.text_kinds(text)
    shown = " ".join(text.split())[:160]
    severity, why = None, ""
    if "fetching-command" in kinds or "drop-point" in kinds:
        severity, why = Severity.CRITICAL, "it fetches and runs something, or reaches a drop point"
    elif "credential-file" in kinds:
        severity, why = Severity.HIGH, "it names a file that holds credentials"
    elif _INLINE.search(text) and fact.form.startswith("npm"):
        inline = re.search(r"require\(|child_process|https?:|process\.env|eval|atob|Buffer", text)
        severity = Severity.HIGH if inline else Severity.LOW
        why = "it runs a program that stands in the line itself"
    elif fact.form.startswith("npm") and "node_modules/" in examination.subject and not _ordinary(text):
        severity, why = Severity.LOW, "it runs a program of the package"
    if severity is not None:
        message = f"installing it runs the {fact.form}, and {why}: {shown}"
        yield finding(_RULE, examination.subject, fact.place, message, severity=severity)


def _ordinary(line: str) -> bool:
    """Whether each command of the line is one that packages usually run."""
    commands = [part for part in re.split(r"&&|\|\||;|\|", line) if part.strip()]
    firsts = []
    for part in commands:
        words = [word for word in _WORD.findall(part) if "=" not in word]
        firsts.append(words[0] if words else "")
    return all(knowledge.is_harmless_program(first) for first in firsts)
