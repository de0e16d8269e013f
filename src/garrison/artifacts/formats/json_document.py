"""JSON documents: configurations of models, tokenizers and servers.

Recognised by what they hold, not by their names, since any of them may be renamed.

Source: RFC 8259, and what Python's `json` takes beyond it.
"""

from garrison.artifacts import engine_documents
from garrison.artifacts.documents import walk
from garrison.core.errors import Malformed
from garrison.core.facts import Artifact
from garrison.sources.source import Context, Extracted, Source

_BLANK = b" \t\r\n\xef\xbb\xbf"
_STEP = 1 << 16
_PADDING = 1 << 24
_LINES = 100_000
_YAML_NAMES = (".yaml", ".yml", "mlmodel")


def sniff(source: Source) -> bool:
    """An object or a list, as far as the first bytes tell; blank space before them may be long."""
    head = b""
    for offset in range(0, _PADDING, _STEP):
        step = source.reader.pread(offset, _STEP)
        head = step.lstrip(_BLANK)
        if head or not step:
            break
    if head[:1] not in (b"{", b"["):
        return False
    if head[:1] == b"{":
        return head[1:].lstrip(_BLANK)[:1] in (b'"', b"}", b"")
    # Lists may begin with lists; `[[package]]` is TOML.
    inner = head.lstrip(b"[" + _BLANK)
    if inner.startswith((b"true", b"false", b"null", b"NaN", b"Infinity")):
        return True
    return inner[:1] in (b'"', b"{", b"]", b"-", b"") or inner[:1].isdigit()


def extract(source: Source, context: Context) -> Extracted:
    """What loaders of this document act on."""
    data = source.reader.whole(context.limits.buffer)
    try:
        document = parse(data)
    except Malformed:
        if not source.name.lower().endswith(_YAML_NAMES):
            yield Artifact(format="json")
            raise
        # A YAML file may begin as JSON does: its loader goes by the name.
        from garrison.artifacts.formats import yaml_document

        yield from yaml_document.extract(source, context)
        return
    yield Artifact(format="json")
    yield from walk(source, document, context)
    yield from engine_documents.inspect(document, context)


def parse(data: bytes) -> object:
    """The document, as generously as loaders read it. Raises `Malformed`."""
    import msgspec

    try:
        return msgspec.json.decode(data.lstrip(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _as_python_reads_it(data, error)


def _as_python_reads_it(data: bytes, error: Exception) -> object:
    """Python's `json` takes what the standard does not: NaN, lone surrogates; and a document a line is usual."""
    import json

    text = data.decode("utf-8", "replace").lstrip("\ufeff")
    try:
        return json.loads(text, strict=False)
    except ValueError:
        lines = [line for line in text.split("\n") if line.strip()]
        try:
            return [json.loads(line) for line in lines[:_LINES]]
        except ValueError:
            raise Malformed(f"not valid JSON: {str(error)[:120]}") from None
