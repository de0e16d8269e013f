"""The two ways in which the age format writes bytes as text: unpadded base64, and Bech32.

Sources: https://age-encryption.org/v1, section "Conventions used in this document";
https://github.com/bitcoin/bips/blob/master/bip-0173.mediawiki, section "Bech32", without its limit on the length.
"""

import binascii

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_CHARSET)}
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM = 6


def base64_text(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False).rstrip(b"=")


def base64_bytes(text: bytes) -> bytes:
    """The bytes of unpadded base64. Raises `ValueError` for anything but the one way to write them."""
    try:
        data = binascii.a2b_base64(text + b"=" * (-len(text) % 4), strict_mode=True)
    except binascii.Error:
        data = b""
    if base64_text(data) != text:
        raise ValueError("no canonical base64")
    return data


def bech32_text(prefix: str, data: bytes) -> str:
    """`data` behind its prefix, in lower case."""
    values = _regrouped(data, 8, 5)
    if len(data) * 8 % 5:
        values.append(int.from_bytes(data, "big") << (-len(data) * 8 % 5) & 31)
    rest = _polymod([*_expanded(prefix), *values, *[0] * _CHECKSUM]) ^ 1
    values += [rest >> 5 * (_CHECKSUM - 1 - place) & 31 for place in range(_CHECKSUM)]
    return f"{prefix}1{''.join(_CHARSET[value] for value in values)}"


def bech32_bytes(text: str) -> tuple[str, bytes]:
    """The prefix, in lower case, and the bytes. Raises `ValueError`."""
    if text not in (text.lower(), text.upper()):
        raise ValueError("upper and lower case are mixed")
    prefix, separator, characters = text.lower().rpartition("1")
    if not separator or not prefix or len(characters) < _CHECKSUM:
        raise ValueError("too short")
    if not all(33 <= ord(character) <= 126 for character in prefix) or not _VALUES.keys() >= set(characters):
        raise ValueError("a character that cannot be in it")
    values = [_VALUES[character] for character in characters]
    if _polymod([*_expanded(prefix), *values]) != 1:
        raise ValueError("its checksum does not fit: mistyped, or cut off")
    values = values[:-_CHECKSUM]
    spare = len(values) * 5 % 8
    if spare > 4 or (spare and values[-1] & (1 << spare) - 1):
        raise ValueError("no whole number of bytes")
    return prefix, bytes(_regrouped(values, 5, 8))


def _regrouped(values: "bytes | list[int]", width: int, target: int) -> list[int]:
    """Values of `width` bits as values of `target` bits; bits that do not fill one are left out."""
    held, bits, found = 0, 0, []
    for value in values:
        held, bits = (held << width | value) & 0xFFFF, bits + width
        while bits >= target:
            bits -= target
            found.append(held >> bits & (1 << target) - 1)
    return found


def _expanded(prefix: str) -> list[int]:
    return [*(ord(c) >> 5 for c in prefix), 0, *(ord(c) & 31 for c in prefix)]


def _polymod(values: list[int]) -> int:
    checksum = 1
    for value in values:
        top = checksum >> 25
        checksum = (checksum & 0x1FFFFFF) << 5 ^ value
        for place, generator in enumerate(_GENERATORS):
            if top >> place & 1:
                checksum ^= generator
    return checksum
