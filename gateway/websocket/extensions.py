"""Grammar of Sec-WebSocket-Extensions (RFC 6455, 9.1), read to the letter: what is not one is not made into one."""

import re
from typing import Final

__all__ = ["Extension", "read_extension"]

Extension = tuple[str, tuple[tuple[str, str | None], ...]]
"""Name, and parameters in order of appearance; the value is None for a parameter without one."""

_WORD: Final = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_NAME: Final = re.compile(_WORD)
_PARAMETER: Final = re.compile(rf'({_WORD})(?:[ \t]*=[ \t]*(?:({_WORD})|"({_WORD})"))?')


def read_extension(text: str) -> Extension | None:
    """One extension with its parameters; None if it is none.

    A quoted value must be a token too, so that neither a comma nor a semicolon can hide in one: splitting comes first.
    """
    name, *parameters = (part.strip(" \t") for part in text.split(";"))
    matches = [_PARAMETER.fullmatch(parameter) for parameter in parameters]
    if not _NAME.fullmatch(name) or None in matches:
        return None
    return name, tuple((match[1], match[2] or match[3]) for match in matches if match)
