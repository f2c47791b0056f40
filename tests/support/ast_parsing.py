"""`ast.parse` of a Python before 3.11.8, made safe: a garbage collection in the middle of it makes it fail there.

The interpreter counts how deep it is in one place for all (gh-106905). A collection may run Python code, ours or another
thread's, and where that parses something too (Hypothesis does, and the traceback module) the outer call ends with
"SystemError: AST constructor recursion depth mismatch". So nothing is collected while something is parsed.
"""

import ast
import functools
import gc
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

__all__ = ["make_parsing_safe"]

_MENDED: Final = (3, 11, 8)
_lock = threading.RLock()


def make_parsing_safe() -> None:
    """From now on, for all that look `parse` up in its module."""
    if sys.version_info < _MENDED and not hasattr(ast.parse, "__wrapped__"):
        ast.parse = _uncollected(ast.parse)


def _uncollected(parse: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(parse)
    def parsed(*arguments: Any, **options: Any) -> Any:
        with _lock:  # another thread would switch the collector on again
            was_enabled = gc.isenabled()
            gc.disable()
            try:
                return parse(*arguments, **options)
            finally:
                if was_enabled:
                    gc.enable()

    return parsed
