"""Calls to addresses that members name: to the public internet alone, however the name is spelt or resolved.

A name is resolved here, every address it leads to is looked at, and the connection goes to one of these very addresses,
so that nothing can resolve differently in between. No redirect is followed, no proxy of the environment is used, a
call ends within seconds and little of the answer is read.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx

from ledger_service.errors import LedgerError

MAX_URL = 2_000
MAX_ANSWER_BYTES = 64 << 10
"""Of the answer's body, which nobody needs: beyond it the connection is closed."""
MAX_ADDRESSES = 3
"""Addresses of one name that are tried before the call has failed."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses that a host's name leads to; raises OSError."""

_OF_PROVIDERS = frozenset({"168.63.129.16", "192.0.0.192", "169.254.169.254", "100.100.100.200", "fd00:ec2::254"})
"""Where hosting providers tell machines their secrets; not all of these are in private ranges."""
_TRANSITION = tuple(
    ipaddress.IPv6Network(one) for one in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")
)
"""IPv6 addresses that stand for an IPv4 address, which may be any (RFC 4291, 6052, 8215, 4380, 3056)."""


class UnfitAddress(LedgerError):
    """An address that is not called from here."""


class CallFailed(LedgerError):
    """The receiver could not be reached, or did not answer in time; it may have got what was sent."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address that may be called: https, or one of those that the operator allows by name."""

    url: httpx.URL
    is_allowed: bool

    @classmethod
    def parse(cls, text: str, allowed: frozenset[str] = frozenset()) -> "Target":
        """The target at the URL `text`; `allowed` are `host:port` that may be private and without TLS.

        Raises UnfitAddress, also for an address in the URL that is not public. What a name leads to is looked at when
        it is called.
        """
        if len(text) > MAX_URL or not text.isascii() or any(not "!" <= letter <= "~" for letter in text):
            raise UnfitAddress(f"a URL has at most {MAX_URL} printable ASCII characters")
        if "\\" in text or "#" in text:
            raise UnfitAddress("a URL to call has no backslash and no fragment")
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL as error:
            raise UnfitAddress(f"this is no URL: {error}") from error
        if url.userinfo:
            raise UnfitAddress("put no name or password into the URL: deliveries are signed")
        if not url.host:
            raise UnfitAddress("the URL names no host")
        port = {"https": 443, "http": 80}.get(url.scheme, 0) if url.port is None else url.port
        if url.scheme not in ("https", "http"):
            raise UnfitAddress("only https is called: the URL begins with https://")
        if not 0 < port < 65536:
            raise UnfitAddress("a port is a number from 1 to 65535")
        is_allowed = f"{url.host}:{port}" in allowed
        if url.scheme != "https" and not (url.scheme == "http" and is_allowed):
            raise UnfitAddress("only https is called: the URL begins with https://")
        target = cls(url, is_allowed)
        if not is_allowed and (literal := _literal(url.host)) is not None:
            check_public(str(literal))
        return target

    @property
    def host(self) -> str:
        return self.url.host

    @property
    def port(self) -> int:
        return self.url.port or (443 if self.url.scheme == "https" else 80)


def check_public(address: str) -> None:
    """Raise UnfitAddress unless the IP address is one of the public internet's."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError as error:
        raise UnfitAddress("its name leads to no address that is public") from error
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    is_odd = isinstance(found, ipaddress.IPv6Address) and (
        found.scope_id is not None or found.is_site_local or any(found in one for one in _TRANSITION)
    )
    # One answer for all of them: what stands where in a private network is nobody's business.
    if is_odd or not found.is_global or found.is_multicast or found.is_reserved or str(found) in _OF_PROVIDERS:
        raise UnfitAddress("its name leads to no address that is public")


async def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a host by the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(place[0]) for *_, place in found))


def open_client() -> httpx.AsyncClient:
    """The client to call with: nothing of the environment, and no connection is used for two calls.

    One that was opened for one name must not serve another name at the same address.
    """
    return httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113 - `post` bounds the whole of it
        limits=httpx.Limits(max_keepalive_connections=0),
    )


async def post(
    client: httpx.AsyncClient,
    target: Target,
    body: bytes,
    headers: Mapping[str, str],
    *,
    seconds: float,
    resolve: Resolve = resolve,
) -> int:
    """The status that `target` answered `body` with, within so many seconds; raises CallFailed, UnfitAddress."""
    try:
        async with asyncio.timeout(seconds):
            return await _post(client, target, body, headers, resolve)
    except TimeoutError as error:
        raise CallFailed(f"no answer within {seconds:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, UnicodeError) as error:
        # Its kind alone: texts of the libraries below may tell more of the network than the member should know.
        raise CallFailed(f"no answer: {type(error).__name__}") from error


async def _post(
    client: httpx.AsyncClient, target: Target, body: bytes, headers: Mapping[str, str], resolve: Resolve
) -> int:
    addresses = [target.host] if _literal(target.host) is not None else await resolve(target.host, target.port)
    if not addresses:
        raise CallFailed("its name leads nowhere")
    if not target.is_allowed:
        for address in addresses:
            check_public(address)
    last: httpx.TransportError | None = None
    for address in addresses[:MAX_ADDRESSES]:
        try:
            return await _post_to(client, target, address, body, headers)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            last = error
    assert last is not None
    raise last


async def _post_to(
    client: httpx.AsyncClient, target: Target, address: str, body: bytes, headers: Mapping[str, str]
) -> int:
    # The certificate is checked for the name, though the connection goes to the address.
    extensions = {} if _literal(target.host) is not None else {"sni_hostname": target.host}
    request = client.build_request(
        "POST",
        target.url.copy_with(host=address),
        content=body,
        headers={**headers, "Host": target.url.netloc.decode("ascii")},
        extensions=extensions,
    )
    answer = await client.send(request, stream=True)
    try:
        size = 0
        async for part in answer.aiter_raw():
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                break
        return answer.status_code
    finally:
        await answer.aclose()


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
