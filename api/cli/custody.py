"""A member's custody commands: units opened, offered, taken over and closed, each signed in the member's own folder.

custody-seed.json   the secret that all one-time addresses come from, encrypted; lost seed, lost custody
outbox.sqlite       what was signed, which addresses were used, what waits for a person
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from api.cli.gateway import HOME, Gateway, Home, Json, PassphraseFile
from api.cli.record import label
from api.cli.terminal import REFUSED, WrongUsage, complain, note, say, say_json, table

if TYPE_CHECKING:
    from api.client import LedgerClient
    from api.gateway import CustodyGateway, Pushed

SEED_FILE = "custody-seed.json"
Url = Annotated[str | None, typer.Option(help="Another address of the service.")]
To = Annotated[
    list[str] | None, typer.Option(help="Who else may see it: a member's name, DID, identifier or id; may be repeated.")
]
Despatch = Annotated[str, typer.Argument(help="The offer: the number of its despatch, such as DN-1001, or its id.")]
Tolerance = Annotated[
    str, typer.Option(help="The share by which quantities may deviate without a person, such as 0.02.")
]


def add_to(app: typer.Typer) -> typer.Typer:
    """Add these commands to the program; the group `custody`, for more of them."""
    custody = typer.Typer(help="Hand units over, both sides signing.", no_args_is_help=True)
    for command in (seed, deposit, open_units, offer, withdraw, accept, refuse, close, offers, units, steps):
        custody.command(command.__name__.removesuffix("_units"))(command)
    app.add_typer(custody, name="custody")
    gateway = typer.Typer(help="What a site's own program does by itself.", no_args_is_help=True)
    gateway.command("run")(run)
    app.add_typer(gateway, name="gateway")
    return custody


@contextmanager
def opened(
    home: Path, passphrase_file: Path | None, url: str | None, patience_seconds: float = 60.0
) -> Iterator[tuple["CustodyGateway", "LedgerClient", Gateway]]:
    """The custody gateway over a member's folder, with its client."""
    from api.cli.keystore import open_secret
    from api.custody_book import Book
    from api.gateway import CustodyGateway
    from ledger_service.errors import LedgerError
    from ledger_service.handoffs import CustodySeed

    folder = Gateway(home, passphrase_file)
    path = home / SEED_FILE
    secret = CustodySeed(open_secret(path, folder.passphrase())) if path.exists() else None
    with folder.client(url, patience_seconds) as client:
        domain = client.trust.custody_domain
        book = Book(client.outbox, domain)
        try:
            yield CustodyGateway(client, book, secret, folder.member(), domain), client, folder
        except LedgerError as problem:
            told = folder.with_names(str(problem))
            if told == str(problem):
                raise
            raise LedgerError(told) from problem


def seed(home: Home = HOME, passphrase_file: PassphraseFile = None) -> None:
    """Make the custody seed, encrypted, apart from the signing key. Back it up: nobody can bring it back."""
    from api.cli import keystore
    from api.gateway import seed_name
    from ledger_service.handoffs import CustodySeed

    path = home / SEED_FILE
    if path.exists():
        raise WrongUsage(f"{path} exists already: a second seed could not move what the first one holds")
    secret = keystore.new_secret(os.urandom)
    name = seed_name(CustodySeed(secret)).hex()
    passphrase = keystore.read_passphrase(passphrase_file, os.environ, twice=True)
    keystore.write_key(path, secret, passphrase, keystore.CUSTODY_SEED, name, [])
    say(f"custody seed {name[:8]}… is in {path}")
    note("keep a copy of the file elsewhere: units whose seed is lost stay where they are on the chain for ever")


