"""Plays the cases of `tests/vectors` against a running gateway over real sockets: `python -m tests.attacks`."""
