"""A member's commands: `keys`, `sign`, `submit`, `receipt`, `bundle`, `explain`, `witness`.

They work in the member's own folder, which no service ever sees:

    root.json, next-root.json, signing.json, witness.json   encrypted keys
    member.json      public facts for the founders of a network
    trust.json       what is taken for granted, compared by its fingerprint
    network.json     the service's address and our member id
    members.json     the directory
    outbox.sqlite    streams, signed envelopes, promises, checkpoints seen
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.terminal import REFUSED, WrongUsage, bar, complain, note, say, say_json, table

if TYPE_CHECKING:
    from api.client import LedgerClient, Submission
    from api.outbox import Outbox
    from ledger_service.evidence import Trust
    from ledger_service.keys import LocalKey

Home = Annotated[Path, typer.Option(envvar="TALLYSTICK_HOME", help="The member's folder.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(help="File with the passphrase of the keys; else TALLYSTICK_KEY_PASSPHRASE(_FILE) or asked."),
]
Json = Annotated[bool, typer.Option("--json", help="Answer with JSON.")]
Out = Annotated[Path | None, typer.Option(help="File to write; standard output otherwise.")]
HOME = Path("member")


def add_to(app: typer.Typer) -> typer.Typer:
    """Add these commands to the program; the group `keys`, for more of them."""
    keys = typer.Typer(help="A member's keys, kept in its own folder.", no_args_is_help=True)
    keys.command("new")(keys_new)
    keys.command("list")(keys_list)
    keys.command("show")(keys_show)
    app.add_typer(keys, name="keys")
    for command in (sign, submit, receipt, bundle, explain, witness):
        app.command()(command)
    return keys


class Gateway:
    """A member's folder, opened as far as a command needs it."""

    def __init__(self, home: Path, passphrase_file: Path | None = None) -> None:
        self.home = home
        self._passphrase_file = passphrase_file

    def passphrase(self) -> bytes:
        from api.cli.keystore import read_passphrase

        return read_passphrase(self._passphrase_file, os.environ)

    def signer(self) -> "LocalKey":
        from api.cli.keystore import open_signer

        path = self.home / "signing.json"
        if not path.exists():
            raise WrongUsage(f"there is no signing key {path}: make one by `keys new`, or name the folder with --home")
        return open_signer(path, self.passphrase())

    def trust(self) -> "Trust":
        path = self.home / "trust.json"
        if not path.exists():
            raise WrongUsage(f"there is no {path}: get it by `trust fetch URL`")
        return read_trust(path)

    def network(self) -> dict[str, Any]:
        path = self.home / "network.json"
        if not path.exists():
            raise WrongUsage(f"there is no {path}: get it by `trust fetch URL`")
        value: dict[str, Any] = json.loads(path.read_bytes())
        return value

    def member(self) -> bytes:
        from ledger_service.keys import from_hex

        return from_hex(self.network().get("member"), 32, "/member")

    def clock(self) -> Callable[[], int]:
        """The time that statements and cosignatures state, ms UTC: this machine's, in a demo the story's."""
        from api.client import open_http

        told = self.network()
        if not told.get("demo"):
            return lambda: time.time_ns() // 1_000_000
        with open_http(told["url"], 10.0) as http:
            now = int(http.get("/v1/network").json()["now"])
        return lambda: now

    def members_named(self, names: Sequence[str]) -> list[bytes]:
        """The ids of the members that are called so: by name, beginning of a name, DID, identifier or id."""
        from ledger_service.keys import from_hex

        path = self.home / "members.json"
        if not path.exists() and not all(name.startswith("0x") for name in names):
            raise WrongUsage(f"there is no directory {path}: get it by `trust fetch URL`")
        known = json.loads(path.read_bytes()) if path.exists() else []
        found = set()
        for name in names:
            if name.startswith("0x"):
                found.add(_id(name, "--to"))
                continue
            exact = [one for one in known if name in (one["name"], one["did"], *one["identifiers"])]
            loose = exact or [one for one in known if one["name"].casefold().startswith(name.casefold())]
            if len(loose) != 1:
                which = ", ".join(sorted(one["name"] for one in loose or known))
                problem = "could be any of" if loose else "is nobody in the directory, which has"
                raise WrongUsage(f"--to {name} {problem} {which}")
            found.add(from_hex(loose[0]["id"], 32))
        return sorted(found)

    def names(self) -> dict[str, str]:
        """What the members of the directory are called, by id; empty where there is none yet."""
        path = self.home / "members.json"
        known = json.loads(path.read_bytes()) if path.exists() else []
        return {str(one["id"]): str(one["name"]) for one in known}

    def with_names(self, text: str) -> str:
        """`text` with members called by their names instead of their ids."""
        for member, name in self.names().items():
            text = text.replace(member, name)
        return text

    def outbox(self) -> "Outbox":
        from api.outbox import Outbox

        return Outbox.open(self.home / "outbox.sqlite")

    @contextmanager
    def client(self, url: str | None = None, patience_seconds: float = 60.0) -> Iterator["LedgerClient"]:
        """The service's client, with the member's signing key."""
        from api.client import LedgerClient

        address = url or str(self.network()["url"])
        trust = self.trust()
        with (
            self.outbox() as outbox,
            LedgerClient(
                address, self.signer(), trust, outbox, now=self.clock(), patience_seconds=patience_seconds
            ) as client,
        ):
            yield client

    def fetch_trust(self, url: str) -> tuple["Trust", str, bool]:
        """Fetch and keep trust file, directory and our id; whether the trust file is the one that was here.

        Raises WrongUsage where another one is here: what was compared once is not replaced in silence.
        """
        import orjson

        from api.client import LedgerClient
        from ledger_service.evidence import Trust
        from ledger_service.keys import to_hex

        with self.outbox() as outbox, LedgerClient.introduce(url, self.signer(), outbox) as client:
            member = to_hex(client.member)
            data = orjson.dumps(client.trust.as_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
            path = self.home / "trust.json"
            is_known = path.exists() and Trust.parse(path.read_bytes()) == client.trust
            if path.exists() and not is_known:
                raise WrongUsage(
                    f"the service now offers a trust file with another fingerprint ({client.trust.fingerprint}) than "
                    f"{path}: find out why, and remove that file if the new one is right"
                )
            # The service is an identity too, and has no entry in the directory.
            members = [one for one in client.members() if one.get("name")]
            path.write_bytes(data + b"\n")
            (self.home / "members.json").write_bytes(orjson.dumps(members, option=orjson.OPT_INDENT_2))
            (self.home / "network.json").write_bytes(
                orjson.dumps({"demo": client.is_demo(), "member": member, "url": url})
            )
            return client.trust, member, is_known


def read_trust(path: Path) -> "Trust":
    """The trust file at `path`; raises WrongUsage where it cannot be used."""
    from ledger_service.errors import MalformedInput
    from ledger_service.evidence import Trust

    try:
        return Trust.parse(path.read_bytes())
    except FileNotFoundError:
        raise WrongUsage(f"there is no trust file {path}: name one with --trust, or get it by `trust fetch`") from None
    except MalformedInput as problem:
        raise WrongUsage(f"{path} is not a trust file: {problem}") from None


# -- keys --------------------------------------------------------------------------------------------------------------


def keys_new(
    name: Annotated[str, typer.Argument(help="What the member is called, such as 'Duero Mecanizados'.")],
    did: Annotated[str, typer.Option(help="The member's DID, such as did:web:duero.example.org.")],
    home: Home = HOME,
    identifier: Annotated[
        list[str] | None, typer.Option(help="An identifier of the member, such as GLN:9521004000014; may be repeated.")
    ] = None,
    purposes: Annotated[
        str, typer.Option(help="What the signing key may do, with commas.")
    ] = "events,agreements,login",
    witness: Annotated[bool, typer.Option(help="Make a key that cosigns checkpoints, too.")] = True,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make a member's keys: root, next root, signing and witness, encrypted in files. `member.json` goes to the
    founders.
    """
    from api.cli import keystore

    bits = keystore.purposes_named(purposes)
    passphrase = keystore.read_passphrase(passphrase_file, os.environ, twice=True)
    keystore.make_keys(
        home,
        name=name,
        did=did,
        identifiers=tuple(identifier or ()),
        purposes=bits,
        is_witness=witness,
        passphrase=passphrase,
        random=os.urandom,
    )
    keys_list(home)
    note(f"give {home / 'member.json'} to whoever founds the network; it holds nothing secret")


def keys_list(home: Home = HOME) -> None:
    """List the keys in a folder, without opening them."""
    from api.cli import keystore

    found = [keystore.KeyFile.read(path) for use in keystore.USES if (path := home / f"{use}.json").exists()]
    if not found:
        raise WrongUsage(f"there are no keys in {home}: make them by `keys new`")
    table(("key", "public", "for"), [(one.use, one.public, ", ".join(one.purposes)) for one in found])


def keys_show(
    file: Annotated[Path, typer.Argument(help="A key file.")],
    check: Annotated[bool, typer.Option(help="Open it, to see that the passphrase is right.")] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Show what a key file is for. The secret is never shown."""
    from api.cli import keystore

    shown = keystore.KeyFile.read(file)
    say(f"{shown.use}: {keystore.USES.get(shown.use, 'a key')}")
    say(f"public    {shown.public}")
    if shown.purposes:
        say(f"purposes  {', '.join(shown.purposes)}")
    if check:
        passphrase = keystore.read_passphrase(passphrase_file, os.environ)
        if shown.use == keystore.WITNESS:
            keystore.open_witness(file, passphrase)
        else:
            keystore.open_signer(file, passphrase)
        say("the passphrase opens it")


# -- in ----------------------------------------------------------------------------------------------------------------


def sign(
    files: Annotated[list[Path], typer.Argument(help="EPCIS 2.0 JSON-LD documents.")],
    to: Annotated[list[str], typer.Option(help="Who may see the events: a member's name, DID, identifier or id.")],
    home: Home = HOME,
    source: Annotated[
        str, typer.Option(help="The system they come from; each source and audience is a stream of its own.")
    ] = "default",
    out: Annotated[Path | None, typer.Option(help="Write the envelopes to this file too, one a line.")] = None,
    keep_good: Annotated[
        bool, typer.Option(help="Sign the good events of a file in which others are refused.")
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Sign events, each as one statement, into the outbox. Nothing is sent: `submit` does that.

    All files are read before anything is signed. Exit 1 where an event is refused: then nothing is signed, or with
    --keep-good everything else is, with exit 0.
    """
    from api.client import draft
    from api.outbox import Draft
    from ledger_service.errors import MalformedInput
    from ledger_service.intake import epcis
    from ledger_service.keys import to_hex

    gateway = Gateway(home, passphrase_file)
    audience = gateway.members_named(to)
    now = gateway.clock()()
    drafts: list[Draft] = []
    refused: list[dict[str, Any]] = []
    flags: list[dict[str, Any]] = []
    for path in files:
        try:
            events = epcis.read_each(path.read_bytes(), now=now)
        except MalformedInput as problem:
            refused.append({"file": str(path), "event": "", "problems": [str(problem)]})
            continue
        for one in events:
            if isinstance(one, epcis.RefusedEvent):
                problems = [str(remark) for remark in one.problems]
                refused.append({"file": str(path), "event": one.event_at, "problems": problems})
            else:
                drafts.append(draft(one, audience))
                flags += [{"file": str(path), "flag": str(remark), "code": remark.code} for remark in one.flags]
    signed = []
    if drafts and (keep_good or not refused):
        with gateway.outbox() as outbox:
            trust, member, signer = gateway.trust(), gateway.member(), gateway.signer()
            signed = outbox.sign(
                drafts, issuer=member, signer=signer, domain=trust.domain, now=now, random=os.urandom, source=source
            )
            digests = [to_hex(one.header.digest(trust.domain)) for one in signed]
        if out is not None:
            write(out, b"".join(one.data + b"\n" for one in signed))
    else:
        digests = []
    if as_json:
        statements = [
            {"digest": digest, "stream": to_hex(one.header.stream), "sequence": one.header.sequence}
            for digest, one in zip(digests, signed, strict=True)
        ]
        say_json({"signed": statements, "refused": refused, "flags": flags})
    else:
        for flag in flags:
            note(f"{flag['file']}: {flag['flag']}", "yellow")
        for refusal in refused:
            complain(f"{refusal['file']}{refusal['event']} is refused")
            for line in refusal["problems"]:
                note(f"  {line}")
        for digest, envelope in zip(digests, signed, strict=True):
            say(f"{digest}  number {envelope.header.sequence} of stream {to_hex(envelope.header.stream)[:10]}…")
        note(f"{len(signed)} signed, {len(refused)} refused; send them by `submit`" if signed else "nothing was signed")
    if refused and not (keep_good and signed):
        raise typer.Exit(REFUSED)


def submit(
    file: Annotated[
        Path | None, typer.Argument(help="Envelopes signed elsewhere, one a line; without it the outbox is sent.")
    ] = None,
    home: Home = HOME,
    url: Annotated[str | None, typer.Option(help="Another address of the service.")] = None,
    batch: Annotated[int, typer.Option(min=1, max=5000, help="Envelopes in one call.")] = 1000,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to go on asking a service that does not answer.")
    ] = 60.0,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Send what waits in the outbox. Safe to repeat: after a lost answer the same bytes go out again."""
    from api.outbox import State
    from ledger_service.envelope import Envelope

    with Gateway(home, passphrase_file).client(url, patience) as client:
        if file is not None:
            lines = [line for line in file.read_bytes().split(b"\n") if line.strip()]
            client.outbox.adopt([Envelope.parse(line) for line in lines], client.domain)
        waiting = client.outbox.count(client.domain, State.WAITING)
        with bar("submitting", waiting) as progress:
            done = client.submit(batch, on_batch=progress.advance)
    _say_submission(done, as_json)
    if done.refused:
        raise typer.Exit(REFUSED)


def _say_submission(done: "Submission", as_json: bool) -> None:
    from ledger_service.keys import to_hex

    if as_json:
        say_json(
            {
                "registered": [
                    {"digest": to_hex(one.digest), "registeredAt": one.registered_at, "isNew": one.is_new}
                    for one in done.answers
                    if one.reason is None
                ],
                "refused": [{"digest": to_hex(one.digest), "reason": one.reason} for one in done.refused],
                "promises": [str(one) for one in done.promises],
            }
        )
        return
    repeated = sum(one.reason is None and not one.is_new for one in done.answers)
    say(f"{done.registered} registered" + (f", {repeated} of them before" if repeated else ""))
    for promise in done.promises:
        say()
        say(str(promise).rstrip("\n"))
    for one in done.refused:
        complain(f"{to_hex(one.digest)} is refused: {one.reason}")


# -- out ---------------------------------------------------------------------------------------------------------------


def receipt(
    digest: Annotated[str, typer.Argument(help="The statement's id: 0x and 64 digits.")],
    home: Home = HOME,
    out: Out = None,
    url: Annotated[str | None, typer.Option(help="Another address of the service.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until it is anchored.")] = True,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Fetch the receipt of a statement: the file that proves it, offline, for ever."""
    wanted = _id(digest, "the statement's id")
    with Gateway(home, passphrase_file).client(url) as client:
        write(out, client.receipt(wanted, wait=wait).data)


def bundle(
    home: Home = HOME,
    stream: Annotated[
        list[str] | None, typer.Option(help="A stream: 0x and 64 digits, then :first-last if not all; may be repeated.")
    ] = None,
    out: Out = None,
    pin: Annotated[
        bool, typer.Option(help="With block headers up to the newest block, for a trust file that pins it.")
    ] = False,
    field: Annotated[
        list[str] | None, typer.Option(help="Disclose only the fields at and below this pointer; may be repeated.")
    ] = None,
    url: Annotated[str | None, typer.Option(help="Another address of the service.")] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Fetch an audit bundle over streams we may see; all of them, where none is named."""
    from ledger_service.keys import from_hex

    with Gateway(home, passphrase_file).client(url) as client:
        if stream:
            spans = dict(_span(one) for one in stream)
        else:
            spans = {from_hex(one["stream"], 32): (1, None) for one in client.streams()}
        if not spans:
            raise WrongUsage("there is no stream that this member may see")
        made = client.bundle(spans, pin=pin, fields=field)
    write(out, made.data)
    streams = len({one.stream for one in made.streams})
    note(f"{_count(len(made.statements), 'statement')} of {_count(streams, 'stream')}")


def _span(text: str) -> tuple[bytes, tuple[int, int | None]]:
    name, _, numbers = text.partition(":")
    first, dash, last = numbers.partition("-")
    if any(part and not part.isdecimal() for part in (first, last)):
        raise WrongUsage(f"--stream {text}: write 0x…, 0x…:3 or 0x…:3-7")
    start = int(first or 1)
    end = int(last) if last else None if dash or not first else start
    return _id(name, "--stream"), (start, end)


def explain(
    digest: Annotated[str, typer.Argument(help="The statement's id: 0x and 64 digits.")],
    home: Home = HOME,
    url: Annotated[str | None, typer.Option(help="Another address of the service.")] = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Say why a statement is waiting, or was refused, and what happens next."""
    from api.client import ServiceRefused
    from api.outbox import describe

    wanted = _id(digest, "the statement's id")
    gateway = Gateway(home, passphrase_file)
    with gateway.outbox() as outbox:
        kept = outbox.find(wanted)
    ours = None if kept is None else f"in our outbox: {describe(kept)}"
    try:
        with gateway.client(url) as client:
            told: dict[str, Any] = client.explain(wanted)
    except ServiceRefused as refusal:
        if refusal.status != 404:
            raise
        if ours is None:
            complain(f"neither the ledger nor our outbox knows {digest}")
            raise typer.Exit(REFUSED) from None
        told = {"state": "not there", "why": "the ledger does not have it", "next": "send it by `submit`"}
    if as_json:
        say_json({**told, "outbox": ours})
        return
    say(f"{told.get('state')}: {told.get('why')}")
    if told.get("since"):
        say(f"since {_time(told['since'])}")
    say(f"next: {told.get('next')}")
    if ours is not None:
        say(ours)


def witness(
    home: Home = HOME,
    url: Annotated[str | None, typer.Option(help="Another address of the service.")] = None,
    every: Annotated[float | None, typer.Option(min=1, help="Go on for ever, cosigning so many seconds apart.")] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Cosign the log's newest checkpoint, if it extends the last one this witness cosigned (C2SP cosignature/v1).

    Exit 1, with nothing signed, where the log shrank or was rewritten: then tell the other members.
    """
    from api.cli.keystore import open_witness
    from api.client import ServiceUnreachable

    gateway = Gateway(home, passphrase_file)
    path = home / "witness.json"
    if not path.exists():
        raise WrongUsage(f"there is no witness key {path}: `keys new` makes one")
    key = open_witness(path, gateway.passphrase())
    with gateway.client(url) as client:
        while True:
            try:
                checkpoint, is_new = client.cosign(key)
            except ServiceUnreachable as problem:
                if every is None:
                    raise
                complain(str(problem))
            else:
                before = "" if is_new else ", as before"
                say(f"{key.name} cosigned {checkpoint.origin} at {checkpoint.size} statements{before}")
            if every is None:
                return
            time.sleep(every)


def _id(text: str, what: str) -> bytes:
    """The 32-byte id written as `text`; raises WrongUsage, which says `what` it was meant for."""
    from ledger_service.errors import MalformedInput
    from ledger_service.keys import from_hex

    try:
        return from_hex(text, 32)
    except MalformedInput as problem:
        raise WrongUsage(f"{what}: {problem}") from None


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def write(path: Path | None, data: bytes) -> None:
    """Write a result to its file, whole or not at all, or to standard output."""
    if path is None:
        typer.get_binary_stream("stdout").write(data + b"\n")
        return
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_bytes(data)
    half.replace(path)
    note(f"written to {path}")


def _time(milliseconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat().replace("+00:00", "Z")
