"""Commands that make paper, `report` and `note`, and the PIN by which a note is answered: `pin`."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from api.cli.evidence import read_bundle, say_refused
from api.cli.gateway import HOME, Gateway, Home, PassphraseFile, read_trust
from api.cli.terminal import REFUSED, WrongUsage, note, say

DIRECTORY = "members.json"
PIN_VARIABLE = "TALLYSTICK_PIN"
Url = Annotated[str | None, typer.Option(help="Another address of the service.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(report)
    app.command("note")(print_note)
    app.command()(pin)


def report(
    bundle: Annotated[Path, typer.Argument(help="An audit bundle with a record of custody; - reads standard input.")],
    trust: Annotated[Path, typer.Option(help="The trust file of the ledger it comes from.")] = Path("trust.json"),
    members: Annotated[
        Path | None, typer.Option(help="The directory that has the members' names; else the one beside the trust file.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="The PDF to write; - for standard output.")] = Path(
        "report.pdf"
    ),
    demo: Annotated[
        bool, typer.Option("--demo", help="Say DEMO on every page. A log of an example domain does so by itself.")
    ] = False,
) -> None:
    """Write the audit report of a bundle as PDF, offline. The bundle is judged first; one that does not hold gets none.

    The same bundle, trust file and directory give the same bytes.
    """
    from api.network import Directory
    from api.paper.report import Report
    from ledger_service.errors import MalformedInput
    from ledger_service.evidence import BundleRefused, Failure

    trusted = read_trust(trust)
    path = members or trust.parent / DIRECTORY
    if members is not None and not members.exists():
        raise WrongUsage(f"there is no directory {members}: get it by `trust fetch URL`")
    directory = Directory.read(path)
    data = read_bundle(bundle)
    try:
        made = Report.of(data, trusted, directory, is_demo=demo)
    except BundleRefused as refusal:
        say_refused(str(bundle), refusal.failures, as_json=False)
        raise typer.Exit(REFUSED) from None
    except MalformedInput as problem:
        say_refused(str(bundle), [Failure(f"file {bundle}", str(problem))], as_json=False)
        raise typer.Exit(REFUSED) from None
    _write(output, made.pdf())
    note(f"{output}: the record is {made.answer}; SHA-256 of the bundle {made.file_hash.hex()}")


def print_note(
    despatch: Annotated[str, typer.Argument(help="Your despatch: its number, such as DN-1001, or its id.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The PDF to write; - for standard output.")] = Path(
        "note.pdf"
    ),
    home: Home = HOME,
    passphrase_file: PassphraseFile = None,
    url: Url = None,
) -> None:
    """Print the note that travels with the goods. Its code leads to a page on which the taker answers."""
    from api.cli.custody import find_offer

    with Gateway(home, passphrase_file).client(url) as client:
        made = client.print_note(find_offer(client, despatch, "giver"))
    _write(output, made)
    note(f"{output}: whoever holds it sees the offer; to answer takes the PIN of the taker's site")


def pin(
    site: Annotated[str | None, typer.Option(help="The site's GLN; without it the PIN is for all other sites.")] = None,
    pin_file: Annotated[
        Path | None, typer.Option(help=f"File with the PIN; else {PIN_VARIABLE}, or asked for.")
    ] = None,
    home: Home = HOME,
    passphrase_file: PassphraseFile = None,
    url: Url = None,
) -> None:
    """Set the PIN, 6 to 12 digits, by which people answer printed notes and requests for facts in your name."""
    chosen = pin_file.read_text(encoding="utf-8").strip() if pin_file is not None else os.environ.get(PIN_VARIABLE, "")
    if not chosen:
        chosen = typer.prompt("PIN", hide_input=True, confirmation_prompt=True)
    place = f"(414){site}" if site is not None and site.isdigit() and len(site) == 13 else site
    with Gateway(home, passphrase_file).client(url) as client:
        client.set_pin(chosen, place)
    say(f"set for {site or 'all sites without one of their own'}")


def _write(output: Path, data: bytes) -> None:
    if str(output) == "-":
        sys.stdout.buffer.write(data)
    else:
        output.write_bytes(data)
