"""Envelopes: a signed statement with or without its content, as it travels and as it is examined at the door. Pure.

`examine` is the hot path of ingest. It takes bytes and gives plain tuples of bytes, so that worker processes can run
it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from ledger_service import canonical, keys
from ledger_service.errors import LedgerError, MalformedInput
from ledger_service.keys import Signer, from_hex, to_hex
from ledger_service.statements import SECRET_BYTES, Domain, Header, audience, content_root

MAX_ENVELOPE_BYTES = 1 << 20
_KEYS = frozenset({"header", "signature", "content", "secret", "original"})


class ContentMismatch(LedgerError):
    """The content and secret do not give the content root that was signed."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """A statement as its issuer sends it.

    Without `content` and `secret` it is header only: the issuer keeps the content at home. `original` is the source
    text the content was read from; it is kept beside it and not part of what is signed.
    """

    header: Header
    signature: bytes
    content: dict[str, Any] | None = None
    secret: bytes | None = None
    original: str | None = None

    @classmethod
    def seal(
        cls,
        content: dict[str, Any],
        *,
        issuer: bytes,
        kind: str,
        stream: bytes,
        sequence: int,
        issued_at: int,
        secret: bytes,
        signer: Signer,
        domain: Domain,
        original: str | None = None,
    ) -> Self:
        """`content` signed as number `sequence` of `stream`; `secret` is 32 fresh random bytes, used once."""
        audience(content)
        header = Header(issuer, kind, stream, sequence, issued_at, content_root(content, secret))
        return cls(header, signer.sign(header.digest(domain)), content, secret, original)

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The envelope written as a JSON object; raises MalformedInput with the place."""
        return cls.from_json(canonical.parse(data))

    @classmethod
    def from_json(cls, value: Any, where: str = "") -> Self:
        if not isinstance(value, dict) or not value.keys() >= {"header", "signature"} or not value.keys() <= _KEYS:
            raise MalformedInput(
                "an envelope has a header and a signature, and may have content with secret, and original", where
            )
        header = Header.parse(value["header"], f"{where}/header")
        signature = from_hex(value["signature"], keys.SIGNATURE_BYTES, f"{where}/signature")
        if any(one is None for one in value.values()):
            raise MalformedInput("what an envelope does not have is left out, not null", where)
        content, secret, original = value.get("content"), value.get("secret"), value.get("original")
        if (content is None) != (secret is None):
            raise MalformedInput("content and secret come together or not at all", where)
        if content is not None and not isinstance(content, dict):
            raise MalformedInput("content is an object", f"{where}/content")
        if original is not None and (not isinstance(original, str) or content is None):
            raise MalformedInput("original is text and comes with content", f"{where}/original")
        secret = None if secret is None else from_hex(secret, SECRET_BYTES, f"{where}/secret")
        return cls(header, signature, content, secret, original)

    def as_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {"header": self.header.as_json(), "signature": to_hex(self.signature)}
        if self.content is not None and self.secret is not None:
            value |= {"content": self.content, "secret": to_hex(self.secret)}
        if self.original is not None:
            value["original"] = self.original
        return value

    @property
    def data(self) -> bytes:
        """The canonical bytes of the envelope: how it is stored by its issuer and sent."""
        return canonical.dump(self.as_json())

    def verify(self, domain: Domain) -> bytes:
        """The 20-byte address that signed; raises ContentMismatch or BadSignature."""
        self.check_content()
        return keys.recover(self.header.digest(domain), self.signature)

    def check_content(self) -> None:
        """Raise ContentMismatch unless the content, where it came, is what was signed."""
        if self.content is not None and self.secret is not None:
            computed = content_root(self.content, self.secret, "/content")
            if computed != self.header.content_root:
                raise ContentMismatch(
                    f"the content gives the root {computed.hex()}, signed was {self.header.content_root.hex()}: "
                    "a field, the secret or the signature belongs to another statement"
                )


class Examined(NamedTuple):
    """A statement whose content, root and signature fit together; who may sign for whom is not judged here.

    `audience` is None when only the header came. `content` are canonical bytes.
    """

    digest: bytes
    issuer: bytes
    kind: str
    stream: bytes
    sequence: int
    issued_at: int
    content_root: bytes
    signature: bytes
    signer: bytes
    audience: tuple[bytes, ...] | None
    content: bytes | None
    secret: bytes | None
    original: str | None
    packing: Any = None
    """What it says went into what (`custody.lineage.Event`), where it says that."""

    @property
    def header(self) -> Header:
        return Header(self.issuer, self.kind, self.stream, self.sequence, self.issued_at, self.content_root)


class Refusal(NamedTuple):
    """One item that was not taken: its place in the call, and why, for a person."""

    item: int
    error: LedgerError


Check = Callable[[str, Mapping[str, Any] | None], None]
"""Raises MalformedInput unless the content fits the kind; None stands for content that was withheld."""


def examine(data: bytes, domain: Domain, check: Check) -> Examined:
    """The statement in the bytes of one envelope, checked as far as it can be without the registry.

    Raises MalformedInput, ContentMismatch, BadSignature, or what `check` raises.
    """
    if len(data) > MAX_ENVELOPE_BYTES:
        raise MalformedInput(f"an envelope has at most {MAX_ENVELOPE_BYTES} bytes, this one has {len(data)}")
    value = canonical.parse_canonical(data)
    if value is None:
        value = canonical.parse(data)
    envelope = Envelope.from_json(value)
    try:
        envelope.check_content()
    except canonical.MalformedJson:
        canonical.parse(data)  # says it with the literal itself, where there is one
        raise
    header, content = envelope.header, envelope.content
    digest = header.digest(domain)
    signer = keys.recover(digest, envelope.signature)
    members = None if content is None else tuple(audience(content, "/content"))
    check(header.kind, content)
    return Examined(
        digest,
        header.issuer,
        header.kind,
        header.stream,
        header.sequence,
        header.issued_at,
        header.content_root,
        envelope.signature,
        signer,
        members,
        None if content is None else canonical.dump(content),
        envelope.secret,
        envelope.original,
    )
