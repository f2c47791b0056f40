"""systemd's readiness protocol (sd_notify), where a NOTIFY_SOCKET is given."""

import os
import socket
import time

__all__ = ["notify"]


def notify(state: str, status: str = "") -> None:
    """Send e.g. ``READY=1`` to systemd, with a line for ``systemctl status``; does nothing elsewhere.

    Type=notify-reload wants the time of a reload.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    if state == "RELOADING=1":
        state += f"\nMONOTONIC_USEC={time.monotonic_ns() // 1000}"
    if status:
        state += "\nSTATUS=" + " ".join(status.split())[:1000]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.setblocking(False)
        try:
            sock.sendto(state.encode(), address)
        except OSError:
            return
