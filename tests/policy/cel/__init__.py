"""The expression language: parser, checker, fast path against walker, and both against Google's CEL."""
