"""The benchmark: every stack in turn, interleaved, on the same machine, and only ratios in the report.

    python -m bench.run [--kinds messages rules sessions reload worst ...] [--stacks ...] [--repeat N] [--quick]

The proxy runs on core 0, the load generator and the echo CSMS on core 1. CPU time is read from /proc for the proxy's
whole process tree, so the gateway's control process and supervisor count.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path

from OpenSSL import SSL

from bench.certificates import make_certificates
from bench.measure import FULL, KINDS, QUICK, measure
from bench.report import report
from bench.rig import BUILD, RunFailed, build_load_generator
from bench.stacks import CHARGE_POINTS, MANY_RULES, ONLY_MESSAGES, PYTHON_STACKS, RULE_STACKS, STACKS

HERE = Path(__file__).parent
_REPEAT = 5


def _available(stack: str) -> bool:
    binary = {"haproxy": "haproxy", "nginx": "nginx"}.get(stack)
    if binary and shutil.which(binary) is None:
        print(f"SKIPPED {stack}: not installed (bash bench/setup.sh installs it as root)", file=sys.stderr)
        return False
    return True


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().split("\n", 1)[0]


def _versions(stacks: list[str]) -> str:
    found = [f"Python {platform.python_version()} ({ssl.OPENSSL_VERSION})"]
    found.append(f"pyOpenSSL on {SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode('ascii', 'replace')}")
    if "haproxy" in stacks:
        found.append(_first_line(["haproxy", "-v"]).split(" - ")[0])
    if "nginx" in stacks:
        found.append(_first_line(["nginx", "-v"]).removeprefix("nginx version: "))
    return "; ".join(found)


_STACKS_OF = {
    "rules": (MANY_RULES,),
    "reload": (MANY_RULES,),
    "worst": ("gateway",),
    "issue": ("gateway",),
    "idle-password": ("haproxy", "nginx", "gateway"),
    "leak": PYTHON_STACKS,
}
"""Stacks of which a kind of measurement is of interest, where it is not all peers."""


def _is_of_interest(kind: str, stack: str) -> bool:
    if stack in ONLY_MESSAGES:
        return kind == "messages"
    return stack in _STACKS_OF.get(kind, STACKS) and (stack not in RULE_STACKS or kind in {"rules", "reload"})


def _turns(kind: str, repeat: int) -> int:
    """Memory hardly varies and costs the most time."""
    return repeat if kind in {"messages", "rules", "sessions"} else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=KINDS)
    parser.add_argument("--stacks", nargs="+", default=list(STACKS), choices=STACKS)
    parser.add_argument("--repeat", type=int, default=_REPEAT)
    parser.add_argument("--quick", action="store_true", help="short runs, 500 idle connections; do not quote them")
    arguments = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    build_load_generator()
    make_certificates(BUILD / "certs", CHARGE_POINTS)
    stacks = [stack for stack in arguments.stacks if _available(stack)]
    size = QUICK if arguments.quick else FULL
    started, load_before = time.time(), os.getloadavg()
    results: dict[str, dict[str, list[float | None]]] = {}
    for kind in arguments.kinds:
        for turn in range(_turns(kind, arguments.repeat)):
            for stack in stacks:
                if not _is_of_interest(kind, stack):
                    continue
                try:
                    figures = measure(kind, stack, size)
                except RunFailed as error:
                    print(f"{kind} {turn + 1} {stack}: FAILED {error}", flush=True)
                    continue
                for name, value in figures.items():
                    values = results.setdefault(name, {}).setdefault(stack, [])
                    values += [None] * (turn - len(values))  # earlier turns that failed
                    values.append(value)
                shown = ", ".join(f"{name} {value:.2f}" for name, value in figures.items())
                print(f"{kind} {turn + 1} {stack}: {shown}", flush=True)
    circumstances = [
        f"{os.cpu_count()} cores, {platform.machine()}, {_versions(stacks)}.",
        f"Load average before the run {load_before[0]:.1f} (its own work is one to two); "
        f"the run took {(time.time() - started) / 60:.0f} min, {arguments.repeat} turns.",
    ]
    (BUILD / "results.json").write_text(json.dumps(results, indent=1))
    text = report(
        results, [stack for stack in stacks if stack not in RULE_STACKS], size.idle_connections, circumstances
    )
    print(text)
    if not arguments.quick and set(arguments.kinds) == set(KINDS) and set(arguments.stacks) == set(STACKS):
        (HERE / "RESULTS.md").write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
