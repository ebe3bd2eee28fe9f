"""Signed events of a usual size, and the bare work that each of them cannot do without."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from multiprocessing import get_context
from time import perf_counter
from typing import Any

import orjson

from ledger_service import keys
from ledger_service.envelope import Envelope
from ledger_service.keys import LocalKey
from ledger_service.statements import Domain, Header, content_root

EVENT_TIME = "2026-09-18T14:10:00.000Z"


def content(number: int, audience: Sequence[str]) -> dict[str, Any]:
    """A shipping event with four pallets of its own: 23 fields, about 1 KB."""
    event = {
        "type": "ObjectEvent",
        "eventID": f"urn:uuid:{number:08x}-0000-4000-8000-000000000000",
        "eventTime": EVENT_TIME,
        "eventTimeZoneOffset": "+02:00",
        "epcList": [f"urn:epc:id:sscc:9521000.4{4 * number + place:09d}" for place in range(4)],
        "action": "OBSERVE",
        "bizStep": "shipping",
        "disposition": "in_transit",
        "readPoint": {"id": "urn:epc:id:sgln:9521000.12345.0"},
        "bizLocation": {"id": "urn:epc:id:sgln:9521000.12345.0"},
        "bizTransactionList": [
            {"type": "desadv", "bizTransaction": f"urn:epcglobal:cbv:bt:9521000000001:{number // 10}"}
        ],
        "sourceList": [{"type": "possessing_party", "source": "urn:epc:id:pgln:9521000.12345"}],
        "destinationList": [{"type": "possessing_party", "destination": "urn:epc:id:pgln:9521002.00001"}],
        "quantityList": [{"epcClass": "urn:epc:class:lgtin:9521000.012345.998877", "quantity": 60}],
    }
    context = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"]
    return {"to": list(audience), "event": event, "context": context}


@dataclass
class Author:
    """A member that signs one event after another, in the `streams` streams of one source by turns.

    `base` is the number of its first event: events of equal number name the same pallets.
    """

    issuer: bytes
    key: LocalKey
    domain: Domain
    audience: tuple[str, ...]
    issued_at: int
    streams: int = 4
    written: int = 0
    source: str = "first"
    base: int = 0

    def write(self, count: int) -> list[bytes]:
        """The next `count` envelopes, as they are sent."""
        made = []
        for number in range(self.written, self.written + count):
            place, sequence = number % self.streams, number // self.streams + 1
            name = f"{self.source} {place} {sequence}".encode()
            envelope = Envelope.seal(
                content(self.base + number, self.audience),
                issuer=self.issuer,
                kind="epcis-event",
                stream=sha256(self.issuer + f"{self.source} {place}".encode()).digest(),
                sequence=sequence,
                issued_at=self.issued_at,
                secret=sha256(self.issuer + b"secret of " + name).digest(),
                signer=self.key,
                domain=self.domain,
            )
            made.append(envelope.data)
        self.written += count
        return made


def bare(items: Sequence[bytes], domain: Domain) -> None:
    """Parse, field tree, digest and recovery of the signer for each envelope: what no ingest can leave out."""
    for data in items:
        value = orjson.loads(data)
        root = content_root(value["content"], bytes.fromhex(value["secret"][2:]))
        header = value["header"]
        digest = Header(
            bytes.fromhex(header["issuer"][2:]),
            header["kind"],
            bytes.fromhex(header["stream"][2:]),
            header["sequence"],
            header["issuedAt"],
            root,
        ).digest(domain)
        keys.recover(digest, bytes.fromhex(value["signature"][2:]))


def bare_rate(items: Sequence[bytes], domain: Domain) -> float:
    """Events per second of `bare` in this one process."""
    start = perf_counter()
    bare(items, domain)
    return len(items) / (perf_counter() - start)


def bare_rate_of_two(items: Sequence[bytes], domain: Domain) -> float:
    """Events per second of `bare` in two processes at once, which is all that two cores can give."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        half = len(items) // 2
        for _ in pool.map(_timed, [items[:50]] * 4, [domain] * 4):
            pass  # both are started
        seconds = list(pool.map(_timed, [items[:half], items[half:]], [domain] * 2))
    return 2 * half / max(seconds)


def _timed(items: Sequence[bytes], domain: Domain) -> float:
    start = perf_counter()
    bare(items, domain)
    return perf_counter() - start
