"""Listening sockets: a set per listener that a reload can change without touching the others."""

import errno
import socket
from pathlib import Path

import pytest

from gateway.app.sockets import ListeningSockets, bind_unix, require_free
from gateway.config.model import Listener
from gateway.ocpp.vocabulary import SecurityProfile


def _listener(name: str, address: str = "127.0.0.1:0") -> Listener:
    return Listener(name=name, address=address, security_profiles=(SecurityProfile.BASIC,), csms="main")


def _connects(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        return sock.connect_ex((host.strip("[]"), int(port))) == 0


def _name(descriptor: int) -> object:
    with socket.socket(fileno=socket.dup(descriptor)) as sock:
        return sock.getsockname()


@pytest.fixture
def sockets() -> ListeningSockets:
    return ListeningSockets(2)


def test_every_slot_has_a_socket_of_its_own_on_the_same_port(sockets: ListeningSockets) -> None:
    sockets.bind([_listener("a"), _listener("b")])
    first, second = sockets.descriptors(0), sockets.descriptors(1)
    assert list(first) == list(second) == ["a", "b"]
    assert len({*first.values(), *second.values()}) == 4
    assert _name(first["a"]) == _name(second["a"]) != _name(first["b"])
    sockets.close()


def test_a_taken_port_is_told_with_the_name_of_the_listener_and_leaves_nothing_bound(
    sockets: ListeningSockets,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(OSError, match=f"listener b \\({address}\\): Address already in use") as caught:
            sockets.bind([_listener("a"), _listener("b", address)])
        assert caught.value.errno == errno.EADDRINUSE
        assert sockets.descriptors(0) == {}
    sockets.bind([_listener("a"), _listener("b", address)])
    assert _connects(sockets.address_of("b"))
    sockets.close()


def test_a_port_shared_by_reuseport_counts_as_taken_too() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            require_free("127.0.0.1", other.getsockname()[1])
    require_free("127.0.0.1", 0)


def test_a_prepared_change_listens_and_ends_when_it_is_abandoned(sockets: ListeningSockets) -> None:
    sockets.bind([_listener("a")])
    change = sockets.prepare([_listener("a"), _listener("b")])
    address = change.bound["b"][0].getsockname()
    assert (list(change.bound), change.removed) == (["b"], [])
    assert _connects(f"127.0.0.1:{address[1]}")
    change.abandon()
    assert not _connects(f"127.0.0.1:{address[1]}")
    assert _connects(sockets.address_of("a"))
    sockets.close()


def test_a_change_that_is_taken_over_closes_what_is_gone_and_keeps_what_stays(sockets: ListeningSockets) -> None:
    sockets.bind([_listener("stays"), _listener("goes")])
    stays, goes = sockets.address_of("stays"), sockets.address_of("goes")
    wanted = [_listener("stays"), _listener("comes")]
    change = sockets.prepare(wanted)
    assert change.removed == ["goes"]
    sockets.take_over(change, wanted)
    assert _connects(stays)
    assert _connects(sockets.address_of("comes"))
    assert not _connects(goes)
    assert sockets.prepare(wanted) == ({}, [])
    sockets.close()
    assert not _connects(stays)


def test_a_listener_may_move_to_another_address_of_its_port_or_change_its_name(sockets: ListeningSockets) -> None:
    sockets.bind([_listener("old")])
    port = sockets.address_of("old").rpartition(":")[2]
    for name, host in (("old", "0.0.0.0"), ("new", "0.0.0.0"), ("new", "127.0.0.1")):
        wanted = [_listener(name, f"{host}:{port}")]
        sockets.take_over(sockets.prepare(wanted), wanted)
        assert sockets.address_of(name) == f"{host}:{port}"
        assert _connects(f"127.0.0.1:{port}")
    sockets.close()


def test_a_connection_that_waits_for_a_dead_edge_is_there_for_its_successor(sockets: ListeningSockets) -> None:
    sockets.bind([_listener("a")])
    host, _, port = sockets.address_of("a").rpartition(":")
    with socket.create_connection((host, int(port))) as waiting:
        accepted = None
        for slot in (0, 1):
            with socket.socket(fileno=socket.dup(sockets.descriptors(slot)["a"])) as successor:
                try:
                    accepted, peer = successor.accept()
                except BlockingIOError:
                    continue
                assert peer == waiting.getsockname()
                accepted.close()
        assert accepted is not None
    sockets.close()


def test_ipv6_is_written_in_brackets(sockets: ListeningSockets) -> None:
    sockets.bind([_listener("six", "[::1]:0")])
    assert sockets.address_of("six").startswith("[::1]:")
    assert _connects(sockets.address_of("six"))
    sockets.close()


def test_a_stale_unix_socket_is_replaced_and_only_we_may_connect(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    bind_unix(path).close()
    assert path.exists()
    with bind_unix(path) as listening, socket.socket(socket.AF_UNIX) as peer:
        assert path.stat().st_mode & 0o777 == 0o600
        peer.connect(str(path))
        listening.accept()[0].close()


def test_a_unix_socket_path_that_is_too_long_is_named(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120)
    with pytest.raises(OSError, match="AF_UNIX path too long") as caught:
        bind_unix(path)
    assert str(path) in str(caught.value)
