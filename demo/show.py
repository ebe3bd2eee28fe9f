"""The show: the consortium's September taken the whole way, in front of the reader.

Nothing is staged: members make their keys in folders of their own, sign at their side and send over HTTP to the
service as it always runs; the bundle at the end is checked by the command that a stranger would use, in a process of
its own. Only the clock is the story's, block timestamps included, which the service allows in a demo network alone.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any

import orjson
from rich.panel import Panel
from rich.text import Text

from api.cli import keystore
from api.cli.custody import SEED_FILE
from api.cli.gateway import Gateway
from api.cli.serving import Serving, listen
from api.cli.terminal import WrongUsage, bar, out, say, table
from api.client import LedgerClient
from api.custody_book import Book
from api.gateway import CustodyGateway, seed_name
from api.network import Network, Plan
from api.outbox import Draft, Outbox
from api.settings import Settings
from demo.consortium import Company, Consortium, consortium
from demo.custody import Deed, TruckStory, policy_content
from demo.exercise import Exercise
from demo.september import Document, Pallet, documents, special_pallet
from ledger_service import keys
from ledger_service.chain.errors import TransactionRefused
from ledger_service.envelope import Envelope
from ledger_service.errors import LedgerError
from ledger_service.evidence import Bundle
from ledger_service.handoffs import CustodySeed, HandOff
from ledger_service.keys import LocalKey, to_hex
from ledger_service.mandates import Proposal
from ledger_service.membership import Approved

PASSPHRASE = b"demo"
# Demo keys protect nothing: a fast key derivation keeps the reader from waiting.
SCRYPT_COST = 1 << 10
FOUNDED_AT = int(datetime(2026, 8, 24, 7, 0, tzinfo=UTC).timestamp()) * 1000
BERLIN = timezone(timedelta(hours=2))  # in summer, which lasts to the end of the story
AUDITOR = "circle"
PUBLISH_INTERVAL_SECONDS = 0.01
EXPECTED_PORT = 8440
ROOT = Path(__file__).resolve().parent.parent


class CheckFailed(LedgerError):
    """The show did not end as it must: a check that should pass failed, or one that should fail passed."""


@dataclass
class StoryClock:
    """The story's time, ms UTC; it only moves forward."""

    now: int

    def __call__(self) -> int:
        return self.now

    def reach(self, moment: int) -> None:
        self.now = max(self.now, moment)


@dataclass(frozen=True, slots=True)
class Signed:
    """What one company has signed at one time: the last document and the last statement of it, and how many in all."""

    document: Document
    client: LedgerClient
    envelope: Envelope
    statements: int

    def send(self) -> "Signed":
        """Send it, in one call."""
        done = self.client.submit()
        if done.refused or done.registered != self.statements:
            raise CheckFailed(f"{self.document.about}: not all events were registered")
        return self

    def await_anchor(self) -> None:
        self.client.await_anchor(self.envelope.header.digest(self.client.domain), pause_seconds=0.03)


