"""What the parser raises for certificates that cannot be read, or that two readers could understand differently.

It reads a certificate a part at a time, when it is asked for it.
"""

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

__all__ = ["UNREADABLE"]

UNREADABLE: Final = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.UnsupportedGeneralNameType,
    x509.DuplicateExtension,
    x509.InvalidVersion,
)
"""TypeError: for a name with a BIT STRING in it."""
