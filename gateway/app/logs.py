"""Operational log: structlog JSON lines on standard error. Never a payload, never a secret; that is the audit trail's business."""

import logging
import sys

import structlog

__all__ = ["configure_logging"]


def configure_logging(level: str, process: str) -> None:
    """Set the log up for this process; `process` names it in every line."""
    number = getattr(logging, level.upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(process=process)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format='{"event":"%(name)s","detail":"%(message)s"}')
