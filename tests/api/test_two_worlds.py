"""Two worlds that differ only in what a member may not see look the same to it: same bytes, same sizes, same order.

Five readers buy axles of one maker; each sees the tiers behind it at a level of its own. What differs is listed in
SECRETS; the differences that are allowed are listed in `two_worlds_allowed.json` with a reason each, are put out of
sight by that list, and by nothing else. A route of `/v1/risk` that is not asked here fails the test.
"""

import asyncio
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import orjson
import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from api.app import ROUTERS
from api.drawing.stressed import StressTelling
from api.drawing.telling import Telling
from api.pages.impact import page
from api.paper.impact import ImpactPaper
from api.service import Service
from api.webhooks import Outcome
from ledger_service.keys import to_hex
from tests.api.house import House, still
from tests.consortium import member_id
from tests.custody import clock_text

LEVELS = ("withheld", "impact-only", "region-and-cause", "tier", "named")
HOUR, DAY = 3_600_000, 86_400_000
READERS = {f"reader-{level}": level for level in LEVELS}
OTHERS = ("nordrand", "lariana", "yongjiang", "gannan", "vltava", "echizen", "pannon", "office", "plant-other")
NAMES = (*READERS, *OTHERS)
AXLE, HOUSING = "did:web:nordrand.example.org/part/axle", "did:web:pannon.example.org/part/housing"


@dataclass(frozen=True)
class Secret:
    """What the second world has that the first has not; hidden from every reader below `below`."""

    name: str
    below: str | None = None

    def is_hidden_from(self, level: str) -> bool:
        return self.below is None or LEVELS.index(level) < LEVELS.index(self.below)


SECRETS = {
    one.name: one
    for one in (
        Secret("a withheld link more"),
        Secret("another name for a part"),
        Secret("an older fact of another"),
        Secret("a price of another"),
        Secret("a threshold of another"),
        Secret("questions of others"),
        Secret("a disruption elsewhere"),
        Secret("a warning that others dispute"),
        Secret("a fact that changes meanwhile"),
        Secret("a stress test of another"),
        Secret("a plan of others"),
        Secret("amounts behind the first tier", below="named"),
        Secret("names behind the first tier", below="named"),
        Secret("positions behind the first tier", below="named"),
        Secret("regions behind the first tier", below="region-and-cause"),
        Secret("everything behind the first tier", below="impact-only"),
    )
}


FILLER = (
    "office",
    "part",
    {"asOf": "2026-09-01T00:00:00Z", "document": {"type": "list", "number": "1"}, "uom": "H87",
     "part": "did:web:office.example.org/part/pen"},
)  # fmt: skip
"""What the first world has instead of a secret: a fact that is of no concern to anybody."""


@dataclass
class Facts:
    """What all members state in a world; in `secrets` the second one differs."""

    secrets: frozenset[str]
    now: int
    said: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def has(self, secret: str) -> bool:
        assert secret in SECRETS
        return secret in self.secrets

    def say(self, member: str, kind: str, hours: float = 1, **content: Any) -> None:
        given = {"asOf": clock_text(self.now - int(hours * 3_600_000)), "document": {"type": "list", "number": "1"}}
        self.said.append((member, kind, given | content))

    def secretly(self, secret: str, member: str, kind: str, hours: float = 1, **content: Any) -> None:
        """Say it in the second world; in the first one something else is registered, so that the logs are as long."""
        if self.has(secret):
            self.say(member, kind, hours, **content)
        else:
            self.fill()

    def fill(self) -> None:
        self.said.append(FILLER)

    def site(self, member: str, called: str | None = None, /, **content: Any) -> str:
        key = place(called or member)
        self.say(member, "site", site=key, **content)
        return key

    def makes(
        self, member: str, site: str, part: str, planned: str, most: str, needs: Mapping[str, str], **more: Any
    ) -> None:
        self.say(member, "capacity", site=site, part=part, planned=planned, most=most, uom="H87", **more)
        if needs:
            bill = [{"part": need, "quantity": quantity, "uom": "H87"} for need, quantity in sorted(needs.items())]
            self.say(member, "bill-of-material", site=site, part=part, needs=bill)

    def link(
        self,
        member: str,
        supplier: str,
        customer: str,
        part: str,
        *,
        days: int,
        level: str = "withheld",
        levels: bool = True,
        **more: Any,
    ) -> None:
        each = [{"member": to_hex(member_id(name)), "level": of} for name, of in READERS.items()] if levels else []
        self.say(
            member,
            "supply-link",
            supplier=supplier,
            customer=customer,
            part=part,
            uom="H87",
            share="1",
            lead={"days": days},
            level=level,
            levels=each,
            **more,
        )

    def stock(self, member: str, site: str, part: str, amount: str) -> None:
        self.say(member, "stock", site=site, part=part, quantity=amount, uom="H87")


