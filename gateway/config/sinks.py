"""Checks of [[sink]] tables: targets that can be reached safely, secrets that only we can read."""

import re
from collections.abc import Iterable
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from gateway.config.certificates import check_client_pair, check_pem, check_private_file
from gateway.config.findings import Findings
from gateway.config.model import Sink
from gateway.config.positions import Path

__all__ = ["check_sinks", "kafka_target", "nats_target", "syslog_address"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,62}")
_SUBJECT = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_KAFKA = re.compile(r"(?P<scheme>tls|kafka)://(?P<brokers>[^/@?#\s]+)/(?P<topic>[A-Za-z0-9._-]{1,249})")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_MAX_PORT = 65_535


def syslog_address(target: str) -> tuple[str, int]:
    """Host and port. Raises ValueError."""
    host, colon, port = target.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) <= _MAX_PORT:
        raise ValueError("not host:port")
    return host, int(port)


def nats_target(target: str) -> tuple[str, str, bool]:
    """Server, subject, and whether TLS is used, of ``tls://host:port/SUBJECT``. Raises ValueError."""
    parts = urlsplit(target)
    subject = parts.path.removeprefix("/")
    if parts.scheme not in {"tls", "nats"} or not parts.hostname or not parts.port or parts.username is not None:
        raise ValueError("not tls://host:port/SUBJECT")
    if not _SUBJECT.fullmatch(subject) or parts.query or parts.fragment:
        raise ValueError("a subject has words of letters, digits, '-' and '_', with dots between them")
    return f"{parts.scheme}://{parts.netloc}", subject, parts.scheme == "tls"


def kafka_target(target: str) -> tuple[list[str], str, bool]:
    """Brokers, topic, and whether TLS is used, of ``tls://host:port,host:port/TOPIC``. Raises ValueError."""
    match = _KAFKA.fullmatch(target)
    if match is None:
        raise ValueError("not tls://host:port,host:port/TOPIC")
    brokers = match["brokers"].split(",")
    for each in brokers:
        syslog_address(each)
    if match["topic"] in {".", ".."}:
        raise ValueError("no topic")
    return brokers, match["topic"], match["scheme"] == "tls"


def check_sinks(sinks: Iterable[Sink], findings: Findings) -> None:
    """Add what is wrong to `findings`."""
    names: set[str] = set()
    for index, sink in enumerate(sinks):
        place: Path = ("sink", index)
        if not _NAME.fullmatch(sink.name):
            findings.error((*place, "name"), "letters, digits and '-', at most 63")
        if sink.name in names:
            findings.error((*place, "name"), f"another sink is called {sink.name!r}")
        names.add(sink.name)
        _CHECKS[sink.kind](sink, place, findings)
        if sink.ca:
            check_pem(sink.ca, (*place, "ca"), findings, allow_dev=True)
        if sink.certificate or sink.key:
            check_client_pair(sink.certificate, sink.key, place, findings)


def _check_file(sink: Sink, place: Path, findings: Findings) -> None:
    if not FilePath(sink.target).parent.is_dir():
        findings.error((*place, "target"), f"{FilePath(sink.target).parent} is no directory")


def _check_syslog(sink: Sink, place: Path, findings: Findings) -> None:
    try:
        syslog_address(sink.target)
    except ValueError as error:
        findings.error((*place, "target"), str(error))


def _check_webhook(sink: Sink, place: Path, findings: Findings) -> None:
    _check_url(sink, place, findings)
    if not sink.secret_file:
        findings.error((*place, "secret_file"), "a webhook needs a secret, by which its receiver knows us")
    else:
        _check_secret(sink, place, findings, _LEAST_SECRET_BYTES)


def _check_otlp(sink: Sink, place: Path, findings: Findings) -> None:
    _check_url(sink, place, findings)
    if sink.secret_file:
        _check_secret(sink, place, findings, 1)


def _check_url(sink: Sink, place: Path, findings: Findings) -> None:
    try:
        parts = urlsplit(sink.target)
        port = parts.port
    except ValueError:
        findings.error((*place, "target"), "not a URL")
        return
    del port
    if parts.username is not None or parts.password is not None:
        # Not shown: it may hold a password, and findings go to logs and events.
        findings.error((*place, "target"), "a user or password in the URL")
    elif parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        findings.error((*place, "target"), "must be https://; http:// is for loopback only")


def _check_nats(sink: Sink, place: Path, findings: Findings) -> None:
    try:
        server, _, encrypted = nats_target(sink.target)
    except ValueError as error:
        findings.error((*place, "target"), str(error))
        return
    if not encrypted and urlsplit(server).hostname not in _LOOPBACK:
        findings.error((*place, "target"), "must be tls://; nats:// is for loopback only")
    if sink.secret_file:
        _check_secret(sink, place, findings, 1)


def _check_kafka(sink: Sink, place: Path, findings: Findings) -> None:
    try:
        brokers, _, encrypted = kafka_target(sink.target)
    except ValueError as error:
        findings.error((*place, "target"), str(error))
        return
    if not encrypted and not {syslog_address(each)[0] for each in brokers} <= _LOOPBACK:
        findings.error((*place, "target"), "must be tls://; kafka:// is for loopback only")
    if sink.secret_file:
        findings.error((*place, "secret_file"), "Kafka knows us by a client certificate: certificate and key")


def _check_secret(sink: Sink, place: Path, findings: Findings, least_bytes: int) -> None:
    if not check_private_file(sink.secret_file, (*place, "secret_file"), findings):
        return
    lines = FilePath(sink.secret_file).read_bytes().rstrip(b"\r\n").splitlines()
    if len(lines) != 1 or len(lines[0]) < least_bytes or (least_bytes == 1 and not lines[0].isascii()):
        least = f" of at least {least_bytes} bytes" if least_bytes > 1 else ""
        findings.error((*place, "secret_file"), f"must hold one line{least}, the secret")


_LEAST_SECRET_BYTES = 16
_CHECKS = {
    "file": _check_file,
    "syslog": _check_syslog,
    "webhook": _check_webhook,
    "otlp": _check_otlp,
    "nats": _check_nats,
    "kafka": _check_kafka,
}
