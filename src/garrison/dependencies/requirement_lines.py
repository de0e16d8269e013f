"""Lines of pip's requirements files, wherever they stand: in files of their own, in conda environments, in manifests.

Source: pip's "Requirements File Format" and `pip/_internal/req/req_file.py`; optparse, which pip reads options with;
conda's `list --export`.
"""

import functools
import re
import shlex
from collections.abc import Iterable, Iterator

import msgspec

from garrison.core.errors import LimitExceeded, Malformed
from garrison.core.facts import Anomaly, Reference, Requirement, Setting
from garrison.dependencies.python_requirement import InvalidRequirement, fact, is_location, public, salvaged
from garrison.sources.source import Extracted

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_CODING = re.compile(rb"coding[:=]\s*([-\w.]{1,40})")
_CODINGS = re.compile(
    r"(?:utf[-_]?(?:7|8|16|32)(?:[-_](?:le|be|sig))?|u8|ascii|us-ascii|latin[-_]?\d{1,2}|l1|iso[-_]?8859[-_]\d{1,2}|"
    r"(?:cp|windows[-_]?)\d{3,4}|mac[-_]?roman|koi8[-_][rtu]|gbk?|gb2312|gb18030|big5(?:hkscs)?|shift[-_]?jis|sjis|"
    r"euc[-_]?(?:jp|kr)|euc_jis_2004|johab)",
    re.IGNORECASE,
)
_PAGE = re.compile(r"^https?://\S+$")
_PACKAGE = re.compile(r"\.(?:whl|zip|egg|git|tar|tgz|tar\.\w+)(?=$|[#?@&/])|[#&]egg=", re.IGNORECASE)
_CONDA = re.compile(r"^([A-Za-z0-9_][\w.\-]*)=([\w.!+\-]+)(?:=([\w.\-]+))?$")
_QUOTED = re.compile(r"[^\S ]|['\"\\]")
_DIGEST = re.compile(r"^(?:sha256|sha384|sha512):")
_INDEXES = ("--index-url", "--extra-index-url", "--find-links", "--trusted-host")
_FILES = {"--requirement": "-r", "--constraint": "-c"}
_SHORT = {
    "-i": "--index-url",
    "-r": "--requirement",
    "-c": "--constraint",
    "-e": "--editable",
    "-f": "--find-links",
    "-C": "--config-settings",
}
_FLAGS = frozenset({"--no-index", "--pre", "--prefer-binary", "--require-hashes", "--no-require-hashes"})
_ALIASES = {"--pypi-url": "--index-url"}
_LONG = (
    *_INDEXES,
    *_FILES,
    *_FLAGS,
    *_ALIASES,
    "--editable",
    "--no-binary",
    "--only-binary",
    "--all-releases",
    "--only-final",
    "--use-feature",
    "--hash",
    "--global-option",
    "--config-settings",
    "--config-setting",
)
_SETTINGS = {"--no-index", "--require-hashes", "--no-require-hashes"}
_REFUSED_SHOWN = 3
_REFUSED_MOST = 2000
_LONGEST = 1 << 16
_HASHES = 4096


class Line(msgspec.Struct, frozen=True):
    """One logical line as pip splits it."""

    argument: str
    options: tuple[tuple[str, str], ...]

    def values(self, name: str) -> tuple[str, ...]:
        return tuple(value for option, value in self.options if option == name)


