"""Exit codes, documented in docs/command-line.md."""

from typing import Final

__all__ = ["INTERNAL", "INTERRUPTED", "NOT_OK", "OK", "READER_GONE", "UNREACHABLE", "USAGE"]

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
READER_GONE: Final = 141
"""Whoever read our output closed it; the code a shell shows for a program that SIGPIPE ended."""
