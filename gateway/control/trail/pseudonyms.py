"""Keys of pseudonyms, one a year: whoever has one can find a driver's records of that year, and without it nobody can.

They lie beside the signing keys, away from the log. Removing one ends what was possible with it, for ever.
"""

import re
from pathlib import Path
from typing import Final

from gateway.audit.redaction import token_pseudonym
from gateway.audit.spellings import spellings
from gateway.control.trail.keys import load_or_make_seed

__all__ = ["PseudonymKeys", "subject_of"]

_NAME: Final = re.compile(r"([0-9]{4})\.key", re.ASCII)


class PseudonymKeys:
    """The directory of these keys."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, bytes] = {}

    def of(self, year: str) -> bytes:
        """The key of a year, made where there is none. Raises OSError, KeyUnusable."""
        key = self._known.get(year)
        if key is None:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            key = self._known[year] = load_or_make_seed(self._directory / f"{year}.key")
        return key

    def years(self) -> list[str]:
        """Those that there are, oldest first."""
        found = map(_NAME.fullmatch, (path.name for path in self._directory.glob("*.key")))
        return sorted(match[1] for match in found if match)

    def all_of(self, token: str) -> list[str]:
        """How this driver's token stands in records, under each key that there is. Raises OSError, KeyUnusable."""
        return [subject_of(year, token_pseudonym(self.of(year), token)) for year in self.years()]

    def of_all_spellings(self, token: str) -> frozenset[str]:
        """What else it may stand for in records, spelled otherwise, `all_of` included. Raises OSError, KeyUnusable."""
        return frozenset(
            subject_of(year, token_pseudonym(key, each))
            for year, key in ((year, self.of(year)) for year in self.years())
            for each in spellings(token)
        )


def subject_of(year: str, pseudonym: str) -> str:
    """As in the field ``subj`` of records."""
    return f"{year}:{pseudonym}"