def place(name: str) -> str:
    return f"https://{name}.example.org/site"


def facts(secrets: frozenset[str], now: int) -> Facts:
    """Both worlds."""
    all_ = Facts(secrets, now)
    has, say, secretly = all_.has, all_.say, all_.secretly
    for name in READERS:
        plant = all_.site(name, region="Home", latitude="52.1", longitude="11.6", name=f"Plant of {name}")
        all_.makes(name, plant, f"did:web:{name}.example.org/part/vehicle", "10", "10", {AXLE: "1"})
        say(name, "product-price", site=plant, part=f"did:web:{name}.example.org/part/vehicle", minorUnits=3_000_000,
            currency="EUR")  # fmt: skip
        all_.stock(name, plant, AXLE, "20")
    other = all_.site("plant-other", region="Home")
    all_.makes("plant-other", other, "did:web:plant-other.example.org/part/vehicle", "10", "10", {AXLE: "1"})
    secretly("a price of another", "plant-other", "product-price", site=other,
             part="did:web:plant-other.example.org/part/vehicle", minorUnits=987_654_321, currency="EUR")  # fmt: skip
    all_.stock("plant-other", other, AXLE, "20")

    far = has("names behind the first tier")
    gone = has("everything behind the first tier")
    tiers = ("North", "South", "West") if has("regions behind the first tier") else ("Alps", "East Asia", "East Asia")
    moved = "3" if has("positions behind the first tier") else "1"
    many, more = (4, 3) if has("amounts behind the first tier") else (1, 1)
    rotor, magnet, alloy = (
        f"did:web:{owner}.example.org/part/{'x' if far else ''}{part}"
        for owner, part in (("lariana", "rotor"), ("yongjiang", "magnet"), ("gannan", "alloy"))
    )
    nordrand = all_.site("nordrand", region="Home", latitude="51.5", longitude="9.9", recoveryDays=_recovery(7))
    lariana = all_.site("lariana", "lariana" + "-works" * far, region=tiers[0], latitude=f"45.{moved}", longitude="9.4",
                        recoveryDays=_recovery(14))  # fmt: skip
    yongjiang = all_.site("yongjiang", "yongjiang" + "-2" * far, region=tiers[1], latitude=f"29.{moved}",
                          longitude="121.5", recoveryDays=_recovery(28))  # fmt: skip
    gannan = all_.site("gannan", "gannan" + "-3" * far, region=tiers[2], latitude="25.8", longitude="114.9",
                       recoveryDays=_recovery(28))  # fmt: skip
    vltava = all_.site("vltava", region="Home")
    echizen = all_.site("echizen", region="Far East")
    pannon = all_.site("pannon", region="Home", latitude="-33.8", longitude="151.2", recoveryDays=_recovery(28))
    say("nordrand", "part", part=AXLE, name="E-axle", uom="H87")
    all_.makes("nordrand", nordrand, AXLE, "60", "72", {rotor: str(many), HOUSING: "1"})
    for name in (*READERS, "plant-other"):
        all_.link(name, nordrand, place(name), AXLE, days=1, level="impact-only", levels=False)
    all_.stock("nordrand", nordrand, rotor, str(120 * many))
    if not gone:
        all_.link("nordrand", lariana, nordrand, rotor, days=2)
    else:
        all_.fill()
    all_.makes("lariana", lariana, rotor, str(60 * many), str(60 * many), {magnet: _ratio(8 * more, many)})
    all_.stock("lariana", lariana, magnet, str(960 * more))
    all_.link("lariana", yongjiang, lariana, magnet, days=7)
    all_.makes("yongjiang", yongjiang, magnet, str(600 * more), str(660 * more), {alloy: "0.5"})
    all_.link("yongjiang", gannan, yongjiang, alloy, days=3)
    all_.stock("yongjiang", yongjiang, alloy, str(900 * more))
    all_.makes("gannan", gannan, alloy, str(300 * more), str(400 * more), {})
    all_.makes("vltava", vltava, "did:web:vltava.example.org/part/motor", "60", "60", {magnet: "2"})
    all_.link("vltava", yongjiang, vltava, magnet, days=7, levels=False)
    all_.makes("echizen", echizen, magnet, str(100 * more), str(300 * more), {}, offered=True)
    say("lariana", "qualification", supplier=echizen, part=magnet, customer=lariana, scope="all",
        expires=_later(now, 300), firstArrivalDays=14, extraMinorUnits=2)  # fmt: skip
    say("vltava", "qualification", supplier=echizen, part=magnet, customer=vltava, scope="all",
        expires=_later(now, 300), firstArrivalDays=14)  # fmt: skip
    all_.makes("pannon", pannon, HOUSING, "60", "60", {})
    if has("a withheld link more"):
        all_.link("nordrand", pannon, nordrand, HOUSING, days=2, levels=False)
    else:
        all_.fill()
    secretly("another name for a part", "vltava", "part", part="did:web:aaa.example.org/part/axis", uom="H87",
             sameAs=[AXLE], name="Hidden name")  # fmt: skip
    secretly("a plan of others", "lariana", "continuity-plan", name="Magnets", until=_later(now, 300),
             triggers=[{"kind": "region", "name": "Home"}],
             measures=[{"member": to_hex(member_id("vltava")), "what": "Waits", "withinHours": 24}])  # fmt: skip
    secretly("an older fact of another", "lariana", "stock", 30, site=lariana, part=magnet, quantity="1", uom="H87")
    return all_


