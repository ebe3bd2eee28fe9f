"""Transactions: EIP-1559 (type 2), signed by anything that can sign a digest."""

from dataclasses import dataclass

from ledger_service.blocks import MalformedRlp, decode_rlp, encode_integer, encode_rlp
from ledger_service.chain.errors import MalformedTransaction
from ledger_service.chain.port import SignedTransaction
from ledger_service.keys import BadSignature, Signer, keccak, recover

_TYPE = b"\x02"
_FIELDS = 12


@dataclass(frozen=True, slots=True)
class Fees:
    """What a transaction offers per unit of gas, in wei (EIP-1559)."""

    most: int
    priority: int


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction before it is signed; `to` is empty where it creates a contract. Value is always nought."""

    chain_id: int
    nonce: int
    fees: Fees
    gas: int
    to: bytes
    data: bytes

    def sign(self, key: Signer) -> SignedTransaction:
        """This transaction, signed by `key`, which must sign for the address it names."""
        fields = (
            encode_integer(self.chain_id),
            encode_integer(self.nonce),
            encode_integer(self.fees.priority),
            encode_integer(self.fees.most),
            encode_integer(self.gas),
            self.to,
            b"",
            self.data,
            (),
        )
        digest = keccak(_TYPE + encode_rlp(fields))
        signature = key.sign(digest)
        if recover(digest, signature) != key.address:
            raise BadSignature(f"the signer did not sign as 0x{key.address.hex()}")
        r, s, v = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64]), signature[64]
        raw = _TYPE + encode_rlp((*fields, encode_integer(v - 27), encode_integer(r), encode_integer(s)))
        return SignedTransaction(raw, keccak(raw), self.nonce, key.address)


def read_transaction(raw: bytes) -> tuple[Transaction, SignedTransaction]:
    """What `raw` asks for, and who signed it. Raises MalformedTransaction if it is anything but one we could sign."""
    try:
        fields = decode_rlp(raw[1:])
        if raw[:1] != _TYPE or not isinstance(fields, tuple) or len(fields) != _FIELDS:
            raise MalformedTransaction("not an EIP-1559 transaction")
        strings = tuple(field for field in fields if isinstance(field, bytes))
        if len(strings) != _FIELDS - 1 or fields[8] != () or strings[6]:
            raise MalformedTransaction("a transaction of ours moves no value and has no access list")
        chain_id, nonce, priority, most, gas = map(int.from_bytes, strings[:5])
        y_parity, r, s = map(int.from_bytes, strings[8:])
        digest = keccak(_TYPE + encode_rlp(fields[:9]))
        sender = recover(digest, r.to_bytes(32) + s.to_bytes(32) + bytes([27 + y_parity]))
    except (MalformedRlp, BadSignature, OverflowError, ValueError) as error:
        raise MalformedTransaction(str(error)) from error
    transaction = Transaction(chain_id, nonce, Fees(most, priority), gas, strings[5], strings[7])
    return transaction, SignedTransaction(raw, keccak(raw), nonce, sender)


def created_address(sender: bytes, nonce: int) -> bytes:
    """Where the contract stands that `sender` creates with `nonce`."""
    return keccak(encode_rlp((sender, encode_integer(nonce))))[12:]
