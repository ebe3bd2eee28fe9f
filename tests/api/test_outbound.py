"""Which addresses are called: the attack table, judged by name, by what the name leads to, and by what is connected."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from api.outbound import CallFailed, Target, UnfitAddress, check_public, open_client, post

REFUSED_URLS = {
    "plain http": "http://erp.example.org/",
    "another scheme": "ftp://erp.example.org/",
    "a file": "file:///etc/passwd",
    "gopher": "gopher://erp.example.org:70/_x",
    "no scheme": "erp.example.org/hook",
    "no host": "https:///hook",
    "a name and password": "https://user:secret@erp.example.org/",
    "a name that hides the host": "https://erp.example.org@127.0.0.1/",
    "a fragment": "https://erp.example.org/#x",
    "a backslash": "https://erp.example.org\\@127.0.0.1/",
    "a space": "https://erp.example.org/a b",
    "a line break": "https://erp.example.org/\r\nHost: internal",
    "letters of another alphabet": "https://ерp.example.org/",
    "too long": "https://erp.example.org/" + "a" * 2000,
    "a port that is none": "https://erp.example.org:99999/",
    "an octal address": "https://0177.0.0.1/",
    "loopback": "https://127.0.0.1/",
    "loopback, further on": "https://127.8.9.10/",
    "IPv6 loopback": "https://[::1]/",
    "any address": "https://0.0.0.0/",
    "a private network": "https://10.0.0.7/",
    "another private network": "https://172.16.3.4/",
    "a third private network": "https://192.168.1.1/",
    "link-local, the metadata of a cloud": "https://169.254.169.254/latest/meta-data/",
    "shared address space": "https://100.64.0.1/",
    "metadata in shared address space": "https://100.100.100.200/",
    "metadata at a public address": "https://168.63.129.16/",
    "broadcast": "https://255.255.255.255/",
    "multicast": "https://224.0.0.1/",
    "documentation": "https://192.0.2.1/",
    "IPv4 in IPv6": "https://[::ffff:127.0.0.1]/",
    "IPv4 in IPv6, in hexadecimal": "https://[::ffff:7f00:1]/",
    "NAT64": "https://[64:ff9b::7f00:1]/",
    "6to4": "https://[2002:7f00:1::]/",
    "Teredo": "https://[2001:0:7f00:1::]/",
    "unique local": "https://[fd00:ec2::254]/",
    "link-local IPv6": "https://[fe80::1]/",
    "site-local IPv6": "https://[fec0::1]/",
    "multicast IPv6": "https://[ff02::1]/",
}


@pytest.mark.parametrize("name", REFUSED_URLS)
def test_an_unfit_url_is_refused_before_anything_is_called(name: str) -> None:
    with pytest.raises(UnfitAddress):
        Target.parse(REFUSED_URLS[name])


@pytest.mark.parametrize(
    "url", ["https://erp.example.org/hook?a=1", "https://93.184.216.34/", "https://[2606:2800:220:1::]:8443/"]
)
def test_a_public_address_is_fit(url: str) -> None:
    Target.parse(url)


RESOLVED: dict[str, tuple[str, list[str]]] = {
    "a name of this machine": ("localhost", ["127.0.0.1"]),
    "a public name that leads inside": ("rebound.example.org", ["10.1.2.3"]),
    "one address of several leads inside": ("both.example.org", ["93.184.216.34", "127.0.0.1"]),
    "a number that is an address": ("2130706433", ["127.0.0.1"]),
    "a short address": ("127.1", ["127.0.0.1"]),
    "a zone": ("zone.example.org", ["fe80::1%eth0"]),
    "a name that leads to IPv4 in IPv6": ("mapped.example.org", ["::ffff:169.254.169.254"]),
    "a wildcard of somebody else's": ("127.0.0.1.nip.example.org", ["127.0.0.1"]),
}  # fmt: skip


@pytest.mark.parametrize("name", RESOLVED)
def test_what_a_name_leads_to_is_looked_at_when_it_is_called(name: str) -> None:
    host, addresses = RESOLVED[name]
    with receiver() as (port, heard):
        with pytest.raises(UnfitAddress, match="public"):
            call(f"https://{host}:{port}/", addresses)
        assert heard == []


def test_an_answer_that_is_no_address_is_refused() -> None:
    with pytest.raises(UnfitAddress):
        check_public("erp.example.org")


def test_all_refusals_of_addresses_sound_alike() -> None:
    said = set()
    for name, url in REFUSED_URLS.items():
        if "[" in url or name in ("loopback", "a private network", "metadata at a public address"):
            with pytest.raises(UnfitAddress) as caught:
                Target.parse(url)
            said.add(str(caught.value))
    assert len(said) == 1


def call(url: str, addresses: Sequence[str], *, seconds: float = 2, allowed: str = "") -> int:
    async def resolved(_host: str, _port: int) -> Sequence[str]:
        return addresses

    async def run() -> int:
        async with open_client() as client:
            target = Target.parse(url, frozenset({allowed} if allowed else ()))
            return await post(client, target, b"{}", {"x": "y"}, seconds=seconds, resolve=resolved)

    return asyncio.run(run())


@contextmanager
def receiver(
    answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n", *, drip: bool = False
) -> Iterator[tuple[int, list[bytes]]]:
    """A socket on this machine that answers with these bytes: its port and what it heard."""
    heard: list[bytes] = []
    is_over = threading.Event()

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                try:
                    heard.append(connection.recv(65536))
                    for at in range(0, len(answer), 1 if drip else len(answer)):
                        connection.sendall(answer[at : at + (1 if drip else len(answer))])
                        if drip and is_over.wait(0.05):
                            break
                except OSError:
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1], heard
        finally:
            is_over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def test_the_connection_goes_to_the_address_that_was_looked_at() -> None:
    with receiver() as (port, heard):
        host = f"erp.example.org:{port}"
        assert call(f"http://{host}/hook?a=1", ["127.0.0.1"], allowed=host) == 204
        (request,) = heard
        assert request.startswith(b"POST /hook?a=1 HTTP/1.1\r\n")
        assert f"\r\nhost: {host}\r\n".encode() in request.lower()


def test_a_redirect_is_not_followed() -> None:
    with receiver() as (inside, heard):
        there = f"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:{inside}/\r\nContent-Length: 0\r\n\r\n"
        with receiver(there.encode()) as (port, _):
            host = f"erp.example.org:{port}"
            assert call(f"http://{host}/", ["127.0.0.1"], allowed=host) == 307
        assert heard == []


def test_a_receiver_that_drips_its_answer_is_left() -> None:
    with receiver(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 10_000, drip=True) as (port, _):
        host = f"erp.example.org:{port}"
        with pytest.raises(CallFailed, match="no answer within"):
            call(f"http://{host}/", ["127.0.0.1"], seconds=0.3, allowed=host)


def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    with receiver(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n" + b"a" * 200_000) as (port, _):
        host = f"erp.example.org:{port}"
        assert call(f"http://{host}/", ["127.0.0.1"], allowed=host) == 200


def test_a_head_without_end_is_a_failure() -> None:
    with receiver(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 2_000_000) as (port, _):
        host = f"erp.example.org:{port}"
        with pytest.raises(CallFailed):
            call(f"http://{host}/", ["127.0.0.1"], allowed=host)


def test_what_is_no_http_is_a_failure_that_tells_nothing_of_it() -> None:
    with receiver(b"SSH-2.0-secret-version\r\n") as (port, _):
        host = f"erp.example.org:{port}"
        with pytest.raises(CallFailed) as caught:
            call(f"http://{host}/", ["127.0.0.1"], allowed=host)
    assert "secret" not in str(caught.value)


def test_a_certificate_is_checked_for_the_name() -> None:
    """A receiver without TLS cannot be mistaken for one with it."""
    with receiver() as (port, _):
        host = f"erp.example.org:{port}"
        with pytest.raises(CallFailed):
            call(f"https://{host}/", ["127.0.0.1"], allowed=host)


def test_nobody_there_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    host = f"erp.example.org:{port}"
    with pytest.raises(CallFailed, match="ConnectError"):
        call(f"http://{host}/", ["127.0.0.1"], allowed=host)
    with pytest.raises(CallFailed, match="nowhere"):
        call(f"http://{host}/", [], allowed=host)