def _recovery(days: int) -> dict[str, int]:
    return {"least": days, "likely": 2 * days, "most": 3 * days}


def _later(now: int, days: int) -> str:
    return clock_text(now + days * 86_400_000)[:10]


def _ratio(part: int, whole: int) -> str:
    """A ratio that is whole."""
    assert part % whole == 0
    return str(part // whole)


# -- a world ----------------------------------------------------------------------------------------------------------


@dataclass
class Answer:
    """What a reader was answered: all of it that it can see."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class World:
    """One of two services with the same keys, clock and randomness, in which `secrets` differ."""

    house: House
    secrets: frozenset[str]
    answers: dict[str, dict[str, Answer]] = field(default_factory=dict)
    asked: set[tuple[str, str]] = field(default_factory=set)

    def state(self, member: str, kind: str, content: dict[str, Any], to: tuple[str, ...] = ()) -> str:
        """Register a statement."""
        envelope = self.house.envelope(member, to, content=content, kind=kind, stream=f"{kind} of {member} to {to}")
        done = self.house.send(member, envelope.data)
        assert done.status_code == 201, (kind, content, done.text)
        digest: str = done.json()["digest"]
        return digest

    def either(self, secret: str, act: Callable[[], object]) -> None:
        """In the second world do it; in the first register something of no concern instead."""
        assert secret in SECRETS
        if secret in self.secrets:
            act()
        else:
            self.state(*FILLER)

    def go_on(self, until: int) -> None:
        """Publish, and make rounds until nothing is left to do; then it is `until`."""
        for _ in range(200):
            self.house.anchor()
            if not self.house.app.state.service.rounds.once() and not self.house.network.ledger.waiting:
                assert self.house.clock.now < until
                self.house.clock.now = until
                self.house.sign_out()
                return
        raise AssertionError("the rounds never end")

    def ask(self, reader: str, name: str, method: str, path: str, **given: Any) -> Any:
        """Ask as `reader`, and remember the answer under `name`."""
        self.asked.add((method, path))
        headers = self.house.headers(reader) | given.pop("headers", {})
        answer = self.house.anyone.request(method, path, headers=headers, **given)
        assert name not in self.answers.setdefault(reader, {})
        self.answers[reader][name] = Answer(answer.status_code, dict(answer.headers), answer.content)
        return answer


def play(world: World, readers: Collection[str]) -> None:
    """Facts, a storm and a fire; days later what others do; then each reader asks for everything there is."""
    house = world.house
    start = house.clock.now
    for reader in READERS:  # before anything differs that is drawn at random
        hooked = house.post(reader, "/v1/webhooks", json={"url": f"https://{reader}.example.org/hook"})
        assert hooked.status_code == 201, hooked.text
    for member, kind, content in facts(world.secrets, start).said:
        world.state(member, kind, content)
    for reader in READERS:
        world.state(reader, "fact-request", _question("RQ-1", start), to=("nordrand",))
        set_threshold(world, reader, standstillDays=1, exercises=True)
    if "a threshold of another" in world.secrets:
        set_threshold(world, "plant-other", standstillDays=3, exercises=True)
    world.go_on(start + DAY)
    report(world, "office", STORM | _times(start + DAY), tuple(READERS))
    report(world, "nordrand", FIRE | _by("nordrand", "N-1") | _times(start + DAY))
    world.go_on(start + 3 * DAY)
    later = start + 3 * DAY
    world.either(
        "questions of others", lambda: world.state("vltava", "fact-request", _question("RQ-7", later), ("yongjiang",))
    )
    world.either(
        "questions of others", lambda: world.state("nordrand", "fact-request", _question("RQ-8", later), ("lariana",))
    )
    world.go_on(later + HOUR)
    fire = FIRE | _by("pannon", "P-1") | _times(later) | {"parts": [HOUSING]}
    world.either("a disruption elsewhere", lambda: report(world, "pannon", fire))
    world.either("a disruption elsewhere", lambda: report(world, "pannon", ELSEWHERE | _times(later)))
    world.either(
        "a warning that others dispute", lambda: report(world, "vltava", STORM | NOWHERE | _times(start + DAY))
    )
    changed = {"asOf": clock_text(later), "document": {"type": "list", "number": "2"}, "uom": "H87", "planned": "50"}
    housing = {"site": place("pannon"), "part": HOUSING, "most": "50"}
    world.either("a fact that changes meanwhile", lambda: world.state("pannon", "capacity", changed | housing))
    world.go_on(start + 5 * DAY)
    if "a stress test of another" in world.secrets:
        house.post("vltava", "/v1/risk/stress", json=STRESS)
        assert house.post("vltava", "/v1/risk/stress/reports", json=STRESS).status_code == 201
    for reader in readers:
        world.ask(reader, "reports before asking", "GET", "/v1/risk/reports")
        ask_for_everything(world, reader)


def ask_for_everything(world: World, reader: str) -> None:
    """Every route of risk, and all else that tells a member of what happens."""

    def ask(name: str, method: str, path: str, **given: Any) -> Any:
        return world.ask(reader, name, method, path, **given)

    directory = world.house.network.directory
    called = {to_hex(one): directory.name(one) for one in directory.by_id}
    for status in ("Actual", "Exercise"):
        ask(f"view {status}", "GET", "/v1/risk/view", params={"status": status})
        made = ask(f"assess {status}", "POST", "/v1/risk/assess", json={"status": status})
        digest = made.json()["digest"]
        found = ask(f"report {status}", "GET", f"/v1/risk/reports/{digest}").json()
        told = Telling(found["content"], reader, digest, is_demo=True, members=called)
        assert ask(f"page {status}", "GET", f"/v1/risk/reports/{digest}/html").text == page(told)
        if reader == PRINTED:
            # It follows from the report, which is compared; what is packed cannot be put out of sight in part.
            printed = world.house.get(reader, f"/v1/risk/reports/{digest}/pdf")
            assert printed.content == ImpactPaper(told).pdf()
    ask("network", "GET", "/v1/risk/network")
    ask("threshold", "GET", "/v1/risk/threshold")
    for number, one in enumerate(ask("alerts", "GET", "/v1/risk/alerts").json()["items"]):
        ask(f"alert {number}", "POST", f"/v1/risk/alerts/{one['number']}/acknowledge", json={"role": "risk manager"})
    ask("reports", "GET", "/v1/risk/reports")
    ask("no report", "GET", f"/v1/risk/reports/{NOTHING}")
    for kind in ("html", "pdf"):
        ask(f"no report {kind}", "GET", f"/v1/risk/reports/{NOTHING}/{kind}")
    listed = ask("disruptions", "GET", "/v1/risk/disruptions").json()
    for number, one in enumerate(listed["items"]):
        ask(f"disruption {number}", "GET", f"/v1/risk/disruptions/{one['key']}")
    for key in ("warnings@weather.example.org/TC-1", "gdacs.org/TC-9", "aaa", "P-1"):
        ask(f"disruption {key}", "GET", f"/v1/risk/disruptions/{key}")
        ask(f"assess {key}", "POST", "/v1/risk/assess", json={"disruptions": [key]})
    for site in ("pannon", "vltava", "nowhere"):
        read = _form(f"X-{site}", place(site))
        ask(f"form on {site}", "POST", "/v1/risk/disruptions/read", params={"format": "form"}, json=read)
    ask("state a form", "POST", "/v1/risk/disruptions", params={"format": "form"}, json=_form("X-9", place("pannon")))
    for question in ask("requests", "GET", "/v1/risk/requests").json()["items"]:
        ask("page of a request", "POST", f"/v1/risk/requests/{question['request']}/page")
    ask("ask by the service", "POST", "/v1/risk/requests", json=_question("RQ-2", 0) | {"to": [NOTHING]})
    ask("plans", "GET", "/v1/risk/plans")
    ask("template", "GET", "/v1/risk/facts/template.xlsx")
    table = b"site;part;quantity;uom;asOf\nhttps://pannon.example.org/site;did:web:a.example.org/part/b;1;H87;2026-09-20T00:00:00Z"
    for name, path in (("read facts", "/v1/risk/facts/read"), ("state facts", "/v1/risk/facts")):
        ask(name, "POST", path, params={"kind": "stock"}, content=table, headers={"Content-Type": "text/csv"})
    ask("stress", "POST", "/v1/risk/stress", json=STRESS | {"withView": True})
    made = ask("stress report", "POST", "/v1/risk/stress/reports", json=STRESS).json()
    ask("stress reports", "GET", "/v1/risk/stress/reports")
    ask("one stress report", "GET", f"/v1/risk/stress/reports/{made['digest']}")
    tested = StressTelling(made["content"], reader, made["digest"], is_demo=True)
    path = f"/v1/risk/stress/reports/{made['digest']}"
    assert ask("stress page", "GET", f"{path}/html").text == page(tested)
    assert ask("no stress report", "GET", f"/v1/risk/stress/reports/{NOTHING}/pdf").status_code == 404
    if reader == PRINTED:
        assert world.house.get(reader, f"{path}/pdf").content == ImpactPaper(tested).pdf()
    ask("stress view", "GET", "/v1/risk/stress/view")
    ask("exposure", "GET", "/v1/risk/exposure")
    for name in ("notices", "statements", "streams", "findings", "webhooks"):
        ask(name, "GET", f"/v1/{name}")
    follow(world, reader)
    receive(world, reader)


def follow(world: World, reader: str) -> None:
    """Remember the live feed from the beginning up to the last notice, as the route sends it."""
    service: Service = world.house.app.state.service
    start = service.cursors.seal(member_id(reader), "feed", 0, 0, 0)
    last = b'"id":"notice/%d"' % service.notices.last(member_id(reader))
    headers = {"authorization": f"Bearer {world.house.token(reader)}", "last-event-id": start, "host": "127.0.0.1:8440"}
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/v1/feed", "raw_path": b"/v1/feed", "query_string": b"", "root_path": "", "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8440), "headers": [(name.encode(), one.encode()) for name, one in headers.items()],
    }  # fmt: skip
    answer = Answer(0, {}, b"")

    async def read() -> None:
        is_over = asyncio.Event()
        requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def ask() -> Any:
            for one in requests:
                return one
            await is_over.wait()
            return {"type": "http.disconnect"}

        async def heard(message: Any) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            answer.body += message.get("body", b"")
            if last in answer.body:
                is_over.set()

        await world.house.app(scope, ask, heard)

    client = world.house.anyone
    assert isinstance(client, TestClient)
    assert client.portal is not None
    client.portal.call(read)
    assert answer.status == 200
    world.answers[reader]["feed"] = answer


def receive(world: World, reader: str) -> None:
    """Remember all that is brought to the reader's webhook, in order."""
    webhooks, now = world.house.app.state.service.webhooks, world.house.clock.now
    (one,) = webhooks.listed(member_id(reader))
    count = 0
    while messages := webhooks.next(one.id, now):
        for message in messages:
            headers = webhooks.headers(message, now)
            # In front of the body, as what may differ is put out of sight in bodies alone.
            signed = headers.pop("webhook-signature").encode()
            answer = Answer(200, headers | {"content-type": "application/json"}, signed + b"\n" + message.body)
            world.answers[reader][f"webhook {count}"] = answer
            webhooks.record(message, Outcome.TAKEN, None, now)
            count += 1
    assert count == len(world.house.get(reader, "/v1/notices").json()["items"])


PRINTED = "reader-tier"
NOTHING = "0x" + "12" * 32


def _form(number: str, site: str) -> dict[str, Any]:
    return {"what": "fire", "status": "Draft", "number": number, "where": {"sites": [site]}, "sure": "Possible",
            "from": "2026-09-22T00:00:00Z"}  # fmt: skip


def set_threshold(world: World, member: str, **threshold: Any) -> None:
    done = world.house.post(member, "/v1/risk/threshold", json=threshold)
    assert done.status_code < 300, done.text


def report(world: World, member: str, content: dict[str, Any], to: tuple[str, ...] = ()) -> str:
    return world.state(member, "disruption", content, to)


STORM: dict[str, Any] = {
    "action": "Alert", "areas": [{"circle": {"latitude": "29.2", "longitude": "121.5", "radiusKm": "150"}}],
    "cause": "natural-disaster", "certainty": "Likely", "event": "tropical cyclone", "format": "cap-1.2",
    "identifier": "TC-1", "sender": "warnings@weather.example.org", "severity": "Severe", "status": "Exercise",
    "text": "A storm", "original": "<alert/>",
}  # fmt: skip
STRESS: dict[str, Any] = {"every": ["site", "region", "port"], "scenarios": [{"name": "Home", "regions": ["Home"]}]}


FIRE: dict[str, Any] = {
    "action": "Alert", "cause": "production-incident", "certainty": "Observed", "event": "fire", "format": "form",
    "parts": [AXLE], "severity": "Severe", "status": "Actual", "text": "A fire",
}  # fmt: skip
ELSEWHERE = STORM | {
    "areas": [{"circle": {"latitude": "-33.8", "longitude": "151.2", "radiusKm": "150"}}], "identifier": "TC-9",
    "sender": "gdacs.org", "format": "gdacs", "key": "aaa",
    "references": [{"identifier": "TC-1", "sender": "warnings@weather.example.org"}],
}  # fmt: skip
"""Another warning of the same storm, which covers a site of one's own and nothing else that is here."""
NOWHERE: dict[str, Any] = {"areas": [{"circle": {"latitude": "0", "longitude": "-140", "radiusKm": "1"}}]}


def _by(member: str, number: str) -> dict[str, Any]:
    """Told by a member of its own site."""
    return {"areas": [{"site": place(member)}], "identifier": number, "sender": to_hex(member_id(member))}


def _times(now: int) -> dict[str, Any]:
    return {"sent": clock_text(now), "onset": clock_text(now)}


def _question(number: str, now: int) -> dict[str, Any]:
    return {"document": {"type": "fact-request", "number": number}, "purpose": "To know", "until": _later(now, 30),
            "wanted": [{"kind": "stock"}]}  # fmt: skip


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Answer]]:
    return played(tmp_path_factory.mktemp("first"), frozenset())


