"""`python -m gateway`: the command line; the two child processes skip it, because they start often and import little."""

import sys

__all__ = ["main"]


def main() -> int:
    """Dispatch. Returns the exit code."""
    if len(sys.argv) > 1 and sys.argv[1] == "_edge":
        from gateway.app.edge import main as edge_main

        return edge_main(sys.argv[2:])
    if len(sys.argv) > 1 and sys.argv[1] == "_control":
        from gateway.app.control import main as control_main

        return control_main(sys.argv[2:])
    from gateway.cli import main as cli_main

    return cli_main()


if __name__ == "__main__":
    sys.exit(main())