@dataclass
class _Show:
    """What one run of the demo has in hand."""

    folder: Path
    cast: Consortium
    clock: StoryClock
    port: int
    clients: dict[str, LedgerClient] = field(default_factory=dict)
    gateways: dict[str, CustodyGateway] = field(default_factory=dict)
    seeds: dict[str, CustodySeed] = field(default_factory=dict)
    network: Network | None = None
    ids: dict[str, bytes] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    @property
    def settings(self) -> Settings:
        values: dict[str, Any] = {
            "data": self.folder / "network",
            "port": self.port,
            "passphrase_file": self.passphrase_file,
            "workers": 0,
            "publish_interval_seconds": PUBLISH_INTERVAL_SECONDS,
            # The story is told in minutes: custody moves at once and not at a cut drawn over the week.
            "custody_release_interval_seconds": 0,
            "custody_release_spread_seconds": 0,
        }
        return Settings(**values)

    @property
    def passphrase_file(self) -> Path:
        return self.folder / "passphrase"

    def home(self, company: str) -> Path:
        return self.folder / "members" / company

    def gateway(self, company: str) -> CustodyGateway:
        """The custody gateway of a company, with a seed of its own in the company's folder."""
        if company not in self.gateways:
            client = self.clients[company]
            secret = keystore.new_secret(os.urandom)
            self.seeds[company] = CustodySeed(secret)
            name = seed_name(self.seeds[company]).hex()
            path = self.home(company) / SEED_FILE
            keystore.write_key(path, secret, PASSPHRASE, keystore.CUSTODY_SEED, name, [], scrypt_cost=SCRYPT_COST)
            domain = client.trust.custody_domain
            book = Book(client.outbox, domain)
            self.gateways[company] = CustodyGateway(client, book, self.seeds[company], self.ids[company], domain)
        return self.gateways[company]

    def findings(self, company: str, unit: str) -> list[dict[str, Any]]:
        """What the service tells this company to be wrong with the record of a unit."""
        found: list[dict[str, Any]] = self.clients[company].trail(unit)["findings"]
        return found

    def custody_key(self, company: str, address: bytes | None) -> LocalKey:
        """The one-time key of an address of this company; a fresh one for None, which its book knows nothing of."""
        client, seed = self.clients[company], self.seeds[company]
        keys_of = (seed.key(client.trust.custody_domain, counter) for counter in range(1000))
        return next(one for one in keys_of if address in (None, one.address))

    def hand_off(self, handoff: HandOff) -> str:
        """What the contract says to a handoff that another relayer sends, past the service."""
        assert self.network is not None
        try:
            self.network.ledger.anchoring.chain.relay(
                "CustodyLedger.handOff", (handoff.arguments,), self.network.service.relay
            )
        except TransactionRefused as error:
            return str(error)
        raise CheckFailed("the chain took a second handoff of one number")

    def settle(self) -> None:
        """Wait until the relay has nothing left to send."""
        assert self.network is not None
        for _ in range(600):
            queue = self.network.relaying.queue(self.clock())
            if not (queue.drawn or queue.blocked or queue.due or queue.sent):
                return
            time.sleep(0.02)
        raise CheckFailed("the relay did not bring all steps of custody onto the chain")

    def sign_all(self, some: Sequence[Document]) -> Signed:
        """Sign documents of one company at its side, and sign in to the service."""
        client = self.clients[some[0].company]
        client.login()
        last: Envelope | None = None
        for one in some:
            to = [self.ids[name] for name in one.to]
            issuer = self.ids[one.company]
            signed = client.sign_document(one.text.encode(), to, source=one.source, issuer=issuer)
            if signed.refused:
                raise CheckFailed(f"{one.about}: refused at home, {signed.refused[0]}")
            last = signed.envelopes[-1]
        if last is None:
            raise CheckFailed(f"{some[0].about}: there is nothing in it")
        return Signed(some[-1], client, last, sum(one.events for one in some))


def play(*, once: bool, out: Path | None, data: Path | None, port: int | None) -> None:
    """Play the demo; with `once` it ends by itself, else it serves until it is interrupted.

    `out` gets bundle.json and trust.json. `data` keeps the network and the members' folders; else they are thrown away.
    """
    cast = consortium()
    with ExitStack() as stack:
        folder = data if data is not None else Path(stack.enter_context(TemporaryDirectory(prefix="tallystick-demo-")))
        folder.mkdir(parents=True, exist_ok=True)
        show = _Show(folder, cast, StoryClock(FOUNDED_AT), _port(port, once))
        results = out if out is not None else folder / "out"
        _title(cast)
        _found(show)
        network = Network.open(show.settings, now=show.clock)
        stack.callback(network.close)
        show.network = network
        url = stack.enter_context(Serving(network, show.settings, show.clock).running())
        _introduce(show, url, stack)
        _vote(show)
        _september(show)
        _cosign(show, say_so=True)
        receipt = _receipts(show)
        bundle = _bundle(show, results)
        _verify(results, bundle, receipt)
        _report(show, results, bundle)
        names = {key: company.name for key, company in cast.companies.items()}
        Exercise(show.clients, show.ids, names, show.clock, _step, _program_in).play(results, 11)
        say()
        took = time.monotonic() - show.started
        say(f"All of it took {took:.1f} s. {results} holds bundles, reports and trust.json.", "bold")
        if not once:
            _serve(show, url, results)