def decode(data: bytes) -> str:
    """The text as pip decodes it: a byte order mark, a declared coding, else UTF-8.

    Raises `Malformed` where pip could not either.
    """
    coding = next((coding for mark, coding in _BOMS if data.startswith(mark)), "")
    if coding:
        mark = next(mark for mark, _ in _BOMS if data.startswith(mark))
        data = data[len(mark) :]
    for line in data.split(b"\n", 2)[:2] if not coding else ():
        declared = _CODING.search(line[:_LONGEST]) if line.startswith(b"#") else None
        if declared:
            coding = declared[1].decode("ascii", "replace")
            if not _CODINGS.fullmatch(coding):
                raise Malformed(f"it declares the coding {coding!r}, which is none that requirements are written in")
            break
    try:
        return data.decode(coding or "utf-8")
    except (UnicodeDecodeError, LookupError) as error:
        raise Malformed(f"pip cannot decode it: {str(error)[:120]}") from None


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, joined where they end in a backslash, without comments."""
    pending: list[str] = []
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        comment = line.lstrip().startswith("#")
        if line.endswith("\\") and not comment:
            start = start if pending else number
            pending.append(line.strip("\\"))
            continue
        whole = "".join((*pending, f" {line}" if comment else line))
        if stripped := without_comment(whole):
            yield start if pending else number, stripped
        pending = []
    if pending and (stripped := without_comment("".join(pending))):
        yield start, stripped


def without_comment(line: str) -> str:
    """A comment begins at a `#` that starts the line or follows a blank."""
    position = line.find("#")
    while position > 0 and not line[position - 1].isspace():
        position = line.find("#", position + 1)
    return (line if position < 0 else line[:position]).strip()


def split(line: str) -> Line:
    """The requirement and the options of a line. Raises `InvalidRequirement` where pip refuses them."""
    if len(line) > _LONGEST:
        raise InvalidRequirement(f"a line of {len(line)} characters")
    tokens = line.split(" ")
    count = next((number for number, token in enumerate(tokens) if token.startswith("-")), len(tokens))
    argument = " ".join(tokens[:count]).strip()
    if count == len(tokens):
        return Line(argument, ())
    options = " ".join(tokens[count:])
    try:
        # Where nothing is quoted a plain split gives the same, forty times as fast.
        quoted = _QUOTED.search(options)
        words = shlex.split(options) if quoted else [word for word in options.split(" ") if word]
    except ValueError as error:
        raise InvalidRequirement(f"the options cannot be told apart: {error}".lower()) from None
    return Line(argument, tuple(_options(words)))


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """As optparse does: what is no option is passed over, a long option may be cut short."""
    position = 0
    while position < len(words):
        word = words[position]
        position += 1
        if word == "--":
            return
        if word[:1] != "-" or word == "-":
            continue
        name, value, given = _option(word)
        if name not in _FLAGS and not given:
            if position >= len(words):
                raise InvalidRequirement(f"{name} has no value")
            value = words[position]
            position += 1
        if name == "--hash" and not _DIGEST.match(value):
            raise InvalidRequirement(f"--hash={value[:80]} is none of sha256, sha384 and sha512")
        if name == "--config-settings" and "=" not in value:
            raise InvalidRequirement(f"{name} {value[:80]!r} is none of KEY=VALUE")
        yield name, value


@functools.lru_cache(maxsize=256)
def _option(word: str) -> tuple[str, str, bool]:
    """An option's long name, its value, and whether the word holds one."""
    if not word.startswith("--"):
        name = _SHORT.get(word[:2])
        if name is None:
            raise InvalidRequirement(f"no such option: {word[:80]}")
        return name, word[2:], len(word) > 2
    written, equals, value = word.partition("=")
    matching = [written] if written in _LONG else [name for name in _LONG if name.startswith(written)]
    matching = list(dict.fromkeys("--config-settings" if name == "--config-setting" else name for name in matching))
    if len(matching) != 1:
        raise InvalidRequirement(f"{'ambiguous' if matching else 'no such'} option: {written[:80]}")
    name = _ALIASES.get(matching[0], matching[0])
    if equals and name in _FLAGS:
        raise InvalidRequirement(f"{name} takes no value")
    return name, value, bool(equals)


def is_requirement(line: str) -> bool:
    """Whether pip would take the line for a requirement or for options, or conda for one of its export."""
    try:
        parts = split(line)
        if parts.argument and not is_location(parts.argument):
            fact(parts.argument, "")
    except InvalidRequirement:
        return bool(_CONDA.match(line))
    return bool(parts.argument or parts.options)


def is_bare_word(line: str) -> bool:
    """Whether the line is a name and nothing else, which any list of words could hold."""
    return bool(re.fullmatch(r"[A-Za-z0-9](?:[\w.\-]*[A-Za-z0-9])?", line))


def is_bare_address(line: str) -> bool:
    """Whether the line is the address of a page, as any list of links has: none of a package or a repository."""
    return bool(_PAGE.match(line)) and not _PACKAGE.search(line)


def facts(lines: Iterable[tuple[int, str]], where: str = "line", *, constraint: bool = False) -> Extracted:
    """What the lines ask for; lines that pip refuses are an anomaly, and their names are stated all the same."""
    refused: list[str] = []
    first = ""
    for number, line in lines:
        place = f"{where} {number}"
        try:
            yield from _line(split(line), place, constraint)
        except InvalidRequirement as error:
            exported = _conda(line, place)
            if exported is not None:
                yield exported
                continue
            first = first or place
            refused.append(f"{public(line)[:80]!r} ({str(error)[:120]})" if len(refused) < _REFUSED_SHOWN else "")
            meant = salvaged(line, place, constraint=constraint)
            if meant is not None:
                yield meant
            if len(refused) == _REFUSED_MOST:
                break
    if refused:
        noun = "a line" if len(refused) == 1 else f"{len(refused)} lines"
        shown = ", ".join(refused[:_REFUSED_SHOWN])
        yield Anomaly(what="requirement-refused", detail=f"pip refuses {noun}: {shown}", place=first)
    if len(refused) == _REFUSED_MOST:
        raise LimitExceeded("facts", f"{_REFUSED_MOST} lines that pip refuses; what follows was not read")


def _line(parts: Line, place: str, constraint: bool) -> Extracted:
    if parts.argument:
        hashes = tuple(dict.fromkeys(parts.values("--hash")))[:_HASHES]
        yield fact(parts.argument, place, hashes=hashes, constraint=constraint)
        return
    for name, value in parts.options:
        if name in _INDEXES and value:
            yield Reference(target=public(value), role="package-index", detail=name, place=place)
        elif name in _FILES and value:
            yield Reference(target=value, role="requirement-file", detail=_FILES[name], place=place)
        elif name == "--editable" and value:
            yield fact(value if is_location(value) or "@" in value else f"./{value}", place, constraint=constraint)
        elif name in _SETTINGS:
            yield Setting(topic="pip", name=name.lstrip("-"), value="on", place=place)


def _conda(line: str, place: str) -> Requirement | None:
    """A line of `conda list --export`, which people keep in requirements files: `name=version=build`."""
    found = _CONDA.match(line)
    if found is None:
        return None
    name, version, build = found[1], found[2], found[3] or ""
    if build.startswith("pypi"):
        return Requirement(ecosystem="pypi", name=name, specifier=f"=={version}", place=place)
    return Requirement(ecosystem="conda", name=name, specifier=line[len(name) :], place=place)
