"""Commands that look at evidence: `verify` and `trust`. Offline, but for `trust fetch`."""

import json
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.gateway import HOME, Gateway, Home, PassphraseFile, read_trust, write
from api.cli.record import is_good, naming, record_json, say_record
from api.cli.terminal import OK, REFUSED, WrongUsage, complain, note, say, say_json

if TYPE_CHECKING:
    from ledger_service.evidence import Failure, Trust, Verdict

MAX_BUNDLE_BYTES = 1 << 30
"""Twice what 100,000 ordinary events take, the most the service puts into one."""
BROKEN = 3
"""The exit code for a bundle that holds and proves a record that is broken, or one that cannot be told."""
_INDENT = 16
_STREAMS = 8
_LAST_SECOND = 253_402_300_799


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command()(verify)
    trust = typer.Typer(help="The trust file: what a verifier takes for granted.", no_args_is_help=True)
    trust.command("show")(trust_show)
    trust.command("fetch")(trust_fetch)
    app.add_typer(trust, name="trust")


def add_to_custody(group: typer.Typer) -> None:
    """Add the command that fetches records to the group `custody`."""
    group.command("bundle")(custody_bundle)


def verify(
    bundle: Annotated[Path, typer.Argument(help="An audit bundle or a receipt; - reads it from standard input.")],
    trust: Annotated[Path, typer.Option(help="The trust file of the ledger it comes from.")] = Path("trust.json"),
    min_witnesses: Annotated[
        int, typer.Option(min=0, help="Refuse a bundle that fewer witnesses of the trust file have cosigned.")
    ] = 0,
    members: Annotated[
        Path | None,
        typer.Option(help="The members.json that `trust fetch` wrote, for their names; nothing rests on it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
) -> None:
    """Check a bundle or receipt offline. Exit 0: it holds; 1: it does not, with each record that fails and why.

    Exit 3: it holds, and the record of custody that it proves is broken or cannot be told. Nothing is asked of the
    network and no clock is looked at: the verdict is as known at the block it names.
    """
    from ledger_service.errors import MalformedInput
    from ledger_service.evidence import Bundle, BundleRefused, Failure, verify_bundle

    trusted = read_trust(trust)
    named = naming({} if members is None else _names(members))
    data = read_bundle(bundle)
    try:
        verdict = verify_bundle(Bundle.parse(data), trusted, min_witnesses=min_witnesses)
    except BundleRefused as refusal:
        say_refused(str(bundle), refusal.failures, as_json)
        raise typer.Exit(REFUSED) from None
    except MalformedInput as problem:
        say_refused(str(bundle), [Failure(f"file {bundle}", str(problem))], as_json)
        raise typer.Exit(REFUSED) from None
    if as_json:
        say_json(verdict_json(verdict))
    else:
        if verdict.custody is not None:
            say_record(verdict.custody, named)
        _say_verdict(verdict)
    raise typer.Exit(OK if verdict.custody is None or is_good(verdict.custody) else BROKEN)


def custody_bundle(
    units: Annotated[list[str], typer.Argument(help="Units or batches, in any spelling of their identifiers.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; standard output otherwise.")] = None,
    genealogy: Annotated[bool, typer.Option(help="With all that they came from, and all that they went into.")] = False,
    pin: Annotated[
        bool, typer.Option(help="With block headers up to the newest block, for a trust file that pins it.")
    ] = False,
    home: Home = HOME,
    url: Annotated[str | None, typer.Option(help="Another address of the service.")] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Fetch the record of custody of units as one file, for `verify` to judge."""
    from api.goods_in import unit_text

    with Gateway(home, passphrase_file).client(url) as client:
        made, hidden = client.custody_bundle([unit_text(one) for one in units], genealogy=genealogy, pin=pin)
    write(out, made.data)
    steps = sum(len(one.steps) for one in made.custody.units) if made.custody is not None else 0
    note(f"{len(made.statements)} statements and {steps} steps of the chain")
    if hidden:
        note(f"{hidden} more are about these things and not for you to see")


def trust_show(
    file: Annotated[Path, typer.Argument(help="A trust file.")] = Path("trust.json"),
    as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON.")] = False,
) -> None:
    """Print a trust file's fingerprint, to compare by telephone, and what the file makes you trust."""
    trusted = read_trust(file)
    if as_json:
        say_json({"fingerprint": trusted.fingerprint, **trusted.as_json()})
    else:
        say_trust(trusted)


def trust_fetch(
    url: Annotated[str, typer.Argument(help="Address of the service, such as http://127.0.0.1:8440.")],
    home: Annotated[Path, typer.Option(envvar="TALLYSTICK_HOME", help="The member's folder.")] = Path("member"),
    passphrase_file: Annotated[Path | None, typer.Option(help="File with the passphrase of the member's keys.")] = None,
) -> None:
    """Fetch trust file and directory from a service we are a member of. Compare the fingerprint before you rely on
    it.
    """
    from api.cli.gateway import Gateway

    gateway = Gateway(home, passphrase_file)
    trusted, member, is_known = gateway.fetch_trust(url)
    say_trust(trusted)
    say()
    say(f"you are member {member}")
    if is_known:
        note(f"unchanged in {home / 'trust.json'}")
    else:
        note(f"written to {home / 'trust.json'}: compare the fingerprint with another member's before relying on it")


def read_bundle(bundle: Path) -> bytes:
    """What is in the file, or on standard input; raises WrongUsage where it is larger than bundles are."""
    with nullcontext(sys.stdin.buffer) if str(bundle) == "-" else bundle.open("rb") as file:
        data = file.read(MAX_BUNDLE_BYTES + 1)
    if len(data) > MAX_BUNDLE_BYTES:
        raise WrongUsage(f"{bundle} has more than {MAX_BUNDLE_BYTES >> 20} MiB: no bundle is so large")
    return data


def _names(directory: Path) -> dict[str, str]:
    """Name by member id, from a directory; raises WrongUsage."""
    try:
        return {str(one["id"]): str(one["name"]) for one in json.loads(directory.read_bytes())}
    except FileNotFoundError:
        raise WrongUsage(f"there is no directory {directory}: get it by `trust fetch`") from None
    except (ValueError, KeyError, TypeError):
        raise WrongUsage(f"{directory} is no directory of members") from None


def say_trust(trusted: "Trust") -> None:
    """What a trust file makes its user take for granted."""
    groups = trusted.fingerprint.split(" ")
    say("fingerprint")
    for at in range(0, len(groups), 8):
        say("    " + " ".join(groups[at : at + 8]), "bold")
    say(f"you trust the log {trusted.origin} on chain {trusted.chain_id}")
    _line("log key", trusted.log_key.text)
    _line("genesis", "0x" + trusted.genesis_hash.hex())
    _line("MemberRegistry", f"0x{trusted.registry.hex()} (code 0x{trusted.registry_code_hash.hex()[:16]}…)")
    _line("Checkpoints", f"0x{trusted.checkpoints.hex()} (code 0x{trusted.checkpoints_code_hash.hex()[:16]}…)")
    _line("CustodyLedger", f"0x{trusted.custody.hex()} (code 0x{trusted.custody_code_hash.hex()[:16]}…)")
    if trusted.validators:
        _line("validators", f"{len(trusted.validators)}: " + ", ".join("0x" + one.hex() for one in trusted.validators))
    if trusted.attestor is not None:
        _line("attestor", f"0x{trusted.attestor.hex()} signs the blocks: the operator's own chain, no second witness")
    if trusted.pinned is not None:
        _line("pinned", f"block {trusted.pinned[0]} is 0x{trusted.pinned[1].hex()}")
    for witness in trusted.witnesses:
        _line("witness", witness.text)
    if not trusted.witnesses:
        _line("witnesses", "none")


def verdict_json(verdict: "Verdict") -> dict[str, Any]:
    """A verdict for a program."""
    from ledger_service.evidence import STRENGTH_MEANS

    number, seconds = verdict.known_at
    return {
        "verdict": "holds",
        "strength": str(verdict.strength),
        "meaning": STRENGTH_MEANS[verdict.strength],
        "knownAt": {"block": number, "time": _time(seconds)},
        "head": {
            "origin": verdict.head.origin,
            "size": verdict.head.size,
            "root": "0x" + verdict.head.root.hex(),
        },
        "statements": verdict.statements,
        "void": verdict.void,
        "anchors": verdict.anchors,
        "members": verdict.members,
        "witnesses": list(verdict.witnesses),
        "streams": [
            {"stream": "0x" + one.stream.hex(), "first": one.first, "last": one.last} for one in verdict.streams
        ],
        "findings": [{"record": one.record, "what": one.what} for one in verdict.findings],
        "doesNotProve": list(verdict.does_not_prove),
    } | ({} if verdict.custody is None else {"custody": record_json(verdict.custody)})


def _say_verdict(verdict: "Verdict") -> None:
    from ledger_service.evidence import STRENGTH_MEANS

    number, seconds = verdict.known_at
    held = "1 statement" if verdict.statements == 1 else f"{verdict.statements} statements"
    void = f"; {verdict.void} void, which the findings name" if verdict.void else ""
    each = "" if verdict.statements == 1 else "each "
    say(f"It holds: {held}, {each}signed, logged and anchored{void}.", "bold green")
    _line("strength", f"{verdict.strength}: {STRENGTH_MEANS[verdict.strength]}")
    _line("as known at", f"block {number}, {_time(seconds)}")
    anchors = "1 anchor" if verdict.anchors == 1 else f"{verdict.anchors} anchors"
    _line("log", f"{verdict.head.origin}, {verdict.head.size} statements, {anchors} checked")
    _line("witnesses", ", ".join(verdict.witnesses) or "none of your trust file's")
    for span in verdict.streams[:_STREAMS]:
        _line("stream", f"0x{span.stream.hex()[:12]}…, numbers {span.first} to {span.last}, none missing")
    if len(verdict.streams) > _STREAMS:
        _line("streams", f"{len(verdict.streams) - _STREAMS} more, with no number missing between first and last")
    for what, records in verdict.remarks:
        _line("finding", f"{what} ({records})")
    if not verdict.findings:
        _line("findings", "none")
    for limit in verdict.does_not_prove:
        _line("does not prove", limit)


def say_refused(name: str, failures: "list[Failure]", as_json: bool) -> None:
    if as_json:
        failed = [{"record": one.record, "reason": one.reason} for one in failures]
        say_json({"verdict": "refused", "failures": failed})
        return
    complain(f"{name} does not hold")
    for one in failures:
        # Words from the file are part of it: they begin no line of their own, which could read as another verdict.
        note("  " + f"{one.record}: {one.reason}".replace("\n", "�"))


def _line(label: str, text: str) -> None:
    say(f"{label:<{_INDENT}}{text}")


def _time(seconds: int) -> str:
    if seconds > _LAST_SECOND:
        return f"{seconds} s after 1970"  # a block may state a time beyond the calendar
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
