"""A bar for people while long work goes on. Nothing with --json, or where nobody looks."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Advance", "progress"]

Advance = Callable[[float], None]
"""Takes how much more has been done."""


@contextmanager
def progress(what: str, total: float | None, *, as_json: bool) -> Iterator[Advance]:
    """Shown on standard error as long as the block runs, if that is a terminal. Gives the function that advances it.

    `total` is None for work whose end cannot be told.
    """
    if as_json or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
