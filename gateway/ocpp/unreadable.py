"""What the parser raises for certificates and requests that cannot be read, or that two readers could understand differently.

It reads them a part at a time, when it is asked for it. (`pki.unreadable` says the same for the PKI, which stands alone.)
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
