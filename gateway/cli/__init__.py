"""The command line: parsing arguments and printing results. What a command does lives below this layer."""

from gateway.cli.main import main

__all__ = ["main"]