def deposit(
    partners: Annotated[list[str], typer.Argument(help="Members who shall be able to hand you something.")],
    home: Home = HOME,
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many unused addresses each shall have.")] = 20,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Leave one-time addresses with partners, up to so many unused ones each."""
    with opened(home, passphrase_file, url) as (gateway, _, folder):
        gateway.notice_offers()
        for name in partners:
            (partner,) = folder.members_named([name])
            say(f"{name}: {gateway.deposit(partner, count)} addresses more")
        _say_pushed(gateway.push())


def open_units(
    things: Annotated[list[str], typer.Argument(help="Units in any spelling, such as (00)395210040009260175.")],
    home: Home = HOME,
    to: To = None,
    anew: Annotated[
        bool, typer.Option("--continue", help="Go on under new units where the custody seed of the old was lost.")
    ] = False,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Open units that you hold on the chain. What is open stays as it is."""
    from api.gateway import NewUnit
    from api.goods_in import unit_text
    from ledger_service.keys import to_hex

    with opened(home, passphrase_file, url) as (gateway, _, folder):
        held = gateway.open([NewUnit(unit_text(one)) for one in things], folder.members_named(to or ()), anew=anew)
        for one in held:
            say(f"{label(one.thing)}  {to_hex(one.unit)}")
        _say_pushed(gateway.push())


def offer(
    file: Annotated[
        Path, typer.Argument(help="The despatches as your ERP system exports them (CSV), or one despatch (JSON).")
    ],
    home: Home = HOME,
    to: To = None,
    hours: Annotated[float, typer.Option(min=0.1, help="How long the taker has, where a row names no deadline.")] = 72,
    open_missing: Annotated[bool, typer.Option("--open/--no-open", help="Open units that were never opened.")] = True,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Offer what was shipped. The same document again is the same offer; with other contents it is refused.

    A CSV needs the columns document, taker and unit, and may have line, part, batch, quantity, uom, ship_from,
    ship_to, carrier, carrier_for, seal, despatched_at, arrives (on which day), deadline, document_type and version.
    Every row that cannot be used is named with its column, and then nothing is offered.
    """
    from api.despatch_table import read_despatches
    from api.goods_in import UnfitRows
    from ledger_service import canonical
    from ledger_service.keys import to_hex

    with opened(home, passphrase_file, url) as (gateway, client, folder):
        data = file.read_bytes()
        readers = folder.members_named(to or ())
        if file.suffix.casefold() == ".json":
            despatches = [canonical.parse(data)]
        else:
            try:
                despatches = read_despatches(data, _naming(folder), giver=gateway.member, now=client.now())
            except UnfitRows as problem:
                _refuse_rows(file, problem.problems)
        lifetime = int(hours * 3_600_000)
        made = [(one, gateway.offer(one, readers, open_missing=open_missing, lifetime=lifetime)) for one in despatches]
        pushed = gateway.push()
    if as_json:
        offers_made = [{"document": one["document"], "despatch": to_hex(digest)} for one, digest in made]
        say_json({"offers": offers_made, "refused": pushed.refused})
    else:
        for one, digest in made:
            say(f"{one['document']['number']}  {to_hex(digest)}  {len(one['units'])} units")
        _say_pushed(pushed)
    if pushed.refused:
        raise typer.Exit(REFUSED)


def withdraw(despatch: Despatch, home: Home = HOME, url: Url = None, passphrase_file: PassphraseFile = None) -> None:
    """Take an offer back as far as it was not accepted, by handing its units to yourself."""
    with opened(home, passphrase_file, url) as (gateway, client, _):
        done = gateway.withdraw(find_offer(client, despatch, "giver"))
        say("withdrawn" if done else "nothing of it is left to withdraw")
        _say_pushed(gateway.push())


def accept(
    despatch: Despatch,
    home: Home = HOME,
    scanned: Annotated[bool, typer.Option(help="As the imported scans have it, with what they find amiss.")] = False,
    basis: Annotated[str, typer.Option(help="How you know: scanned, counted or listed.")] = "listed",
    discrepancy: Annotated[
        list[str] | None,
        typer.Option(help="UNIT:WHAT[:PART:QUANTITY:UOM[:FOUND]], WHAT being short, over, damaged or wrong-part."),
    ] = None,
    number: Annotated[str | None, typer.Option(help="The number of your goods receipt.")] = None,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Accept an offer, with discrepancies where there are any. It is checked before anything is signed."""
    from ledger_service.keys import to_hex

    document = None if number is None else {"type": "goods-receipt", "number": number}
    with opened(home, passphrase_file, url) as (gateway, client, _):
        wanted = find_offer(client, despatch, "taker")
        found: Sequence[Any] = [_discrepancy(one) for one in discrepancy or ()]
        if scanned:
            decision = gateway.decide(wanted, Fraction(0))
            if decision is None:
                raise WrongUsage("nothing was scanned of this despatch: import the scans by `gateway run --scans`")
            basis, found = decision.basis, [*decision.discrepancies, *found]
        receipt = gateway.accept(wanted, basis=basis, discrepancies=found, document=document)
        say(to_hex(receipt))
        end(gateway.push())


def refuse(
    despatch: Despatch,
    reason: Annotated[str, typer.Option(help="Why, for the giver.")],
    home: Home = HOME,
    number: Annotated[str | None, typer.Option(help="The number of your goods receipt.")] = None,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Refuse an offer, all of it. Nothing changes hands."""
    from ledger_service.keys import to_hex

    document = None if number is None else {"type": "goods-receipt", "number": number}
    with opened(home, passphrase_file, url) as (gateway, client, _):
        say(to_hex(gateway.refuse(find_offer(client, despatch, "taker"), reason, document=document)))
        end(gateway.push())


def close(
    things: Annotated[list[str], typer.Argument(help="Units that end here: used up, scrapped, installed.")],
    home: Home = HOME,
    to: To = None,
    step: Annotated[str, typer.Option(help="The business step, a word of the CBV.")] = "decommissioning",
    url: Url = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """End units for good, with an event that says so."""
    from api.goods_in import unit_text
    from ledger_service.keys import to_hex

    with opened(home, passphrase_file, url) as (gateway, _, folder):
        for unit in gateway.close(
            [unit_text(one) for one in things], folder.members_named(to or ()), business_step=step
        ):
            say(f"{to_hex(unit)} ends")
        end(gateway.push())


def offers(
    home: Home = HOME,
    side: Annotated[str | None, typer.Option(help="giver or taker; both by default.")] = None,
    state: Annotated[str | None, typer.Option(help="open, answered, refused, overdue, expired, withdrawn …")] = None,
    waiting: Annotated[bool, typer.Option(help="Only those that wait for a person here, with the reasons.")] = False,
    ids: Annotated[bool, typer.Option("--ids", help="With the ids of their despatches.")] = False,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """List offers and how each stands."""
    from ledger_service.keys import from_hex, to_hex

    with opened(home, passphrase_file, url) as (gateway, client, folder):
        if waiting:
            tasks = gateway.book.tasks()
            if as_json:
                say_json([{"despatch": to_hex(one.despatch), "reasons": one.reasons} for one in tasks])
                return
            for one in tasks:
                say(document_number(client, one.despatch) or to_hex(one.despatch), "bold")
                for reason in one.reasons:
                    say(f"  {reason}")
            if not tasks:
                note("nothing that was scanned waits for a person; what is to be answered: `custody todo`")
            return
        found = [one for one in client.offers(side, state) if as_json or ids or one["replacedBy"] is None]
        numbers = [] if as_json else [document_number(client, from_hex(one["despatch"], 32)) for one in found]
        names = folder.names()
    if as_json:
        say_json(found)
        return
    rows = [
        (number, one["state"], names.get(one["giver"], ""), names.get(one["taker"], ""), minute(one["deadline"]), short)
        for one, number in zip(found, numbers, strict=True)
        for short in (one["despatch"] if ids or not number else "",)
    ]
    headings = ("document", "state", "from", "to", "answer by", "despatch")
    width = len(headings) if any(row[-1] for row in rows) else len(headings) - 1
    table(headings[:width], [row[:width] for row in rows])


def units(home: Home = HOME, url: Url = None, passphrase_file: PassphraseFile = None, as_json: Json = False) -> None:
    """List the units that this gateway holds or held."""
    from ledger_service.keys import to_hex

    with opened(home, passphrase_file, url) as (gateway, _, _):
        held = gateway.book.units()
    if as_json:
        say_json([{"unit": to_hex(one.unit), "id": one.thing, "state": one.state} for one in held])
        return
    table(("unit", "state", "on the chain"), [(label(one.thing), one.state, to_hex(one.unit)) for one in held])


def steps(
    unit: Annotated[str, typer.Argument(help="A unit in any spelling, or its id on the chain.")],
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Show what the chain has taken of a unit, and what waits to be sent (JSON)."""
    from api.goods_in import unit_text
    from ledger_service.custody.kinds import read_unit

    with opened(home, passphrase_file, url) as (gateway, client, _):
        if unit.startswith("0x"):
            wanted = _id(unit)
        else:
            held = gateway.book.unit_of(read_unit(unit_text(unit), "UNIT").key)
            if held is None:
                raise WrongUsage(f"this gateway never held {unit}: name its id on the chain")
            wanted = held.unit
        say_json(client.steps_of(wanted))


def run(
    home: Home = HOME,
    partner: Annotated[
        list[str] | None, typer.Option(help="Keep addresses deposited with this member; may be repeated.")
    ] = None,
    keep: Annotated[int, typer.Option(min=1, max=1000, help="How many unused ones each shall have.")] = 20,
    scans: Annotated[
        Path | None, typer.Option(help="A CSV file, or a folder of them: unit, and part, quantity, uom where counted.")
    ] = None,
    tolerance: Tolerance = "0",
    sign_requests: Annotated[
        bool,
        typer.Option(
            "--sign-requests/--file-requests",
            help="Sign what people ask for on the page of a printed note. It comes by way of the service.",
        ),
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between rounds.")] = 15.0,
    once: Annotated[bool, typer.Option(help="One round, then end.")] = False,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Send what waits, take back what was refused, keep addresses deposited, and accept what was scanned.

    What deviates by no more than the tolerance is accepted by itself, and says so; the rest waits for a person
    (`custody offers --waiting`). It may be killed at any time and started again.
    """
    from api.client import ServiceUnreachable

    share = _share(tolerance)
    with opened(home, passphrase_file, url) as (gateway, _, folder):
        partners = folder.members_named(partner or ())
        while True:
            try:
                _round(gateway, partners, keep, scans, share, sign_requests=sign_requests)
            except ServiceUnreachable as problem:
                if once:
                    raise
                complain(str(problem))
            if once:
                return
            time.sleep(every)


def _round(
    gateway: "CustodyGateway",
    partners: Sequence[bytes],
    keep: int,
    scans: Path | None,
    tolerance: Fraction,
    *,
    sign_requests: bool,
) -> None:
    from api.goods_in import UnfitRows
    from ledger_service.keys import to_hex

    if partners:
        gateway.notice_offers()
    for partner in partners:
        gateway.deposit(partner, keep)
    files = [] if scans is None else sorted(scans.glob("*.csv")) if scans.is_dir() else [scans]
    for file in files:
        try:
            if gateway.import_scans(file.read_bytes()):
                note(f"{file} was read")
        except UnfitRows as problem:
            complain(f"{file} cannot be used")
            for line in problem.problems:
                note(f"  {line}")
    for receipt in (*gateway.receive(tolerance), *gateway.fulfil_requests(sign=sign_requests)):
        say(f"accepted by {to_hex(receipt)}")
    _say_pushed(gateway.push(), quiet=True)
    for despatch in gateway.follow():
        say(f"took back what was refused of {to_hex(despatch)}")
    _say_pushed(gateway.push(), quiet=True)
    waiting = gateway.book.tasks()
    if waiting:
        note(f"{len(waiting)} offers wait for a person: `custody offers --waiting`")


def _say_pushed(pushed: "Pushed", *, quiet: bool = False) -> None:
    if not quiet or pushed.registered or pushed.steps:
        note(f"{pushed.registered} statements registered, {pushed.steps} steps with the relay")
    for line in pushed.refused:
        complain(line)


def end(pushed: "Pushed") -> None:
    """Say what went out; exit 1 where something of it was refused."""
    _say_pushed(pushed)
    if pushed.refused:
        raise typer.Exit(REFUSED)


def _refuse_rows(file: Path, problems: Sequence[str]) -> NoReturn:
    complain(f"{file}: nothing was offered")
    for line in problems:
        note(f"  {line}")
    raise typer.Exit(REFUSED)


def _naming(folder: Gateway) -> Any:
    """What turns the name in a cell into a member's id; raises LedgerError."""
    from ledger_service.errors import LedgerError

    def member(name: str) -> bytes:
        try:
            return folder.members_named([name])[0]
        except WrongUsage as problem:
            raise LedgerError(str(problem).removeprefix("--to ")) from None

    return member


def _discrepancy(text: str) -> dict[str, str]:
    from api.goods_in import unit_text

    # Identifiers have colons of their own: the unit ends where a known word follows.
    for what in ("short", "over", "damaged", "wrong-part"):
        unit, mark, rest = text.partition(f":{what}")
        if not mark or (rest and not rest.startswith(":")):
            continue
        value = {"unit": unit_text(unit), "what": what}
        if rest:
            parts = rest[1:].rsplit(":", 3 if what == "wrong-part" else 2)
            names = ("part", "quantity", "uom", "found")
            value |= dict(zip(names, parts, strict=False))
        return value
    raise WrongUsage(f"--discrepancy {text}: write UNIT:WHAT or UNIT:WHAT:PART:QUANTITY:UOM")


def _share(text: str) -> Fraction:
    try:
        share = Fraction(text)
    except (ValueError, ZeroDivisionError):
        share = Fraction(-1)
    if not 0 <= share < 1:
        raise WrongUsage(f"--tolerance {text}: a share from 0 to below 1, such as 0.02")
    return share


def document_number(client: "LedgerClient", despatch: bytes) -> str:
    """The number of a despatch's document, from our outbox or from the service; empty where we may not see it."""
    from api.client import ServiceRefused
    from ledger_service.envelope import Envelope

    kept = client.outbox.find(despatch)
    try:
        content = client.statement(despatch).get("content") if kept is None else Envelope.parse(kept.data).content
    except ServiceRefused:
        return ""
    document = (content or {}).get("document")
    return str(document.get("number", "")) if isinstance(document, dict) else ""


def find_offer(client: "LedgerClient", text: str, side: str | None = None) -> bytes:
    """The despatch with this id or this document number, of those that we made (giver) or got (taker).

    Of several versions it is the newest. Raises WrongUsage where none is called so, or those of several members are.
    """
    from ledger_service.keys import from_hex

    if text.startswith("0x"):
        return _id(text)
    found = []
    for one in client.offers(side):
        despatch = from_hex(one["despatch"], 32, "/despatch")
        if one["replacedBy"] is None and document_number(client, despatch) == text:
            if side == "taker" and one["state"] == "withdrawn":
                raise WrongUsage(f"{text} was taken back by its giver: nothing of it is left to answer")
            found.append((str(one["giver"]), despatch))
    if not found:
        raise WrongUsage(f"{text}: no offer {_OF_SIDE[side]} has this number: see `tallystick custody offers`")
    if len({giver for giver, _ in found}) > 1:
        raise WrongUsage(f"{text}: several members use this number: name the id, see `custody offers --ids`")
    return found[-1][1]


_OF_SIDE = {"giver": "of ours", "taker": "to us", None: "of ours or to us"}


def _id(text: str) -> bytes:
    from ledger_service.errors import MalformedInput
    from ledger_service.keys import from_hex

    try:
        return from_hex(text, 32)
    except MalformedInput as problem:
        raise WrongUsage(f"{text}: {problem}") from None


def minute(milliseconds: int) -> str:
    """A time to the minute, with its offset."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
