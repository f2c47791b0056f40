"""Benchmarks beside peers; see run.py."""
