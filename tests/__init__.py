"""The tests: one directory per package, and what runs real processes in `integration` and `attacks`."""
