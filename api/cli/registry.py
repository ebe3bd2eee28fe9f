"""A member's commands on its own keys in the registry: `keys add`, `keys retire`, `keys revoke`, `keys rotate-root`.

Each is signed here by the root key and relayed by the service, which has no say in it.
"""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.gateway import HOME, Gateway, Home, PassphraseFile
from api.cli.terminal import WrongUsage, note, say

if TYPE_CHECKING:
    from ledger_service.keys import Signer
    from ledger_service.mandates import KeyChange

Address = Annotated[str, typer.Argument(help="The key's address, as `keys list` or the service shows it.")]
DEADLINE_SECONDS = 3600


def add_to(keys: typer.Typer) -> None:
    """Add these commands to `keys`."""
    keys.command("add")(add)
    keys.command("entrust")(entrust)
    keys.command("retire")(retire)
    keys.command("revoke")(revoke)
    keys.command("rotate-root")(rotate_root)


def add(
    file: Annotated[Path, typer.Argument(help="Where to write the new key; it must not exist.")],
    purposes: Annotated[str, typer.Option(help="What the key may do, with commas.")] = "events,agreements,login",
    home: Home = HOME,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make another signing key and have it registered; it counts from the next block on."""
    from api.cli import keystore
    from ledger_service.keys import LocalKey, purpose_names, to_hex
    from ledger_service.membership import KeyAdded

    bits = keystore.purposes_named(purposes)
    if file.exists():
        raise WrongUsage(f"{file} exists already: name another file, nothing is overwritten")
    gateway = Gateway(home, passphrase_file)
    secret = keystore.new_secret(os.urandom)
    key = LocalKey.from_bytes(secret)
    # On disk first: a registered key whose secret was lost could only be revoked.
    keystore.write_key(file, secret, gateway.passphrase(), keystore.SIGNING, to_hex(key.address), purpose_names(bits))
    _relay(gateway, KeyAdded(gateway.member(), key.address, bits, custodial=False), _root(gateway))
    say(f"{to_hex(key.address)} is registered for {', '.join(purpose_names(bits))}; its file is {file}")
    if file.resolve() != (home / "signing.json").resolve():
        note(f"commands sign with {home / 'signing.json'}: to sign with the new key, put its file in that place")


def entrust(
    address: Address,
    home: Home = HOME,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Let the service sign events for you with a key that it keeps, until you revoke it.

    Its operator can then sign in your name and hand on your units; whoever checks a statement is told so.
    """
    from ledger_service.keys import EVENTS, from_hex
    from ledger_service.membership import KeyAdded

    gateway = Gateway(home, passphrase_file)
    change = KeyAdded(gateway.member(), from_hex(address, 20, "ADDRESS"), EVENTS, custodial=True)
    _relay(gateway, change, _root(gateway))
    say(f"{address} is registered for events and flagged as custodial")
    note(f"to end it: `tallystick keys revoke {address}`")


def retire(
    address: Address,
    block: Annotated[
        int | None, typer.Option(help="First block at which it no longer counts; the earliest allowed by default.")
    ] = None,
    home: Home = HOME,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Let a key end at a block ahead, as planned: what is anchored before stays good."""
    from ledger_service.keys import from_hex
    from ledger_service.membership import KeyRetired

    gateway = Gateway(home, passphrase_file)
    standing = _standing(gateway)
    # One block more: the transaction itself takes the next.
    _require_another_login(standing["keys"], address)
    earliest = int(standing["head"]["number"]) + 1 + int(standing["retirementBlocks"])
    change = KeyRetired(gateway.member(), from_hex(address, 20, "ADDRESS"), earliest if block is None else block)
    _relay(gateway, change, _root(gateway))
    say(f"{address} counts until block {change.effective_block - 1}")


def revoke(
    address: Address,
    since: Annotated[
        str | None,
        typer.Option(help="When others may have come to use it, such as 2026-09-24T08:00:00+02:00; now by default."),
    ] = None,
    home: Home = HOME,
    passphrase_file: PassphraseFile = None,
) -> None:
    """End a key at once. What is not anchored by then becomes void; what was anchored since --since is disputed.

    The last key that signs in is not revoked before another one is added: nobody could change our keys any more.
    """
    from ledger_service.keys import from_hex, to_hex
    from ledger_service.membership import KeyRevoked

    gateway = Gateway(home, passphrase_file)
    # Never after the newest block: the chain judges it by its own time.
    standing = _standing(gateway)
    _require_another_login(standing["keys"], address)
    known = int(standing["head"]["time"])
    moment = min(int(time.time()), known) if since is None else _seconds(since)
    _relay(gateway, KeyRevoked(gateway.member(), from_hex(address, 20, "ADDRESS"), moment), _root(gateway))
    since_when = datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
    say(f"{address} is revoked; what it signed and was anchored since {since_when} is disputed")
    if to_hex(gateway.signer().address) == address:
        note(f"it was the key in {home / 'signing.json'}: put the file of another one in that place")


def rotate_root(home: Home = HOME, passphrase_file: PassphraseFile = None) -> None:
    """Replace the root key by the next one, and make a new next one. The old root is kept as old-root-….json."""
    from api.cli import keystore
    from ledger_service.keys import LocalKey, keccak, to_hex
    from ledger_service.membership import RootRotated

    gateway = Gateway(home, passphrase_file)
    passphrase = gateway.passphrase()
    coming = home / "coming-root.json"
    # A file left by a rotation that was cut off is used again, so that one run and two end alike.
    if not coming.exists():
        secret = keystore.new_secret(os.urandom)
        address = to_hex(LocalKey.from_bytes(secret).address)
        keystore.write_key(coming, secret, passphrase, keystore.NEXT_ROOT, address, [])
    new_root = keystore.open_signer(home / "next-root.json", passphrase)
    if _standing(gateway)["rootKey"] != to_hex(new_root.address):
        after = keccak(keystore.open_signer(coming, passphrase).address.rjust(32, b"\x00"))
        _relay(gateway, RootRotated(gateway.member(), new_root.address, after), new_root)
    old = home / "root.json"
    old.rename(home / f"old-root-{keystore.KeyFile.read(old).public[2:10]}.json")
    keystore.write_key(old, new_root.secret_bytes, passphrase, keystore.ROOT, to_hex(new_root.address), [])
    coming.replace(home / "next-root.json")
    say(f"the root key is now {to_hex(new_root.address)}; keep root.json and next-root.json apart and offline")


def _relay(gateway: Gateway, change: "KeyChange", root: "Signer") -> None:
    from ledger_service.mandates import key_change

    with gateway.client() as client:
        standing = client.standing(gateway.member())
        deadline = max(int(time.time()), int(standing["head"]["time"])) + DEADLINE_SECONDS
        client.relay(
            key_change(change, nonce=int(standing["nonce"]), deadline=deadline, root=root, domain=client.domain)
        )
    note("the registry has taken it; every checkpoint from now on states it")


def _standing(gateway: Gateway) -> dict[str, Any]:
    with gateway.client() as client:
        return client.standing(gateway.member())


def _require_another_login(keys: list[dict[str, Any]], address: str) -> None:
    """Raise WrongUsage if `address` is the only key left that signs in to the service."""
    left = [one["address"] for one in keys if "login" in one["purposes"] and one["until"] is None]
    if left == [address]:
        raise WrongUsage(
            f"{address} is the only key that signs you in, and without one the service relays nothing for you: add "
            "another first (`keys add`)"
        )


def _root(gateway: Gateway) -> "Signer":
    from api.cli.keystore import open_signer

    path = gateway.home / "root.json"
    if not path.exists():
        raise WrongUsage(f"there is no root key {path}: bring it here from where it is kept offline")
    return open_signer(path, gateway.passphrase())


def _seconds(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise WrongUsage(f"--since {text} is not a time, such as 2026-09-24T08:00:00+02:00") from error
    if moment.tzinfo is None:
        raise WrongUsage(f"--since {text} has no offset: write 2026-09-24T08:00:00+02:00, or Z for UTC")
    return int(moment.timestamp())
