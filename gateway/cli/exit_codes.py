"""Exit codes, documented in docs/operations.md."""

from typing import Final

__all__ = ["INTERNAL", "INTERRUPTED", "NOT_OK", "OK", "UNREACHABLE", "USAGE"]

OK: Final = 0
NOT_OK: Final = 1
"""The thing asked about is not ok, was not found or was refused."""
USAGE: Final = 2
"""Wrong arguments or an unusable configuration."""
UNREACHABLE: Final = 3
"""No gateway is running, or it cannot be reached."""
INTERNAL: Final = 70
"""A defect of ours."""
INTERRUPTED: Final = 130
