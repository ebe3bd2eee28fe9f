"""The risk manager's story: what each member states of its own supply, and the exercise that they hold.

Everything follows from `consortium.json` and `typhoon.json`. Each fact is stated by the member whose it is, to nobody:
the service counts with it, and what others learn of it goes by the levels of the links.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from importlib.resources import files
from typing import Any

from demo.consortium import Company, Consortium, consortium, data
from ledger_service.keys import to_hex


@dataclass(frozen=True, slots=True)
class Saying:
    """What a member states: its kind and its content."""

    company: str
    kind: str
    content: Mapping[str, Any]


@cache
def story() -> dict[str, Any]:
    """The file."""
    return data("typhoon.json")


def facts() -> list[Saying]:
    """What all members state, in an order in which nothing comes before what it speaks of."""
    return list(_Facts(consortium()).all())


def plan(ids: Mapping[str, bytes], agrees_to: bytes | None = None) -> list[Saying]:
    """The continuity plan for magnets, of which two were told; with its id, that those it names agree."""
    row = story()["plan"]
    signers = [row["by"]] if agrees_to is None else row["agreed"]
    measures = [one | {"member": to_hex(ids[one["member"]])} for one in row["measures"]]
    parties = {row["by"], *row["agreed"]}
    content = {name: row[name] for name in ("name", "until", "triggers", "exercises")} | {"measures": measures}
    return [
        Saying(
            signer,
            "continuity-plan",
            content
            | {"to": sorted(to_hex(ids[one]) for one in parties - {signer}), "asOf": story()["asOf"]["masters"]}
            | {"document": {"type": "continuity-plan", "number": "BCP-3", "version": "2"}}
            | ({} if agrees_to is None else {"agreesTo": to_hex(agrees_to)}),
        )
        for signer in signers
    ]


def scenarios(ids: Mapping[str, bytes]) -> Saying:
    """The set of scenarios that the Circle tests itself by, told to all members."""
    row = story()["set"]
    content = {
        "name": row["name"],
        "version": row["version"],
        "scenarios": row["scenarios"],
        "asOf": story()["asOf"]["masters"],
        "document": {"type": "scenario-set", "number": "ST-2026"},
        "to": sorted(to_hex(one) for member, one in ids.items() if member != row["by"]),
    }
    return Saying(row["by"], "scenario-set", content)


@dataclass(frozen=True, slots=True)
class Question:
    """A request for facts, and what its answer says if there is one (outcome and level)."""

    saying: Saying
    answered_by: str
    answer: Mapping[str, str] | None

    def reply(self, asker: bytes, request: bytes, given: list[bytes]) -> Saying:
        """The answer to the request of this id, which names the facts that were given."""
        content = dict(self.answer or {}) | {"to": [to_hex(asker)], "request": to_hex(request)}
        return Saying(self.answered_by, "fact-answer", content | {"facts": sorted(map(to_hex, given))})


def questions(ids: Mapping[str, bytes]) -> list[Question]:
    """Who asks whom for which facts."""
    return [
        Question(
            Saying(
                row["by"],
                "fact-request",
                {name: row[name] for name in ("until", "level", "purpose")}
                | {"wanted": [_wanted(one) for one in row["wanted"]]}
                | {"document": {"type": "fact-request", "number": f"RQ-2026-{number}"}, "to": [to_hex(ids[row["of"]])]},
            ),
            row["of"],
            row.get("answer"),
        )
        for number, row in enumerate(story()["questions"], 31)
    ]


def _wanted(row: Mapping[str, str]) -> dict[str, str]:
    named = {"part": part, "site": place}
    return {name: named[name](value) if name in named else value for name, value in row.items()}


def place(site: str) -> str:
    """The site as statements name it: by its GLN, else by its position."""
    company, found = consortium().site(site)
    return f"https://id.gs1.org/414/{found.gln}" if found.gln else f"{_home(company)}/site/{found.key}"


def part(key: str) -> str:
    """The part as statements name it."""
    number: str = story()["parts"][key]["part"]
    return number


def alert() -> bytes:
    """The weather service's alert, as it came: CAP 1.2, an exercise."""
    return _bytes("typhoon-alert.xml")


def form() -> bytes:
    """Yongjiang's own word on the same exercise, on the plain form."""
    return _bytes("typhoon-form.json")


def _bytes(name: str) -> bytes:
    return (files("demo") / name).read_bytes()


def _home(company: Company) -> str:
    return "https://" + company.did.removeprefix("did:web:")