def played(folder: Path, secrets: frozenset[str], readers: Collection[str] = READERS) -> dict[str, dict[str, Answer]]:
    """What each of `readers` is answered in a world of these secrets."""
    with still(folder, names=NAMES) as house:
        world = World(house, secrets)
        play(world, readers)
        assert not unasked(world), "ask these in ask_for_everything"
        return world.answers


def unasked(world: World) -> list[tuple[str, str]]:
    """The routes of risk that no reader has asked; setting a threshold is part of the play."""
    found = []
    for route in (one for router in ROUTERS for one in router.router.routes if isinstance(one, APIRoute)):
        if route.path.startswith("/v1/risk"):
            found += [
                (method, route.path)
                for method in route.methods or ()
                if not any(method == asked and route.path_regex.match(path) for asked, path in world.asked)
            ]
    return [one for one in found if one != ("POST", "/v1/risk/threshold")]


ALLOWED: list[dict[str, Any]] = orjson.loads((Path(__file__).parent / "two_worlds_allowed.json").read_bytes())[
    "allowed"
]


def hide(answers: Mapping[str, Answer]) -> dict[str, tuple[int, list[tuple[str, str]], bytes]]:
    """The answers with what may differ put out of sight: where a rule finds it, and, if it is long, wherever else it
    stands. What is put in its place is as long, so that sizes count.
    """
    long: dict[bytes, bytes] = {}
    for one in answers.values():
        for rule in ALLOWED:
            for match in re.finditer(rule.get("pattern", "(?!)").encode(), one.body):
                if len(match.group(1)) >= 64:
                    long[match.group(1)] = _stand_in(rule, match.group(1))
    values = re.compile(b"|".join(map(re.escape, sorted(long, key=len, reverse=True))) or b"(?!)")

    def hidden(data: bytes) -> bytes:
        data = values.sub(lambda match: long[match.group()], data)
        for rule in ALLOWED:
            data = re.sub(rule.get("left_out", "(?!)").encode(), b"", data)
            for match in reversed(list(re.finditer(rule.get("pattern", "(?!)").encode(), data))):
                start, end = match.span(1)
                data = data[:start] + _stand_in(rule, data[start:end]) + data[end:]
        return data

    found = {}
    for name, one in answers.items():
        is_packed = any(one.headers.get("content-type") == rule.get("packed") for rule in ALLOWED)
        headers = [
            (key, value) for key, value in sorted(one.headers.items()) if not is_packed or key != "content-length"
        ]
        found[name] = (one.status, headers, hidden(_unpacked(one.body) if is_packed else one.body))
    return found


