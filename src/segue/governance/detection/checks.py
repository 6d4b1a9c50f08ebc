"""Checks of what a pattern found: check digits, lengths, dates. Each says how much of it counts.

Sources: ISO 7812 (Luhn), ISO 13616 (IBAN), ISO 7064 (mod 11,10), ITU-T E.164, and the published rules of each number.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import Final

Check = Callable[[str], int]
"""Gives how many characters from the beginning of the text are what was looked for; 0 for none."""

_CODES: Final = """
1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82
84 86 90 91 92 93 94 95 98 211 212 213 216 218 220 221 222 223 224 225 226 227 228 229 230 231 232 233 234
235 236 237 238 239 240 241 242 243 244 245 248 249 250 251 252 253 254 255 256 257 258 260 261 262 263 264
265 266 267 268 269 290 291 297 298 299 350 351 352 353 354 355 356 357 358 359 370 371 372 373 374 375 376
377 378 380 381 382 383 385 386 387 389 420 421 423 500 501 502 503 504 505 506 507 508 509 590 591 592 593
594 595 596 597 598 599 670 672 673 674 675 676 677 678 679 680 681 682 683 685 686 687 688 689 690 691 692
850 852 853 855 856 880 886 960 961 962 963 964 965 966 967 968 970 971 972 973 974 975 976 977 992 993 994
995 996 998
"""
_COUNTRY_CODES: Final = frozenset(_CODES.split())
_IBAN_LENGTHS: Final = {
    **dict.fromkeys(("NO",), 15), **dict.fromkeys(("BE",), 16), **dict.fromkeys(("DK", "FI", "FO", "GL", "NL"), 18),
    **dict.fromkeys(("MK", "SI"), 19), **dict.fromkeys(("AT", "BA", "EE", "KZ", "LT", "LU", "XK"), 20),
    **dict.fromkeys(("CH", "CR", "HR", "LI", "LV"), 21),
    **dict.fromkeys(("BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS", "VA"), 22),
    **dict.fromkeys(("AE", "GI", "IL", "IQ", "TL"), 23),
    **dict.fromkeys(("AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"), 24),
    **dict.fromkeys(("LY", "PT", "ST"), 25), **dict.fromkeys(("IS", "TR"), 26),
    **dict.fromkeys(("FR", "GR", "IT", "MC", "MR", "SM"), 27),
    **dict.fromkeys(("AL", "AZ", "BY", "CY", "DO", "GT", "HU", "LB", "PL", "SV"), 28),
    **dict.fromkeys(("BR", "EG", "PS", "QA", "UA"), 29), **dict.fromkeys(("JO", "KW", "MU"), 30),
    **dict.fromkeys(("MT", "SC"), 31), **dict.fromkeys(("LC",), 32),
}  # fmt: skip
_CARDS: Final = re.compile(
    "4|5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720|3[47]|3(?:0[0-5]|095|[689])|35(?:2[89]|[3-8])|6011|64[4-9]|65|62"
)
_CARD_LENGTHS: Final = (16, 15, 14, 13, 19, 18, 17)
_ODD: Final = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16,
         10, 22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip
"""What characters at odd places of an Italian tax code count; those at even places count their own place."""


def _digits(text: str) -> str:
    return "".join(character for character in text if character in "0123456789")


def _end_of(text: str, count: int, counted: Callable[[str], bool]) -> int:
    """Where the first `count` characters that count end; 0 where another one follows at once."""
    for place, character in enumerate(text):
        count -= counted(character)
        if count == 0:
            return 0 if text[place + 1 : place + 2].isalnum() else place + 1
    return 0


def _whole(is_one: Callable[[str], bool]) -> Check:
    return lambda text: len(text) if is_one(text) else 0


def luhn(digits: str) -> bool:
    """Every second digit from the right doubled, digits of products added up: a multiple of ten."""
    total = 0
    for place, character in enumerate(reversed(digits)):
        value = int(character) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _card(text: str) -> int:
    digits = _digits(text)
    if not _CARDS.match(digits) or len(set(digits)) < 2:
        return 0
    for length in _CARD_LENGTHS:
        if len(digits) >= length and luhn(digits[:length]) and (end := _end_of(text, length, str.isdigit)):
            return end
    return 0


def _iban(text: str) -> int:
    length = _IBAN_LENGTHS.get(text[:2], 0)
    compact = text.replace(" ", "")[:length]
    if not length or len(compact) < length:
        return 0
    number = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
    return _end_of(text, length, str.isalnum) if int(number) % 97 == 1 else 0


def _international(text: str) -> bool:
    digits = _digits(text)
    if text.lstrip("(").startswith("00"):
        digits = digits[2:]
    return 7 <= len(digits) <= 15 and any(digits[:n] in _COUNTRY_CODES for n in (1, 2, 3)) and len(set(digits)) > 2


def _ip(text: str) -> bool:
    if ":" in text and text.count(":") < 2:
        return False
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    # Addresses of every machine identify nobody.
    return not (address.is_unspecified or address.is_loopback)


def _de_tax(text: str) -> bool:
    digits = _digits(text)
    counts = sorted((digits[:10].count(digit) for digit in set(digits[:10])), reverse=True)
    if counts[0] not in (2, 3) or counts[1:].count(2) or counts[1:].count(3):
        return False
    product = 10
    for character in digits[:10]:
        total = (int(character) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _bsn(text: str) -> bool:
    return text != "000000000" and _weighted(text, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0


def _nhs(text: str) -> bool:
    digits = _digits(text)
    rest = 11 - _weighted(digits[:9], (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return len(set(digits)) > 1 and rest != 10 and rest % 11 == int(digits[9])


def _nir(text: str) -> bool:
    compact = text.replace(" ", "")
    # Corsica's departments are written with a letter and count as 19 and 18.
    number = compact[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(compact[13:])


def _nif(text: str) -> bool:
    compact = text.replace("-", "")
    number = {"X": "0", "Y": "1", "Z": "2"}.get(compact[0], compact[0]) + compact[1:8]
    return "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == compact[8]


def _codice_fiscale(text: str) -> bool:
    total = sum(
        _ODD[character] if place % 2 == 0 else int(character, 36) - (10 if character.isalpha() else 0)
        for place, character in enumerate(text[:15])
    )
    return chr(ord("A") + total % 26) == text[15]


def _pesel(text: str) -> bool:
    month, day = int(text[2:4]) % 20, int(text[4:6])
    rest = _weighted(text[:10], (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10
    return 1 <= month <= 12 and 1 <= day <= 31 and (10 - rest) % 10 == int(text[10])


CHECKS: Final[dict[str, Check]] = {
    "": len,
    "card": _card,
    "iban": _iban,
    **{
        name: _whole(is_one)
        for name, is_one in (
            ("international", _international),
            ("ip", _ip),
            ("de-tax", _de_tax),
            ("bsn", _bsn),
            ("nhs", _nhs),
            ("nir", _nir),
            ("nif", _nif),
            ("codice-fiscale", _codice_fiscale),
            ("pesel", _pesel),
        )
    },
}
"""By the names that `detectors.toml` uses."""
