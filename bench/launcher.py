"""`python -m bench.launcher run --config X`: the gateway as `ocpp-gateway run` starts it, its processes with a probe."""

import asyncio
import os
import sys

from bench.probe import install

__all__ = ["NO_POLICY_VARIABLE", "NO_RECORDS_VARIABLE", "main"]

NO_POLICY_VARIABLE, NO_RECORDS_VARIABLE = "OCPP_BENCH_NO_POLICY", "OCPP_BENCH_NO_RECORDS"


def _child(name: str, arguments: list[str]) -> int:
    install()
    if os.environ.get(NO_POLICY_VARIABLE):
        from gateway.edge.policy_desk import PolicyDesk

        # A relay without a judge only decodes and correlates.
        PolicyDesk.judge = lambda *_: None  # type: ignore[method-assign]
    if os.environ.get(NO_RECORDS_VARIABLE):
        from gateway.edge.frame_log import FrameLog

        FrameLog.around = lambda _log, _leg, judge: judge  # type: ignore[method-assign, assignment]
    if name == "_edge":
        from gateway.app.edge import main as edge_main

        return edge_main(arguments)
    from gateway.app.control import main as control_main

    return control_main(arguments)


def main() -> int:
    if sys.argv[1] in {"_edge", "_control"}:
        return _child(sys.argv[1], sys.argv[2:])
    from gateway.app.supervisor import Supervisor
    from gateway.config.load import load_config

    supervisor = Supervisor(load_config(sys.argv[-1]), program=(sys.executable, "-m", "bench.launcher"))
    supervisor.bind()
    return asyncio.run(supervisor.run())


if __name__ == "__main__":
    raise SystemExit(main())
