"""Check digits: what tells a number that somebody has from one that merely looks like it."""

from collections.abc import Callable

_VERHOEFF_PRODUCT = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_VERHOEFF_SHIFT = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip

_ISSUERS = (
    ((13, 16, 19), 4, 4),
    ((16,), 51, 55),
    ((16,), 2221, 2720),
    ((15,), 34, 34),
    ((15,), 37, 37),
    ((16, 19), 6011, 6011),
    ((16, 19), 644, 659),
    ((14,), 300, 305),
    ((14,), 36, 36),
    ((14,), 38, 39),
    ((16, 19), 3528, 3589),
    ((16, 19), 620, 629),
)
"""Lengths, and the range of first digits, of Visa, Mastercard, American Express, Discover, Diners, JCB and UnionPay."""


def card(text: str) -> bool:
    """The length and the beginning of an issuer's numbers, and a check digit."""
    digits = "".join(letter for letter in text if letter.isdigit())
    return any(
        len(digits) in lengths and low <= int(digits[: len(str(low))]) <= high for lengths, low, high in _ISSUERS
    ) and luhn(digits)


def luhn(text: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    digits = [int(letter) for letter in text]
    doubled = [2 * digit - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def mod97(text: str) -> bool:
    """ISO 13616-1 with ISO 7064, MOD 97-10."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


def nhs(text: str) -> bool:
    """Weights from 10 down to 2, modulo 11 (NHS Data Dictionary, NHS NUMBER)."""
    digits = [int(letter) for letter in text if letter.isdigit()]
    check = 11 - sum(digit * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False)) % 11
    return len(digits) == 10 and len(set(digits)) > 2 and check % 11 == digits[9]


def german_tax(text: str) -> bool:
    """ISO 7064, MOD 11,10; of the first ten digits one comes two or three times, and the others once (§ 139b AO)."""
    digits = [int(letter) for letter in text if letter.isdigit()]
    counts = sorted((digits[:10].count(digit) for digit in set(digits[:10])), reverse=True)
    if len(digits) != 11 or counts[0] not in (2, 3) or counts[1] > 1:
        return False
    product = 10
    for digit in digits[:10]:
        total = (digit + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == digits[10]


def verhoeff(text: str) -> bool:
    """Verhoeff 1969, by the table of the dihedral group of order ten."""
    check = 0
    for place, letter in enumerate(reversed([letter for letter in text if letter.isdigit()])):
        check = int(_VERHOEFF_PRODUCT[check][int(_VERHOEFF_SHIFT[place % 8][int(letter)])])
    return check == 0


def nir(text: str) -> bool:
    """97 less the number modulo 97."""
    digits = text.replace(" ", "")
    return len(digits) == 15 and 97 - int(digits[:13]) % 97 == int(digits[13:])


def phone(text: str) -> bool:
    """ITU-T E.164: 7 to 15 digits."""
    digits = [letter for letter in text if letter.isdigit()]
    return 7 <= len(digits) <= 15 and len(set(digits)) > 2


CHECKS: dict[str, Callable[[str], bool]] = {
    "card": card,
    "mod97": mod97,
    "nhs": nhs,
    "german-tax": german_tax,
    "verhoeff": verhoeff,
    "nir": nir,
    "phone": phone,
}
"""By the names that `kinds.json` uses."""