class _Facts:
    def __init__(self, cast: Consortium) -> None:
        self.cast = cast
        self.story = story()
        self.number = 0

    def all(self) -> Iterator[Saying]:
        yield from (self.site(one) for one in self.story["sites"])
        yield from (self.part(one) for one in self.story["parts"].values())
        for line in self.story["lines"]:
            yield from self.line(line)
        # Both ends state each link: whoever names its partners has no others, whatever they claim.
        yield from (self.link(one, end) for one in self.story["links"] for end in ("from", "to"))
        for one in self.story["qualifications"]:
            yield from (self.qualification(one, customer) for customer in one["at"])
        yield self.airlift(self.story["airlift"])
        yield from (self.stock(one) for one in self.story["stocks"])

    def say(self, site: str, kind: str, when: str, document: str, /, **content: Any) -> Saying:
        return self.say_as(self.cast.site(site)[0].key, kind, when, document, **content)

    def say_as(self, company: str, kind: str, when: str, document: str, /, **content: Any) -> Saying:
        self.number += 1
        given = {
            "asOf": self.story["asOf"][when],
            "document": {"type": document, "number": f"{company.upper()}-{self.number}"},
            "to": [],
        }
        return Saying(company, kind, given | content)

    def site(self, row: Mapping[str, Any]) -> Saying:
        _, site = self.cast.site(row["site"])
        content: dict[str, Any] = {
            "site": place(site.key),
            "name": site.town,
            "region": row["region"],
            "latitude": _degrees(site.latitude),
            "longitude": _degrees(site.longitude),
        }
        if site.un_locode is not None:
            content["locode"] = site.un_locode
        if row.get("closes"):
            content["holidays"] = closed()
        if "recoveryDays" in row:
            content["recoveryDays"] = dict(zip(("least", "likely", "most"), row["recoveryDays"], strict=True))
        return self.say(site.key, "site", "masters", "site-list", **content)

    def part(self, row: Mapping[str, Any]) -> Saying:
        return self.say_as(row["by"], "part", "masters", "part-master", part=row["part"], name=row["name"],
                           uom=row["uom"])  # fmt: skip

    def line(self, row: Mapping[str, Any]) -> Iterator[Saying]:
        here = {"site": place(row["site"]), "part": part(row["part"])}
        offered = {"offered": True} if row.get("offered") else {}
        yield self.say(row["site"], "capacity", "plans", "capacity-plan", **here, planned=row["planned"],
                       most=row["most"], uom=self.uom(row["part"]), **offered)  # fmt: skip
        if "needs" in row:
            needs = [
                {"part": part(need), "quantity": quantity, "uom": self.uom(need)}
                for need, quantity in row["needs"].items()
            ]
            yield self.say(row["site"], "bill-of-material", "masters", "bill-of-material", **here, needs=needs)
        if "price" in row:
            price = {"minorUnits": row["price"], "currency": "EUR"}
            yield self.say(row["site"], "product-price", "masters", "price-list", **here, **price)

    def link(self, row: Mapping[str, Any], end: str) -> Saying:
        lead = {name: row[name] for name in ("days", "working", "sails") if name in row}
        return self.say(
            row[end],
            "supply-link",
            "masters",
            "scheduling-agreement",
            supplier=place(row["from"]),
            customer=place(row["to"]),
            part=part(row["part"]),
            uom=self.uom(row["part"]),
            share=row.get("share", "1"),
            lead=lead,
            level=row["level"],
            **({"route": self.story["routes"][row["route"]]} if "route" in row else {}),
        )

    def qualification(self, row: Mapping[str, Any], customer: str) -> Saying:
        terms = {name: row[name] for name in ("firstArrivalDays", "extraMinorUnits", "scope")}
        return self.say(customer, "qualification", "masters", "ppap", supplier=place(row["supplier"]),
                        customer=place(customer), part=part(self.story["qualified"]["part"]),
                        expires=self.story["qualified"]["expires"], **terms)  # fmt: skip

    def airlift(self, row: Mapping[str, Any]) -> Saying:
        terms = ("mostAWeek", "ramp", "firstDepartureDays", "loads", "extraMinorUnits", "expires", "scope", "route")
        return self.say(row["customer"], "route-qualification", "masters", "transport-qualification",
                        supplier=place(row["supplier"]), customer=place(row["customer"]), part=part(row["part"]),
                        uom=self.uom(row["part"]), lead={"days": row["days"], "sails": row["sails"]},
                        **{name: row[name] for name in terms})  # fmt: skip

    def stock(self, row: Mapping[str, Any]) -> Saying:
        coming = [
            {"from": place(supplier), "arrives": day, "quantity": amount}
            for supplier, day, amount in row.get("coming", ())
        ]
        return self.say(row["site"], "stock", "stocks", "stock-count", site=place(row["site"]), part=part(row["part"]),
                        quantity=row["amount"], uom=self.uom(row["part"]),
                        **({"onTheWay": coming} if coming else {}))  # fmt: skip

    def uom(self, key: str) -> str:
        uom: str = self.story["parts"][key]["uom"]
        return uom


def closed() -> list[str]:
    """The days on which the plants are closed beside weekends."""
    first, last = (date.fromisoformat(story()["closed"][name]) for name in ("first", "last"))
    return [(first + timedelta(days=number)).isoformat() for number in range((last - first).days + 1)]


def _degrees(text: str) -> str:
    """A decimal without trailing zeros, as facts have it."""
    return text.rstrip("0").rstrip(".") if "." in text else text
