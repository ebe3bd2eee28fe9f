"""The trust file: what a verifier takes for granted about one ledger, and what that is worth. Pure."""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Self

from ledger_service import canonical
from ledger_service.checkpoint import LOG_KEY, WITNESS_KEY, VerifierKey, check_name
from ledger_service.errors import MalformedInput
from ledger_service.evidence.reader import Reader
from ledger_service.handoffs import CustodyDomain
from ledger_service.keys import from_hex, to_hex
from ledger_service.statements import Domain

TRUST_FORMAT = "tallystick-trust/1"


class Strength(StrEnum):
    """What keeps the operator from having anchored two histories, strongest first."""

    SEALED = "sealed"
    WITNESSED = "witnessed"
    PINNED = "pinned"
    ATTESTED = "attested"


STRENGTH_MEANS = {
    Strength.SEALED: "a quorum of the chain's validators sealed every block",
    Strength.WITNESSED: (
        "members who watch the log and the list of keys for rewriting have cosigned the checkpoint; "
        "that the chain took it, and when, rests on the operator"
    ),
    Strength.PINNED: "the blocks lead to the block that your trust file pins",
    Strength.ATTESTED: "only the operator vouches for the chain: compare checkpoints with other members",
}


@dataclass(frozen=True, slots=True)
class Trust:
    """What a verifier takes for granted about one ledger, from its trust file.

    `validators` are the QBFT validators; `attestor` signs the blocks of an embedded chain; `pinned` is a block's
    (number, hash) that was compared out of band; `witnesses` are members' cosigning keys.
    """

    origin: str
    log_key: VerifierKey
    chain_id: int
    genesis_hash: bytes
    registry: bytes
    registry_code_hash: bytes
    checkpoints: bytes
    checkpoints_code_hash: bytes
    custody: bytes
    custody_code_hash: bytes
    validators: tuple[bytes, ...] = ()
    attestor: bytes | None = None
    pinned: tuple[int, bytes] | None = None
    witnesses: tuple[VerifierKey, ...] = ()

    @property
    def domain(self) -> Domain:
        return Domain(self.chain_id, self.registry)

    @property
    def custody_domain(self) -> CustodyDomain:
        return CustodyDomain(self.chain_id, self.custody)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the trust file in groups of four digits, to be read out over the telephone."""
        digits = sha256(canonical.dump(self.as_json())).hexdigest()
        return " ".join(digits[at : at + 4] for at in range(0, 64, 4))

    def as_json(self) -> dict[str, Any]:
        return {
            "attestor": None if self.attestor is None else to_hex(self.attestor),
            "chain": {"chainId": self.chain_id, "genesisHash": to_hex(self.genesis_hash)},
            "contracts": {
                "CheckpointRegistry": {
                    "address": to_hex(self.checkpoints),
                    "codeHash": to_hex(self.checkpoints_code_hash),
                },
                "CustodyLedger": {"address": to_hex(self.custody), "codeHash": to_hex(self.custody_code_hash)},
                "MemberRegistry": {"address": to_hex(self.registry), "codeHash": to_hex(self.registry_code_hash)},
            },
            "format": TRUST_FORMAT,
            "logKey": self.log_key.text,
            "origin": self.origin,
            "pinned": None if self.pinned is None else {"hash": to_hex(self.pinned[1]), "number": self.pinned[0]},
            "validators": [to_hex(one) for one in self.validators],
            "witnesses": [one.text for one in self.witnesses],
        }

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """The trust file in `data`; raises MalformedInput with the place."""
        top = Reader(canonical.parse(data), "", "trust file")
        top.format(TRUST_FORMAT)
        # A misspelt or forgotten member would quietly trust more than was meant, so each is asked for by name.
        top.only("attestor chain contracts format logKey origin pinned validators witnesses")
        chain, contracts = top.child("chain"), top.child("contracts")
        chain.only("chainId genesisHash")
        contracts.only("CheckpointRegistry CustodyLedger MemberRegistry")
        registry, checkpoints = contracts.child("MemberRegistry"), contracts.child("CheckpointRegistry")
        custody = contracts.child("CustodyLedger")
        registry.only("address codeHash")
        custody.only("address codeHash")
        checkpoints.only("address codeHash")
        log_key = VerifierKey.parse(top.text("logKey"))
        origin = check_name(top.text("origin"))
        if log_key.kind != LOG_KEY or log_key.name != origin:
            raise MalformedInput("the log key is named after the origin and of type 1", "/logKey")
        witnesses = tuple(VerifierKey.parse(one) for one in top.texts("witnesses"))
        if any(one.kind != WITNESS_KEY for one in witnesses):
            raise MalformedInput("a witness key is of type 4 (cosignature/v1)", "/witnesses")
        if len({one.public for one in witnesses}) != len(witnesses) or len({one.name for one in witnesses}) != len(
            witnesses
        ):
            raise MalformedInput("a witness is listed twice", "/witnesses")
        pinned = top.optional("pinned")
        if pinned is not None:
            pinned.only("hash number")
        validators = tuple(from_hex(one, 20, f"/validators/{at}") for at, one in enumerate(top.texts("validators")))
        if len(set(validators)) != len(validators):
            raise MalformedInput("a validator is listed twice", "/validators")
        return cls(
            origin=origin,
            log_key=log_key,
            chain_id=chain.number("chainId"),
            genesis_hash=chain.bytes("genesisHash", 32),
            registry=registry.bytes("address", 20),
            registry_code_hash=registry.bytes("codeHash", 32),
            checkpoints=checkpoints.bytes("address", 20),
            checkpoints_code_hash=checkpoints.bytes("codeHash", 32),
            custody=custody.bytes("address", 20),
            custody_code_hash=custody.bytes("codeHash", 32),
            validators=validators,
            attestor=None if top.value.get("attestor") is None else top.bytes("attestor", 20),
            pinned=None if pinned is None else (pinned.number("number"), pinned.bytes("hash", 32)),
            witnesses=witnesses,
        )
