"""Capture: EPCIS events signed by the service for members that asked it to keep their key.

Streams are made per member, source and audience; their ids and the statements' secrets are the service's to choose.
"""

import asyncio
import hmac
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from api.keyfiles import read_key_file
from api.network import ServiceKeys
from api.problems import NotCustodial
from ledger_service.envelope import Envelope
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.intake import epcis
from ledger_service.intake.epcis import EpcisEvent, RefusedEvent
from ledger_service.keys import EVENTS, LocalKey, from_hex, to_hex
from ledger_service.ledger import Ledger, UnknownStatement
from ledger_service.membership import KeyNotValid

Read = EpcisEvent | RefusedEvent


class Custodian:
    """The keys that the service keeps for members, by member id."""

    def __init__(self, keys: Mapping[bytes, LocalKey], streams: bytes, randomness: Callable[[int], bytes]) -> None:
        self._keys = dict(keys)
        self._streams = streams
        self._randomness = randomness
        self.lane = asyncio.Lock()
        """Held from numbering statements to their registration, so that no number is given twice."""

    @property
    def members(self) -> list[bytes]:
        """The members for whom a key is kept."""
        return sorted(self._keys)

    @classmethod
    def unlock(
        cls, folder: Path, service: ServiceKeys, passphrase: bytes | None, randomness: Callable[[int], bytes]
    ) -> "Custodian":
        """The keys in `folder`, one file `<member id>.json` each, opened with the service's passphrase."""
        files = sorted(folder.glob("0x*.json")) if folder.is_dir() else []
        if files and passphrase is None:
            raise LedgerError(f"{folder} holds keys and no passphrase is set")
        opened = {from_hex(one.stem, 32): LocalKey.from_bytes(read_key_file(one, passphrase or b"")) for one in files}
        return cls(opened, service.derive("custodial streams"), randomness)

    def key_of(self, member: bytes, ledger: Ledger) -> LocalKey:
        """The key kept for `member`; raises NotCustodial unless the chain knows it as its custodial key, valid now."""
        key = self._keys.get(member)
        membership, block = ledger.anchoring.membership, ledger.anchoring.next_block
        if key is not None:
            known = membership.keys.get(key.address)
            if known is not None and known.custodial:
                try:
                    membership.check_signer(key.address, member, EVENTS, block)
                except KeyNotValid as error:
                    raise NotCustodial(f"the key kept here for you does not count: {error.reason}") from error
                return key
        raise NotCustodial(
            "the service keeps no key of yours: sign at home with `tallystick sign` and send the envelopes to "
            "/v1/statements/batch"
        )

    def stream_of(self, member: bytes, source: str, audience: Sequence[bytes]) -> bytes:
        """The id of the stream of one member, source and audience: the same each time, and to others like any other."""
        name = b"\x00".join([member, source.encode(), b"".join(audience)])
        return hmac.digest(self._streams, name, "sha256")

    def seal(
        self,
        ledger: Ledger,
        member: bytes,
        audience: Sequence[bytes],
        source: str,
        events: Sequence[EpcisEvent],
        now: int,
    ) -> list[bytes]:
        """`events` as signed envelopes under the next numbers of their stream; hold the `lane` until they are
        registered.
        """
        key = self.key_of(member, ledger)
        stream = self.stream_of(member, source, audience)
        try:
            highest = ledger.stream(stream).highest
        except UnknownStatement:
            highest = 0
        to = [to_hex(one) for one in audience]
        return [
            Envelope.seal(
                epcis.content(event, to),
                issuer=member,
                kind="epcis-event",
                stream=stream,
                sequence=highest + number,
                issued_at=now,
                secret=self._randomness(32),
                signer=key,
                domain=ledger.domain,
                original=event.original,
            ).data
            for number, event in enumerate(events, 1)
        ]

    def seal_fact(
        self,
        ledger: Ledger,
        member: bytes,
        audience: Sequence[bytes],
        source: str,
        kind: str,
        content: Mapping[str, Any],
        now: int,
        *,
        after: int = 0,
    ) -> bytes:
        """One statement of `kind`, signed for `member`, under the next number of its stream, or `after` so many that
        are sealed already; hold the `lane` until they are registered.
        """
        key = self.key_of(member, ledger)
        stream = self.stream_of(member, source, audience)
        try:
            highest = ledger.stream(stream).highest
        except UnknownStatement:
            highest = 0
        return Envelope.seal(
            dict(content),
            issuer=member,
            kind=kind,
            stream=stream,
            sequence=highest + after + 1,
            issued_at=now,
            secret=self._randomness(32),
            signer=key,
            domain=ledger.domain,
        ).data


def audience_of(text: str) -> list[bytes]:
    """The member ids in the parameter `to`, which separates them by commas; sorted, each once."""
    if not text:
        return []
    if len(text) > 256 * 67:
        raise MalformedInput("at most 256 members", "/query/to")
    return sorted({from_hex(one.strip(), 32, "/query/to") for one in text.split(",")})
