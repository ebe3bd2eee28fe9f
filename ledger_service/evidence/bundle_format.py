"""What a bundle is made of, and how it is read and written. Pure; byte for byte in `docs/formats.md`, section 6."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from ledger_service import canonical
from ledger_service.checkpoint import Note, from_base64, to_base64
from ledger_service.errors import MalformedInput
from ledger_service.evidence.custody_format import CustodySection
from ledger_service.evidence.reader import Reader
from ledger_service.keys import SIGNATURE_BYTES, bytes_from_hex, to_hex
from ledger_service.membership import Change
from ledger_service.statements import DisclosedField, Header

BUNDLE_FORMAT = "tallystick-bundle/1"
RECEIPT_FORMAT = "tallystick-receipt/1"


@dataclass(frozen=True, slots=True)
class AnchorProof:
    """How a checkpoint of the log got onto the chain: the block that took it and the receipt in that block.

    `consistency` leads from this checkpoint to the head of the bundle it is part of. `transaction_hash` is where to
    look on the chain; it is no part of what a receipt proves, and nothing rests on it.
    """

    size: int
    root: bytes
    consistency: tuple[bytes, ...]
    transaction_hash: bytes
    header: bytes
    receipt_index: int
    receipt_proof: tuple[bytes, ...]
    attestation: bytes | None

    def as_json(self) -> dict[str, Any]:
        return {
            "attestation": None if self.attestation is None else to_hex(self.attestation),
            "consistency": [to_base64(one) for one in self.consistency],
            "header": to_hex(self.header),
            "receiptIndex": self.receipt_index,
            "receiptProof": [to_hex(one) for one in self.receipt_proof],
            "root": to_base64(self.root),
            "size": self.size,
            "transaction": to_hex(self.transaction_hash),
        }

    @classmethod
    def read(cls, value: Any, where: str) -> Self:
        reader = Reader(value, where, "anchor")
        reader.only("attestation consistency header receiptIndex receiptProof root size transaction")
        return cls(
            size=reader.number("size"),
            root=from_base64(reader.text("root"), 32),
            consistency=tuple(from_base64(one, 32) for one in reader.texts("consistency")),
            transaction_hash=reader.bytes("transaction", 32),
            header=reader.bytes("header"),
            receipt_index=reader.number("receiptIndex"),
            receipt_proof=tuple(
                bytes_from_hex(one, f"{where}/receiptProof/{at}") for at, one in enumerate(reader.texts("receiptProof"))
            ),
            attestation=None
            if reader.value.get("attestation") is None
            else reader.bytes("attestation", SIGNATURE_BYTES),
        )


@dataclass(frozen=True, slots=True)
class ProvenStatement:
    """A statement as a bundle shows it: always its header, its signature and its place; its content as far as granted.

    Without `content` and `disclosed` the content was withheld, or, as the operator says, erased at `erased_at` (ms).
    `void` says why it counts for nothing though its place is proven; `verify_bundle` works the same out by itself and
    refuses a bundle that says otherwise (docs/decisions/0006).
    """

    header: Header
    signature: bytes
    registered_at: int
    index: int
    inclusion: tuple[bytes, ...]
    content: dict[str, Any] | None = None
    secret: bytes | None = None
    disclosed: tuple[DisclosedField, ...] = ()
    erased_at: int | None = None
    void: str | None = None

    @property
    def showing(self) -> str:
        """How much of the content is shown, in one word."""
        if self.content is not None:
            return "shown"
        if self.disclosed:
            return "disclosed"
        return "erased" if self.erased_at is not None else "withheld"

    def as_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "header": self.header.as_json(),
            "inclusion": [to_base64(one) for one in self.inclusion],
            "index": self.index,
            "registeredAt": self.registered_at,
            "signature": to_hex(self.signature),
        }
        if self.content is not None and self.secret is not None:
            value |= {"content": self.content, "secret": to_hex(self.secret)}
        if self.disclosed:
            value["disclosed"] = [one.as_json() for one in self.disclosed]
        if self.erased_at is not None:
            value["erasedAt"] = self.erased_at
        if self.void is not None:
            value["void"] = self.void
        return value

    @classmethod
    def read(cls, value: Any, where: str) -> Self:
        reader = Reader(value, where, "statement")
        reader.only("header inclusion index registeredAt signature", "content secret disclosed erasedAt void")
        content, disclosed = reader.value.get("content"), reader.value.get("disclosed", [])
        if content is not None and not isinstance(content, dict):
            raise MalformedInput("content is an object", f"{where}/content")
        if not isinstance(disclosed, list):
            raise MalformedInput("disclosed is a list of fields", f"{where}/disclosed")
        if (content is None) != (reader.value.get("secret") is None):
            raise MalformedInput("content and secret come together or not at all", where)
        if sum(reader.value.get(one) is not None for one in ("content", "disclosed", "erasedAt")) > 1:
            raise MalformedInput("content is shown whole, or in fields, or was erased", where)
        return cls(
            header=Header.parse(reader.value.get("header"), f"{where}/header"),
            signature=reader.bytes("signature", SIGNATURE_BYTES),
            registered_at=reader.number("registeredAt"),
            index=reader.number("index"),
            inclusion=tuple(from_base64(one, 32) for one in reader.texts("inclusion")),
            content=content,
            secret=None if content is None else reader.bytes("secret", 32),
            disclosed=tuple(DisclosedField.parse(one, f"{where}/disclosed/{i}") for i, one in enumerate(disclosed)),
            erased_at=None if reader.value.get("erasedAt") is None else reader.number("erasedAt"),
            void=None if reader.value.get("void") is None else reader.text("void"),
        )


@dataclass(frozen=True, slots=True)
class StreamSpan:
    """The numbers of a stream that a bundle claims to hold without a gap, both ends included."""

    stream: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Bundle:
    """Statements with everything a stranger needs to judge them; a receipt is a bundle of one statement.

    `changes` are all membership and key changes up to the newest anchor. `headers` are consecutive block headers up to
    a block that a trust file may pin, empty where none was asked for. `custody` makes it the record of some things.
    """

    head: Note
    statements: tuple[ProvenStatement, ...]
    streams: tuple[StreamSpan, ...]
    anchors: tuple[AnchorProof, ...]
    changes: tuple[Change, ...]
    headers: tuple[bytes, ...] = ()
    format: str = BUNDLE_FORMAT
    custody: CustodySection | None = None

    def as_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {
            "anchors": [one.as_json() for one in self.anchors],
            "changes": changes_as_json(self.changes),
            "format": self.format,
            "head": str(self.head),
            "headers": [to_hex(one) for one in self.headers],
            "statements": [one.as_json() for one in self.statements],
            "streams": [{"first": one.first, "last": one.last, "stream": to_hex(one.stream)} for one in self.streams],
        }
        return value if self.custody is None else value | {"custody": self.custody.as_json()}

    @property
    def data(self) -> bytes:
        return canonical.dump(self.as_json())

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The bundle or receipt in `data`; raises MalformedInput with the place."""
        top = Reader(canonical.parse(data), "", "bundle")
        kind = top.format(BUNDLE_FORMAT, RECEIPT_FORMAT)
        top.only("anchors changes format head headers statements streams", "custody")
        changes = read_changes(top.value.get("changes"), "/changes")
        spans = []
        for where, value in top.items("streams"):
            one = Reader(value, where, "stream")
            one.only("first last stream")
            spans.append(StreamSpan(one.bytes("stream", 32), one.number("first"), one.number("last")))
        return cls(
            head=Note.parse(top.text("head")),
            statements=tuple(ProvenStatement.read(value, where) for where, value in top.items("statements")),
            streams=tuple(spans),
            anchors=tuple(AnchorProof.read(value, where) for where, value in top.items("anchors")),
            changes=changes,
            headers=tuple(bytes_from_hex(one, f"/headers/{at}") for at, one in enumerate(top.texts("headers"))),
            format=kind,
            custody=CustodySection.read(top.value["custody"], "/custody") if "custody" in top.value else None,
        )


def changes_as_json(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Membership changes as bundles and the service write them."""
    return [
        {
            "blockNumber": one.block_number,
            "blockTime": one.block_time,
            "data": to_hex(one.data),
            "index": one.index,
            "kind": one.kind,
        }
        for one in changes
    ]


def read_changes(value: Any, where: str = "") -> tuple[Change, ...]:
    """The membership changes in a JSON list; raises MalformedInput with the place."""
    changes = []
    for place, item in Reader({"changes": value}, where.removesuffix("/changes"), "list").items("changes"):
        one = Reader(item, place, "change")
        one.only("blockNumber blockTime data index kind")
        changes.append(
            Change(
                one.number("index"),
                one.number("blockNumber"),
                one.number("blockTime"),
                one.number("kind"),
                one.bytes("data"),
            )
        )
    return tuple(changes)
