"""A member's keys in files: Web3 Secret Storage (version 3, scrypt), each with a note of what it is for."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from api.cli.terminal import WrongUsage
from api.keyfiles import SCRYPT_COST, read_key_file, write_key_file
from ledger_service import keys
from ledger_service.checkpoint import WITNESS_KEY, NoteKey
from ledger_service.errors import MalformedInput
from ledger_service.keys import GROUP_ORDER, LocalKey, keccak, to_hex

ROOT, NEXT_ROOT, SIGNING, WITNESS = "root", "next-root", "signing", "witness"
USES = {
    ROOT: "changes this member's keys; keep it offline",
    NEXT_ROOT: "becomes the root key if that is lost or replaced; keep it offline, elsewhere",
    SIGNING: "signs statements and logs in",
    WITNESS: "cosigns checkpoints (Ed25519)",
}


CUSTODY_SEED = "custody-seed"
"""Not among the keys: it signs nothing itself and is made when custody begins."""


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key file as anybody may see it: no secret. `public` is an address, or a witness's C2SP key."""

    path: Path
    use: str
    public: str
    purposes: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "KeyFile":
        """What `path` says about itself; raises MalformedInput."""
        try:
            value = orjson.loads(path.read_bytes())
            about = value.get("tallystick", {})
            public = about.get("public") or "0x" + str(value["address"]).removeprefix("0x")
            return cls(path, str(about.get("use", SIGNING)), str(public), tuple(about.get("purposes", ())))
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise MalformedInput(f"{path} is not a Web3 key file") from error


def read_passphrase(file: Path | None, environment: Mapping[str, str], *, twice: bool = False) -> bytes:
    """The passphrase of a member's keys: from `file`, TALLYSTICK_KEY_PASSPHRASE(_FILE), or whoever sits at the
    terminal.
    """
    named = file or (Path(found) if (found := environment.get("TALLYSTICK_KEY_PASSPHRASE_FILE")) else None)
    if named is not None:
        return named.read_bytes().rstrip(b"\r\n")
    if (text := environment.get("TALLYSTICK_KEY_PASSPHRASE")) is not None:
        return text.encode()
    if not sys.stdin.isatty():
        raise WrongUsage(
            "name the file that holds the passphrase: --passphrase-file, or TALLYSTICK_KEY_PASSPHRASE_FILE"
        )
    from getpass import getpass

    first = getpass("Passphrase of the keys: ")
    if twice and getpass("Once more: ") != first:
        raise WrongUsage("the two passphrases differ")
    if not first:
        raise WrongUsage("an empty passphrase protects nothing")
    return first.encode()


def make_keys(
    folder: Path,
    *,
    name: str,
    did: str,
    identifiers: tuple[str, ...],
    purposes: int,
    is_witness: bool,
    passphrase: bytes,
    random: Callable[[int], bytes],
    scrypt_cost: int = SCRYPT_COST,
) -> dict[str, Any]:
    """New keys in `folder`, and the public facts that the founders of a network need (`member.json`).

    Raises WrongUsage where there are keys already.
    """
    if any((folder / f"{use}.json").exists() for use in USES):
        raise WrongUsage(f"{folder} holds keys already: name another folder, nothing is overwritten")
    made = {use: new_secret(random) for use in (ROOT, NEXT_ROOT, SIGNING)}
    addresses = {use: LocalKey.from_bytes(secret).address for use, secret in made.items()}
    facts: dict[str, Any] = {
        "name": name,
        "did": did,
        "identifiers": list(identifiers),
        "voting": True,
        "rootKey": to_hex(addresses[ROOT]),
        "nextRootHash": to_hex(keccak(addresses[NEXT_ROOT].rjust(32, b"\x00"))),
        "keys": [{"address": to_hex(addresses[SIGNING]), "purposes": keys.purpose_names(purposes), "custodial": False}],
    }
    for use, secret in made.items():
        public = to_hex(addresses[use])
        held = keys.purpose_names(purposes) if use == SIGNING else []
        write_key(folder / f"{use}.json", secret, passphrase, use, public, held, scrypt_cost)
    if is_witness:
        secret = random(32)
        host = did.removeprefix("did:web:").replace(":", "/")
        vkey = NoteKey(f"witness.{host}", WITNESS_KEY, secret).verifier.text
        write_key(folder / f"{WITNESS}.json", secret, passphrase, WITNESS, vkey, [], scrypt_cost)
        facts["witness"] = vkey
    (folder / "member.json").write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2) + b"\n")
    return facts


def purposes_named(names: str) -> int:
    """The bits of the purposes in a list with commas; raises WrongUsage."""
    unknown = [one for one in names.split(",") if one not in keys.PURPOSES]
    if unknown:
        raise WrongUsage(f"--purposes {unknown[0]} is unknown; there are {', '.join(keys.PURPOSES)}")
    return sum(keys.PURPOSES[one] for one in set(names.split(",")))


def open_signer(path: Path, passphrase: bytes) -> LocalKey:
    """The secp256k1 key in `path`; raises NoKeyFile, WrongPassphrase or MalformedInput."""
    return LocalKey.from_bytes(read_key_file(path, passphrase))


def open_secret(path: Path, passphrase: bytes) -> bytes:
    """The 32 bytes in the file of a custody seed; raises MalformedInput where it is some other file."""
    about = KeyFile.read(path)
    if about.use != CUSTODY_SEED:
        raise MalformedInput(f"{path} is a {about.use} key, and no custody seed")
    return read_key_file(path, passphrase)


def open_witness(path: Path, passphrase: bytes) -> NoteKey:
    """The witness key in `path`, under the name it was made with."""
    about = KeyFile.read(path)
    if about.use != WITNESS:
        raise MalformedInput(f"{path} is a {about.use} key, not a witness's")
    key = NoteKey(about.public.split("+")[0], WITNESS_KEY, read_key_file(path, passphrase))
    if key.verifier.text != about.public:
        raise MalformedInput(f"{path} holds another key than it says")
    return key


def new_secret(random: Callable[[int], bytes]) -> bytes:
    """A fresh secp256k1 secret."""
    while True:
        secret = random(32)
        if 0 < int.from_bytes(secret) < GROUP_ORDER:
            return secret


def write_key(
    path: Path,
    secret: bytes,
    passphrase: bytes,
    use: str,
    public: str,
    purposes: list[str],
    scrypt_cost: int = SCRYPT_COST,
) -> None:
    """Write a key file with its note of what it is for."""
    about = {"use": use, "public": public, "purposes": purposes}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_key_file(path, secret, passphrase, scrypt_cost, about)