def _port(port: int | None, once: bool) -> int:
    """The port asked for; else the one people expect, where it is free and somebody will look at it."""
    if port is not None:
        return port
    if not once:
        with suppress(WrongUsage):
            listen("127.0.0.1", EXPECTED_PORT).close()
            return EXPECTED_PORT
    return 0


def _title(cast: Consortium) -> None:
    text = Text.assemble(
        ("DEMO  ", "bold yellow"),
        ("From a partner's signed event to a proof anyone can check\n", "bold"),
        f"The E-Axle Circle, {len(cast.companies)} members, all fictional; real places; GS1's example prefix 952.\n"
        "Pinion shafts go from Valladolid over Duisburg to Göttingen: 22 trucks in September 2026.",
    )
    out.print(Panel(text, expand=False))


@contextmanager
def _step(number: int, what: str) -> Iterator[None]:
    """A step of the show: its title, what happens in it, and how long that took."""
    say()
    say(f"{number}  {what}", "bold cyan")
    start = time.monotonic()
    yield
    say(f"   took {time.monotonic() - start:.1f} s", "dim")


def _found(show: _Show) -> None:
    with _step(1, "Each member makes its keys, and together they found the network"):
        show.passphrase_file.write_bytes(PASSPHRASE)
        members = [_make_keys(show, company) for company in show.cast.companies.values()]
        plan = Plan.of({"origin": show.cast.origin, "members": members}, random=os.urandom)
        Network.found(show.settings, plan, secret=os.urandom(32), now=show.clock, demo=True, scrypt_cost=SCRYPT_COST)
        say(f"   {len(members)} members made root key, next root key and signing key, each in a folder of its own;")
        say(f"   {' and '.join(one.name for one in show.cast.witnesses)} made a witness key too.")
        say("   MemberRegistry and CheckpointRegistry stand on the embedded EVM chain; it holds addresses, no names.")


def _make_keys(show: _Show, company: Company) -> Mapping[str, Any]:
    return keystore.make_keys(
        show.home(company.key),
        name=company.name,
        did=company.did,
        identifiers=company.identifiers,
        purposes=keys.EVENTS | keys.AGREEMENTS | keys.LOGIN,
        is_witness=company.is_witness,
        passphrase=PASSPHRASE,
        random=os.urandom,
        scrypt_cost=SCRYPT_COST,
    )


def _introduce(show: _Show, url: str, stack: ExitStack) -> None:
    with _step(2, "The service starts; every member fetches the trust file and compares its fingerprint"):
        fingerprints = set()
        for company in show.cast.companies:
            gateway = Gateway(show.home(company), show.passphrase_file)
            trust, _, _ = gateway.fetch_trust(url)
            show.ids[company] = gateway.member()
            fingerprints.add(trust.fingerprint)
            outbox = stack.enter_context(Outbox.open(show.home(company) / "outbox.sqlite"))
            client = LedgerClient(url, gateway.signer(), trust, outbox, now=show.clock)
            show.clients[company] = stack.enter_context(client)
        if len(fingerprints) != 1:
            raise CheckFailed("the members were given different trust files")
        say(f"   The service listens on {url}. All {len(show.clients)} members read out the same:")
        say(f"   {fingerprints.pop()}", "bold")


