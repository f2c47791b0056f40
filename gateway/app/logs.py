"""Operational log: structlog JSON lines on standard error. Never a payload, never a secret; that is the audit trail's business.

A log that cannot be written (full disk, reader gone) costs lines and nothing else: no caller sees an error.
"""

import contextlib
import logging
import sys
from typing import Any, Final, TextIO

import structlog

__all__ = ["configure_logging"]


class _Unbreakable:
    """Standard error as it is now; what cannot be written is dropped."""

    def write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()


_STREAM: Final[Any] = _Unbreakable()


def configure_logging(level: str, process: str) -> None:
    """Set the log up for this process; `process` names it in every line."""
    number = getattr(logging, level.upper(), logging.INFO)
    stream: TextIO = _STREAM
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(process=process)
    logging.basicConfig(level=logging.WARNING, stream=stream, format='{"event":"%(name)s","detail":"%(message)s"}')
    logging.raiseExceptions = False
