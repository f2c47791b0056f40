"""Other spellings of a driver's token: one card or contract, written by several stations in several ways. Pure.

Records have the pseudonym of the token as it was written. Whoever looks for a driver means all spellings of it.
"""

import re
import string
from itertools import product
from typing import Final

__all__ = ["spellings"]

_EMAID: Final = re.compile(r"([a-z]{2})([-*]?)([a-z0-9]{3})\2([a-z0-9]{9})(?:\2?([a-z0-9]))?", re.ASCII)
"""Country, provider, instance and perhaps a check digit: eMI3 and ISO 15118-1, with hyphens or without; DIN 91286 has asterisks."""
_DIN: Final = re.compile(r"([a-z]{2})([-*]?)([a-z0-9]{3})\2([a-z0-9]{6})(?:\2?([a-z0-9]))?", re.ASCII)
_UID: Final = re.compile(r"[0-9a-f]{2}(?:([:\- ]?)[0-9a-f]{2})(?:\1[0-9a-f]{2}){2,8}", re.ASCII)
"""4 to 10 bytes of a card."""
_SEPARATORS: Final = ("", "-", "*")
_CHECK_DIGITS: Final = ("", *string.digits, *string.ascii_lowercase)


def spellings(token: str) -> frozenset[str]:
    """The token, in small letters, and what else means the same contract or card; capitals and outer blanks never count.

    A contract is the same with and without separators, and whatever check digit follows, as it says nothing more. A card's bytes
    are the same with and without something between them; in another order they are another card's.
    """
    plain = token.strip().casefold()
    found = {plain}
    for form in (_EMAID, _DIN):
        if match := form.fullmatch(plain):
            found |= _of_contract(match[1], match[3], match[4])
    if _UID.fullmatch(plain):
        digits = re.sub(r"[:\- ]", "", plain)
        pairs = [digits[at : at + 2] for at in range(0, len(digits), 2)]
        found |= {between.join(pairs) for between in ("", ":", "-", " ")}
    return frozenset(found)


def _of_contract(country: str, provider: str, instance: str) -> set[str]:
    found = set()
    for between, digit in product(_SEPARATORS, _CHECK_DIGITS):
        contract = between.join((country, provider, instance))
        found |= {contract + digit, between.join((contract, digit)) if digit else contract}
    return found
