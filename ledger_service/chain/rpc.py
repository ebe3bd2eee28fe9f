"""The JSON-RPC engine: a node across the network, which may be down, slow, overloaded, replaced or lying.

Whatever is not a well-formed answer to this very question, in time, becomes ChainUnavailable with the reason. Which
chain is answering is looked at when connecting, again on every new connection and after every failure, and before
anything is sent: a node that was wiped or swapped meanwhile is another chain, and is named and refused.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, Self, cast

import requests
import urllib3
from web3.providers import HTTPProvider
from web3.types import RPCEndpoint, RPCResponse

from ledger_service.chain.errors import ChainUnavailable
from ledger_service.chain.evm import EvmChain, Patience
from ledger_service.chain.port import ChainIdentity, Contracts
from ledger_service.chain.wire import Node, NodeRefusal, shown

_CHUNK = 65_536


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds to wait for a connection, and for the whole of an answer; and how large an answer may be, in bytes."""

    connect: float = 5.0
    answer: float = 15.0
    largest_answer: int = 64 * 1024 * 1024


class StrictHTTPProvider(HTTPProvider):
    """web3's HTTP provider, which takes an answer only whole, in time, well-formed, and to the question that was asked.

    Raises ChainUnavailable otherwise. Nothing is tried twice: whether that is safe only the caller knows.
    """

    def __init__(self, url: str, timeouts: Timeouts) -> None:
        session = requests.Session()
        session.trust_env = False  # no proxy and no .netrc decides where a ledger's transactions go
        super().__init__(url, session=session, exception_retry_configuration=None)
        self._url = url
        self._session = session
        self._timeouts = timeouts
        self._ids = count(1)
        self._lock = threading.Lock()
        self.failures = 0

    @property
    def connections(self) -> int:
        """How many connections were made or have failed: another number may mean another node."""
        manager = cast(Any, self._session.get_adapter(self._url)).poolmanager
        pool: urllib3.HTTPConnectionPool = manager.connection_from_url(self._url)
        return pool.num_connections + self.failures

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """The node's answer to one call, error answers included."""
        with self._lock:
            number = next(self._ids)
        question = {"jsonrpc": "2.0", "id": number, "method": method, "params": params or []}
        try:
            return _answer(method, number, self._post(method, json.dumps(question).encode()))
        except ChainUnavailable:
            with self._lock:
                self.failures += 1
            raise

    def _post(self, method: str, body: bytes) -> bytes:
        deadline = time.monotonic() + self._timeouts.answer
        try:
            with self._session.post(
                self._url,
                data=body,
                headers={
                    "Content-Type": "application/json",
                    "Accept": "application/json",
                    "Accept-Encoding": "identity",
                },
                timeout=(self._timeouts.connect, self._timeouts.answer),
                allow_redirects=False,
                stream=True,
            ) as response:
                if response.status_code != requests.codes.ok:
                    raise ChainUnavailable(f"{method}: HTTP {response.status_code} {shown(response.reason)}")
                return self._read(method, response.raw, deadline)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise ChainUnavailable(f"{method}: {type(error).__name__}: {shown(error)}") from error

    def _read(self, method: str, raw: urllib3.HTTPResponse, deadline: float) -> bytes:
        """The whole body. The timeout of a read alone would let a node drip a byte at a time for ever."""
        parts: list[bytes] = []
        size = 0
        while part := raw.read1(_CHUNK):
            size += len(part)
            if size > self._timeouts.largest_answer:
                raise ChainUnavailable(f"{method}: the answer is larger than {self._timeouts.largest_answer} bytes")
            if time.monotonic() > deadline:
                raise ChainUnavailable(f"{method}: the answer took longer than {self._timeouts.answer:g} s")
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def _answer(method: str, number: int, body: bytes) -> RPCResponse:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ChainUnavailable(f"{method}: not JSON: {shown(body[:200].decode(errors='replace'))}") from error
    if not isinstance(answer, dict):
        raise ChainUnavailable(f"{method}: the reply is not an object: {shown(answer)}")
    if answer.get("jsonrpc") != "2.0":
        raise ChainUnavailable(f"{method}: not a JSON-RPC 2.0 reply: {shown(answer)}")
    if answer.get("id") != number or isinstance(answer.get("id"), bool):
        # A node that could not read a request answers with id null; that too is no answer to ours.
        raise ChainUnavailable(f"{method}: the reply is to request {shown(answer.get('id'))}, not to {number}")
    if ("result" in answer) == (answer.get("error") is not None):
        raise ChainUnavailable(f"{method}: a reply has either a result or an error: {shown(answer)}")
    return cast(RPCResponse, answer)


class _WatchedNode(Node):
    """A node that is asked who it is whenever a connection to it is new."""

    def __init__(self, provider: StrictHTTPProvider, check: Callable[[], None]) -> None:
        super().__init__(provider)
        self._http = provider
        self._check = check
        self._lock = threading.RLock()
        self._is_asking = False
        self._recognised = -1

    def ask(self, method: str, *params: Any) -> Any:
        """The result of one call, once it is sure which chain it comes from."""
        try:
            answer = super().ask(method, *params)
        except NodeRefusal:
            self._recognise()
            raise
        self._recognise()
        return answer

    def _recognise(self) -> None:
        if self._http.connections == self._recognised:
            return
        with self._lock:
            if self._is_asking or self._http.connections == self._recognised:
                return  # these are the check's own questions, or another thread has just asked them
            self._is_asking = True
            try:
                self._check()
                self._recognised = self._http.connections
            finally:
                self._is_asking = False


class JsonRpcChain(EvmChain):
    """The Chain port over HTTP JSON-RPC: any node that speaks the standard, Hyperledger Besu for one."""

    def __init__(
        self,
        provider: StrictHTTPProvider,
        contracts: Contracts | None,
        *,
        expected: ChainIdentity | None = None,
        confirmations: int = 0,
        patience: Patience | None = None,
    ) -> None:
        super().__init__(provider, contracts, expected=expected, confirmations=confirmations, patience=patience)
        self._http = provider
        self._node = _WatchedNode(provider, self._before_sending)

    @classmethod
    def connect(
        cls,
        url: str,
        contracts: Contracts | None = None,
        *,
        expected: ChainIdentity | None = None,
        confirmations: int = 0,
        patience: Patience | None = None,
        timeouts: Timeouts | None = None,
    ) -> Self:
        """The chain behind `url`; raises ChainUnavailable, and WrongChain if it is another one than `expected`.

        `expected` names the contracts as well. With neither, the only thing to do is `deploy`.
        """
        if contracts is None and expected is not None:
            contracts = Contracts(expected.registry, expected.checkpoints, expected.custody)
        provider = StrictHTTPProvider(url, timeouts or Timeouts())
        chain = cls(provider, contracts, expected=expected, confirmations=confirmations, patience=patience)
        try:
            chain._before_sending()
        except BaseException:
            chain.close()
            raise
        return chain

    def _before_sending(self) -> None:
        """Raise WrongChain unless this is our chain; before a network is founded, any is."""
        if self._contracts is not None:
            self.check_identity()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