def _vote(show: _Show) -> None:
    with _step(3, "The Circle writes its custody policy, and the members vote it in force"):
        circle = show.clients[AUDITOR]
        circle.login()
        readers = sorted(set(show.ids.values()) - {show.ids[AUDITOR]})
        signed = circle.outbox.sign(
            [Draft(policy_content(show.ids["oderland"], readers), "custody-policy")],
            issuer=show.ids[AUDITOR],
            signer=circle.signer,
            domain=circle.domain,
            now=show.clock(),
            random=os.urandom,
            source="custody policy",
        )
        circle.submit()
        what = signed[0].header.digest(circle.domain)
        expires = show.clock() // 1000 + 14 * 86_400
        proposal = Proposal(circle.domain, Approved(what), expires, int.from_bytes(os.urandom(6)))
        voters = [company for company in show.cast.companies if company != AUDITOR][: -(-len(show.ids) * 2 // 3)]
        for company in voters:
            root = keystore.open_signer(show.home(company) / "root.json", PASSPHRASE)
            proposal = proposal.signed(show.ids[company], root)
        circle.relay(proposal.mandate(*(show.ids[one] for one in voters)))
        if circle.custody_policy()["statement"] != to_hex(what):
            raise CheckFailed("the policy that was voted is not in force")
        say("   What happened is to be registered within a day. Oderland's legs may go unsigned.")
        say(f"   {len(voters)} of {len(show.ids)} members signed for it with their root keys; it is on the chain now.")


def _september(show: _Show) -> None:
    with _step(4, "September passes: members sign at home, send over HTTP, and the log is anchored on the chain"):
        month = documents()
        total = sum(one.events for one in month)
        week = None
        shown: Signed | None = None
        story = TruckStory(show.cast, show)
        deeds = list(story.deeds())
        handed = len(deeds)
        with bar("1 September", total) as progress, ThreadPoolExecutor(4) as members:
            for moment, group in groupby(month, key=lambda one: one.registered_at):
                while deeds and deeds[0].moment <= moment:
                    _do(show, deeds.pop(0))
                show.clock.reach(moment)
                now = datetime.fromtimestamp(moment // 1000, BERLIN)
                if week not in (None, now.isocalendar().week):
                    _cosign(show, say_so=False)
                week = now.isocalendar().week
                # Who signs at one time sends at one time.
                together = sorted(group, key=lambda one: one.company)
                by_company = [list(some) for _, some in groupby(together, key=lambda one: one.company)]
                ready = list(members.map(show.sign_all, by_company))
                for sent in members.map(Signed.send, ready):
                    sent.await_anchor()
                    if sent.document.about == "truck 14" and sent.document.company == "duero":
                        shown = sent
                progress.advance(sum(one.events for one in together))
                progress.name(f"{now.day} {now:%B}, {now:%H:%M}")
        show.clock.reach(show.cast.starts_at)
        senders = len({one.company for one in month})
        say(f"   {total} events in {len(month)} documents of {senders} members; each event is a")
        say("   signed statement of its own, and each call was answered with a promise by the log, which was checked.")
        if shown is not None:
            _say_one(shown)
        say(f"   Truck 14's {len(story.pallets)} pallets went from hand to hand in {handed - len(deeds)} deeds of four")
        say("   gateways: offers when shipping, acceptances on arrival, both signatures of each on the chain.")
        say("   On 22 September Rheinknoten's second terminal signs pallet …0175 to Vltava, under the same number.")
        say(f"   The chain answers: {story.refusal}", "bold")


def _do(show: _Show, deed: Deed) -> None:
    """One deed of the story, at its time; the member signs in first, as its program would that morning."""
    show.clock.reach(deed.moment)
    show.clients[deed.company].login()
    deed.act()


def _say_one(signed: Signed) -> None:
    header = signed.envelope.header
    say(f"   One of them, {signed.document.about} leaving Valladolid on Friday 18 September:")
    for label, value in (
        ("statement", to_hex(header.digest(signed.client.domain))),
        ("content root", f"{to_hex(header.content_root)[:26]}…  salted: it gives nothing away"),
        ("signature", f"{to_hex(signed.envelope.signature)[:26]}…  EIP-712, secp256k1"),
        ("place", f"number {header.sequence} of stream {to_hex(header.stream)[:18]}…"),
    ):
        say(f"      {label:<14}{value}")


def _cosign(show: _Show, *, say_so: bool) -> None:
    if not say_so:
        for company in show.cast.witnesses:
            _cosign_one(show, company)
        return
    with _step(5, "Two witnesses check that log and list of keys only ever grew, and cosign the checkpoint"):
        for company in show.cast.witnesses:
            size = _cosign_one(show, company)
            say(f"   {company.name} cosigned the log at {size} statements; its last word was kept on disk first.")


def _cosign_one(show: _Show, company: Company) -> int:
    key = keystore.open_witness(show.home(company.key) / "witness.json", PASSPHRASE)
    checkpoint, _ = show.clients[company.key].cosign(key)
    return checkpoint.size


def _receipts(show: _Show) -> Bundle:
    with _step(6, "A receipt: one statement, its place in the log, the anchor, and the block that took it"):
        client = show.clients["duero"]
        stream = client.outbox.streams(client.domain, "despatch")[0][0]
        digest = bytes.fromhex(next(client.statements(stream))["digest"][2:])
        receipt = client.receipt(digest)
        say(f"   Duero's first statement: {len(receipt.data):,} bytes, whatever the height of the chain.")
        return receipt


def _bundle(show: _Show, results: Path) -> Bundle:
    with _step(7, "The auditor asks: where was pallet …0175, and is the record whole?"):
        client, pallet = show.clients[AUDITOR], special_pallet()
        bundle, hidden = client.custody_bundle([f"(00){pallet.sscc}"])
        trail = [one for one in bundle.statements if pallet.epc in _seen(one.content)]
        results.mkdir(parents=True, exist_ok=True)
        (results / "bundle.json").write_bytes(bundle.data)
        trust = orjson.dumps(client.trust.as_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        (results / "trust.json").write_bytes(trust + b"\n")
        (results / "members.json").write_bytes((show.home(AUDITOR) / "members.json").read_bytes())
        _say_trail(show, pallet, trail)
        held, spanned, changes = len(bundle.statements), len(bundle.streams), len(bundle.changes)
        steps = 0 if bundle.custody is None else sum(len(one.steps) for one in bundle.custody.units)
        for line in (
            f"The audit bundle: {held} statements of {spanned} streams, headers of all, contents of the trail alone;",
            f"{steps} steps on the chain with both signatures, {len(bundle.anchors)} anchors, {changes} membership",
            f"and key changes; {len(bundle.data):,} bytes. {hidden} statements about it are not for the auditor.",
        ):
            say(f"   {line}")
        return bundle


def _seen(content: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The things that an event saw."""
    event = (content or {}).get("event", {})
    return (*event.get("epcList", ()), event.get("parentID"))


def _say_trail(show: _Show, pallet: Pallet, trail: list[Any]) -> None:
    names = {show.ids[key]: company.name for key, company in show.cast.companies.items()}
    rows = []
    for one in sorted(trail, key=lambda one: (one.content["event"]["eventTime"], one.registered_at)):
        event = one.content["event"]
        happened = datetime.fromisoformat(event["eventTime"])
        registered = datetime.fromtimestamp(one.registered_at // 1000, BERLIN)
        late = registered - happened
        remarks = ["declared wrong"] if "errorDeclaration" in event else []
        if late > timedelta(hours=12):
            remarks.append(f"registered {late.total_seconds() / 3600:.0f} h later")
        rows.append((f"   {happened:%a %d %b %H:%M}", names[one.header.issuer], event["bizStep"], ", ".join(remarks)))
    say(f"   SSCC {pallet.sscc}, as those who handled it have signed:")
    table(("   when", "who", "did", ""), rows)


def _verify(results: Path, bundle: Bundle, receipt: Bundle) -> None:
    with _step(8, "A stranger checks the bundle, offline, in a process of its own"):
        (results / "receipt.json").write_bytes(receipt.data)
        code, text, seconds = _run(results, "bundle.json", "--min-witnesses", "2")
        say("   tallystick verify bundle.json --trust trust.json --members members.json --min-witnesses 2")
        say(f"   ({seconds:.2f} s, exit {code})")
        _say_output(text)
        if code != 0 or "whole with reservations" not in text:
            raise CheckFailed("the bundle does not hold, or its record is not what it should be")
        code, text, seconds = _run_second(results)
        say("   A second program, one file for Python alone, written from docs/formats.md and not from this code:")
        say(f"   python3 tallystick-verify.py bundle.json --trust trust.json    ({seconds:.2f} s, exit {code})")
        if code != 0 or "whole with reservations" not in text:
            raise CheckFailed(f"the second verifier says otherwise: {text}")
        say("   It says the same: four findings, whole with reservations.")
        code, text, _ = _run(results, "receipt.json")
        (results / "receipt.json").unlink()
        if code != 0:
            raise CheckFailed(f"the receipt does not hold: {text}")
        say(f"   The receipt holds as well (exit {code}).")
    with _step(9, "Somebody changes one digit in the bundle"):
        code, text, seconds = _run_tampered(results, bundle)
        say(f"   tallystick verify tampered.json --trust trust.json    ({seconds:.2f} s, exit {code})")
        _say_output(text)
        if code != 1 or "content was changed" not in text:
            raise CheckFailed("a tampered bundle was not refused")


def _report(show: _Show, results: Path, bundle: Bundle) -> None:
    with _step(10, "The same for people: a PDF with the findings first, and a code to check it by"):
        client = show.clients[AUDITOR]
        client.login()
        (results / "report.pdf").write_bytes(client.report(bundle.data))
        say(f"   {results / 'report.pdf'}")


def _run_second(results: Path) -> tuple[int, str, float]:
    """Run the verifier of one file, without site packages."""
    command = [sys.executable, "-I", "-S", str(ROOT / "verify" / "tallystick-verify.py"), "bundle.json"]
    start = time.monotonic()
    done = subprocess.run(
        [*command, "--trust", "trust.json", "--min-witnesses", "2"],
        cwd=results,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, time.monotonic() - start


def _run_tampered(results: Path, bundle: Bundle) -> tuple[int, str, float]:
    """Verify a copy in which one pallet has become another."""
    pallet = special_pallet().epc.encode()
    path = results / "tampered.json"
    path.write_bytes(bundle.data.replace(pallet, pallet[:-1] + b"8", 1))
    try:
        return _run(results, path.name)
    finally:
        path.unlink()


def _run(folder: Path, name: str, *options: str) -> tuple[int, str, float]:
    """Run `tallystick verify` as anybody would: exit code, output, seconds from start to exit."""
    members = ["--members", "members.json"] if (folder / "members.json").exists() else []
    return _program_in(folder, ["verify", name, "--trust", "trust.json", *options, *members])


def _program_in(folder: Path, arguments: Sequence[str]) -> tuple[int, str, float]:
    """Run the program in a folder: exit code, output, seconds from start to exit."""
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "api.cli", *arguments]
    start = time.monotonic()
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr, time.monotonic() - start


def _say_output(text: str) -> None:
    for line in text.rstrip("\n").split("\n"):
        say("   │ " + line, "green" if line.startswith("It holds") else None)


def _serve(show: _Show, url: str, results: Path) -> None:
    width = shutil.get_terminal_size().columns
    say()
    say("─" * min(width, 100), "dim")
    say("The service goes on; its clock stands at Mon 12 Oct 2026, 08:00 in Berlin.", "bold")
    say(f"   API docs   {url}/docs")
    say(f"   try        {_program()} verify {results / 'bundle.json'} --trust {results / 'trust.json'}")
    say(f"              TALLYSTICK_KEY_PASSPHRASE=demo {_program()} bundle --home {show.home(AUDITOR)} --out all.json")
    say(
        "Ctrl-C ends the demo" + (" and removes its files." if show.folder.name.startswith("tallystick-demo-") else ".")
    )
    try:
        Event().wait()
    except KeyboardInterrupt:
        say()
        say("The demo has ended.")


def _program() -> str:
    """How to call the program from where the reader stands."""
    beside = Path(sys.executable).parent / "tallystick"
    if not beside.exists():
        return "tallystick"
    here = Path.cwd()
    return str(beside.relative_to(here) if beside.is_relative_to(here) else beside)
