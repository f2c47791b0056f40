"""What the audit log costs an edge for each message: the same session judged with and without the frame log around it.

    python -m bench.frame_log [--messages N] [--repeat N] [--haproxy-us US]

Nothing is only counted here, so this is the price of level full as of `meta`: gathering, encoding and writing to the link.
CPU time of this process; the two take turns. `--haproxy-us` is HAProxy's CPU time for each relayed message as `bench.run` has
measured it on the same machine: then the ratio is told as well (target: at most 0.25).
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import cast

from gateway.edge.control_link import ControlLink
from gateway.edge.events import Counts
from gateway.edge.frame_log import FrameLog
from gateway.edge.pump import Bridge
from gateway.link.framing import encode
from gateway.link.messages import EdgeMessage
from gateway.link.relayed import FramesRecorded, RelayedFrames
from tests.support.sessions import make_session

_METER = (
    b'[2,"%d","MeterValues",{"connectorId":%d,"transactionId":7,"meterValue":[{"timestamp":"2026-01-01T00:00:00Z",'
    b'"sampledValue":[{"value":"12345.6","measurand":"Energy.Active.Import.Register","unit":"Wh"}]}]}]'
)
_FLUSH_EVERY = 1_000
"""Ten thousand messages a second, and ten flushes."""


class _Socket:
    """A link whose other side takes everything and acknowledges it at once."""

    connected = True

    def __init__(self) -> None:
        self._file = os.open(os.devnull, os.O_WRONLY)
        self.log: FrameLog

    def send(self, message: EdgeMessage) -> bool:
        assert isinstance(message, RelayedFrames)
        os.write(self._file, encode(message))
        self.log.told(FramesRecorded(message.boot, message.batch))
        return True


def _session() -> tuple[Bridge, FrameLog]:
    link = _Socket()
    link.log = FrameLog(cast("ControlLink", link), Counts(), lambda: "0" * 64, time.time, "bench")
    return make_session(), link.log


def _us_per_message(messages: int, *, recorded: bool) -> float:
    bridge, log = _session()
    leg, csms = bridge.charge_point, bridge.csms
    judge, answer = leg.judge, csms.judge
    if recorded:
        judge, answer = log.around(leg, judge), log.around(csms, answer)
    now, spent = 1_000.0, 0.0
    for first in range(0, messages // 2, _FLUSH_EVERY):
        # Each text once, or the relay takes them for replays.
        numbers = range(first, first + _FLUSH_EVERY)
        texts = [(_METER.replace(b"%d", b"%d" % number), b'[3,"%d",{}]' % number) for number in numbers]
        began = time.process_time()
        for call, result in texts:
            now += 0.1
            judge(call, now)
            answer(result, now)
        while log.flush():
            pass
        spent += time.process_time() - began
    return spent / messages * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--haproxy-us", type=float, default=0.0)
    arguments = parser.parse_args()
    added = []
    for turn in range(arguments.repeat):
        plain = _us_per_message(arguments.messages, recorded=False)
        recorded = _us_per_message(arguments.messages, recorded=True)
        added.append(recorded - plain)
        print(f"turn {turn + 1}: decoding and correlating {plain:.2f} us, with the frame log {recorded:.2f} us")
    median = statistics.median(added)
    ratio = f", {median / arguments.haproxy_us:.2f} x HAProxy" if arguments.haproxy_us else ""
    load = Path("/proc/loadavg").read_text("ascii").split()[0]
    print(f"added for each message: {median:.2f} us [{min(added):.2f}-{max(added):.2f}]{ratio}, load average {load}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
