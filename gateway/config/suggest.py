"""Did you mean ...?"""

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The most similar known word, whatever its case, or an empty string."""
    spelling = {each.lower(): each for each in known}
    found = difflib.get_close_matches(word.lower(), list(spelling), n=1, cutoff=0.6)
    return spelling[found[0]] if found else ""
