"""One life of a ledger, told so that it can be cut off anywhere and told again from the start.

Everything in it is deterministic: statements told again have the same bytes, so registering them twice is registering
them once. What was acknowledged is noted in a file that is synced before the next thing happens.
"""

import os
from collections.abc import Callable
from pathlib import Path

from ledger_service import keys
from ledger_service.chain.errors import TransactionRefused
from ledger_service.keys import to_hex
from ledger_service.mandates import key_change
from ledger_service.membership import KeyAdded
from tests.consortium import Consortium, event, key, member_id, witness
from tests.relay import Parties, relaying

ACKNOWLEDGED = "acknowledged"
BATCHES = 3
BATCH = 7


def live(folder: Path, steps: Callable[[str], None]) -> None:
    """The whole life: batches of two issuers, a new key, a late and a forked number, units that are opened, handed on
    and certified, witnesses, an erasure.
    """
    consortium = Consortium(folder, steps=steps)
    ledger = consortium.ledger
    for batch in range(BATCHES):
        first = batch * BATCH + 1
        envelopes = [
            consortium.envelope(
                issuer, ("nordrand",), sequence=number, issued_at=consortium.clock.now, content=event(number)
            )
            for issuer in ("duero", "havelmark")
            for number in range(first, first + BATCH)
            if number != 3
        ]
        _note(folder, [one.digest for one in consortium.register(*envelopes).accepted])
        if batch == 1:
            _add_key(consortium)
            consortium.publish()
            late = consortium.envelope("duero", ("nordrand",), sequence=3, content=event(3), signer=key("duero second"))
            _note(folder, [consortium.register(late).accepted[0].digest])
            forked = consortium.envelope("duero", ("nordrand",), sequence=4, content=event(999))
            assert consortium.register(forked, keep_good=True).refused
        if batch != 1:
            consortium.publish()
    _relay(consortium, folder, steps)
    consortium.publish()
    note = ledger.anchoring.note()
    for name in ("havelmark", "duero"):
        key_of_witness = witness(name)
        line = key_of_witness.sign(note.text, consortium.clock.seconds()).line
        size = ledger.anchoring.checkpoint_size
        ledger.cosign(size, line, [key_of_witness.verifier], consortium.clock.now)
    erased = consortium.envelope("havelmark", ("nordrand",), sequence=5, content=event(5))
    ledger.erase(erased.header.digest(ledger.domain), consortium.clock.now)
    consortium.close()


def acknowledged(folder: Path) -> set[str]:
    """The digests whose registration, and the struct hashes of the steps whose submission, was answered before the
    power failed.
    """
    path = folder / ACKNOWLEDGED
    return set(path.read_text().split()) if path.exists() else set()


def _relay(consortium: Consortium, folder: Path, steps: Callable[[str], None]) -> None:
    """Two units opened and handed on, one of them twice, the other to two at once; a certificate over both."""
    relay = relaying(consortium, steps=steps)
    now = consortium.clock.now
    parties = Parties(relay.domain, now // 1000)
    opened = [parties.open("foundry"), parties.open("forge")]
    first, second = opened[0].unit, opened[1].unit
    giver = parties.holders[second]
    rivals = [parties.hand(second, name, giver=giver, sequence=1) for name in ("gearbox", "carrier")]
    handed = [parties.hand(first), parties.hand(first, "assembly"), *rivals]
    relay.submit([*opened, *handed], now)
    _note(folder, [one.struct_hash for one in (*opened, *handed)])
    for _ in range(4):
        relay.run(now)
    assert [len(taken) for taken in relay.taken([first, second]).values()] == [3, 2]
    relay.certify([first, second], now)


def _note(folder: Path, digests: list[bytes]) -> None:
    with (folder / ACKNOWLEDGED).open("a") as file:
        file.write("".join(to_hex(one) + "\n" for one in digests))
        file.flush()
        os.fsync(file.fileno())


def _add_key(consortium: Consortium) -> None:
    ledger = consortium.ledger
    change = KeyAdded(member_id("duero"), key("duero second").address, keys.EVENTS, custodial=False)
    deadline = consortium.clock.seconds() + 86_400
    mandate = key_change(change, nonce=0, deadline=deadline, root=key("duero root"), domain=ledger.domain)
    try:
        ledger.anchoring.chain.relay(mandate.function, mandate.arguments, key("relayer"))
    except TransactionRefused as error:
        if error.reason != "WrongNonce":  # told again: the key is there already
            raise
    ledger.anchoring.refresh()
