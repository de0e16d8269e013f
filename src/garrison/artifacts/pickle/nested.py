"""Decoding of literals: what the standard library's decoders would make of them, within bounds."""

import base64
import binascii
import codecs
import zlib

_MOST = 1 << 20


class Undecodable(Exception):
    """The bytes are not what the decoder expects, or unpack to too much."""


def decode(name: str, data: "str | bytes", option: str = "") -> "str | bytes":
    """What the decoding function `name` (its last part counts) makes of `data`, up to 1 MiB.

    Raises `Undecodable`.
    """
    name = name.rpartition(".")[2]
    if name in ("decode", "encode", "latin_1_encode"):
        name = option.replace("-", "_").lower() or "utf_8"
    raw = data.encode("latin-1", "replace") if isinstance(data, str) else data
    try:
        match name:
            case "b64decode" | "standard_b64decode" | "a2b_base64" | "decodebytes" | "decodestring" | "base64":
                return binascii.a2b_base64(raw)
            case "base64_codec":
                return binascii.a2b_base64(raw)
            case "urlsafe_b64decode":
                return base64.urlsafe_b64decode(raw)
            case "b32decode":
                return base64.b32decode(raw)
            case "b16decode" | "unhexlify" | "a2b_hex" | "fromhex" | "hex" | "hex_codec":
                return binascii.unhexlify(raw.translate(None, b" \n"))
            case "b85decode":
                return base64.b85decode(raw)
            case "a85decode":
                return base64.a85decode(raw)
            case "decompress" | "zlib" | "zip" | "bz2" | "zlib_codec" | "bz2_codec":
                return decompress(raw)
            case "rot13" | "rot_13":
                return codecs.decode(raw.decode("latin-1"), "rot13")
            case "latin1" | "latin_1" | "iso8859_1":
                return raw if isinstance(data, str) else raw.decode("latin-1")
            case "utf_8" | "utf8" | "ascii":
                return data.encode() if isinstance(data, str) else data.decode()
            case _:
                return data
    except (ValueError, binascii.Error, zlib.error, EOFError) as error:
        raise Undecodable(str(error)) from None


def decompress(raw: bytes) -> bytes:
    """The first MiB of zlib, gzip, bzip2 or xz data. Raises `Undecodable`."""
    if raw[:3] == b"BZh":
        import bz2

        return _first(bz2.BZ2Decompressor(), raw)
    if raw[:6] == b"\xfd7zXZ\0" or raw[:3] == b"\x5d\0\0":
        import lzma

        return _first(lzma.LZMADecompressor(), raw)
    try:
        return zlib.decompressobj(47).decompress(raw, _MOST)
    except zlib.error as error:
        raise Undecodable(str(error)) from None


def _first(decompressor: object, raw: bytes) -> bytes:
    try:
        return decompressor.decompress(raw, _MOST)  # type: ignore[attr-defined, no-any-return]
    except Exception as error:  # OSError, LZMAError, EOFError: not such data
        raise Undecodable(str(error)) from None