def _stand_in(rule: Mapping[str, str], value: bytes) -> bytes:
    return rule["name"].encode().ljust(len(value), b"-")[: len(value)]


def _unpacked(data: bytes) -> bytes:
    """The files in a packed one, with their names."""
    with ZipFile(BytesIO(data)) as packed:
        return b"\n".join(name.encode() + b"\n" + packed.read(name) for name in packed.namelist())


GROUPS = {
    "all": [one.name for one in SECRETS.values() if one.below is None],
    "amounts and names": [one.name for one in SECRETS.values() if one.below in (None, "named")],
    "regions": [one.name for one in SECRETS.values() if one.below in (None, "named", "region-and-cause")],
    "everything": list(SECRETS),
}


def test_two_readers_see_no_difference_between_the_worlds(tmp_path: Path) -> None:
    """The quick one; the others take a minute."""
    readers = ("reader-impact-only", PRINTED)
    secrets = GROUPS["amounts and names"]
    one = played(tmp_path / "one", frozenset(), readers)
    other = played(tmp_path / "other", frozenset(secrets), readers)
    check(one, other, secrets)


@pytest.mark.full
@pytest.mark.parametrize("group", GROUPS)
def test_two_worlds_look_the_same(group: str, first: dict[str, dict[str, Answer]], tmp_path: Path) -> None:
    second = played(tmp_path, frozenset(GROUPS[group]))
    check(first, second, GROUPS[group])
    # What is no secret to a reader does show: the comparison is not blind.
    for reader, level in READERS.items():
        if not all(SECRETS[one].is_hidden_from(level) for one in GROUPS[group]):
            assert hide(first[reader])["view Exercise"] != hide(second[reader])["view Exercise"]


@pytest.mark.full
@pytest.mark.parametrize("secret", SECRETS)
def test_each_secret_by_itself_shows_in_nothing(
    secret: str, first: dict[str, dict[str, Answer]], tmp_path: Path
) -> None:
    check(first, played(tmp_path, frozenset([secret])), [secret])


def check(first: dict[str, dict[str, Answer]], second: dict[str, dict[str, Answer]], secrets: list[str]) -> None:
    compared = 0
    for reader, level in READERS.items():
        if reader not in first or not all(SECRETS[one].is_hidden_from(level) for one in secrets):
            continue
        one, other = hide(first[reader]), hide(second[reader])
        assert list(one) == list(other), reader
        for name in one:
            assert one[name] == other[name], f"{reader}: {name}"
            compared += len(one[name][2])
    assert compared > 20_000
