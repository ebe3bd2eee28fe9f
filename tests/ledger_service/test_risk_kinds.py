"""The business facts of risk: what is wrong is refused with its place. (The page's examples: test_custody_kinds.)"""

from collections.abc import Callable
from typing import Any

import pytest

from ledger_service import facts, risk_kinds
from ledger_service.errors import MalformedInput
from ledger_service.risk_kinds import PARSERS, FactAnswer, FactRequest, StockFact, SupplyLinkFact
from risk import routes
from tests.ledger_service.test_custody_kinds import NOW, drop, example, put

GLN = "https://id.gs1.org/414/9521002000016"
WRONG: dict[str, tuple[str, Callable[[dict[str, Any]], Any], str]] = {
    "no source document": ("stock", drop("document"), "/content"),
    "no time": ("stock", drop("asOf"), "/content"),
    "a time to come": ("stock", put("asOf", "2026-10-12T09:00:00Z"), "/content/asOf"),
    "a time without offset": ("capacity", put("asOf", "2026-10-01T08:00:00"), "/content/asOf"),
    "a negative stock": ("stock", put("quantity", "-1"), "/content/quantity"),
    "a stock as number": ("stock", put("quantity", 1920), "/content/quantity"),
    "half a piece": ("stock", put("quantity", "0.5"), "/content/quantity"),
    "half a piece on its way": ("stock", put("onTheWay/0/quantity", "0.5"), "/content/onTheWay/0/quantity"),
    "a day that is none": ("stock", put("onTheWay/0/arrives", "2026-02-30"), "/content/onTheWay/0/arrives"),
    "a site in words": ("stock", put("site", "Göttingen"), "/content/site"),
    "a site that is not ASCII": ("stock", put("site", "https://göttingen.example.org/1"), "/content/site"),
    "a part that is not ASCII": (
        "bill-of-material",
        put("needs/0/part", "did:web:example.org/part/Öse"),
        "/content/needs/0/part",
    ),
    "a share above 1": ("supply-link", put("share", "1.1"), "/content/share"),
    "a site that supplies itself": ("supply-link", put("supplier", GLN), "/content/customer"),
    "a lead time below 0": ("supply-link", put("lead/days", -1), "/content/lead/days"),
    "a day of the week too many": ("supply-link", put("lead/sails", [8]), "/content/lead/sails"),
    "a link that never sails": ("supply-link", put("lead/sails", []), "/content/lead/sails"),
    "working as a word": ("supply-link", put("lead/working", "yes"), "/content/lead/working"),
    "an unknown level": ("supply-link", put("level", "secret"), "/content/level"),
    "no level": ("supply-link", drop("level"), "/content"),
    "a member twice": (
        "supply-link",
        lambda content: content["levels"].append({**content["levels"][0], "level": "tier"}),
        "/content/levels",
    ),
    "a port that is no port": ("supply-link", put("route/from", "Bilbao"), "/content/route/from"),
    "a route to where it began": ("supply-link", put("route/to", "ESBIO"), "/content/route/to"),
    "a route by nothing": ("supply-link", put("route/modes", []), "/content/route/modes"),
    "a route by swan": ("supply-link", put("route/modes", ["swan"]), "/content/route/modes/0/mode"),
    "an unknown passage": ("supply-link", put("route/passages", ["styx"]), "/content/route/passages/0/passage"),
    "a passage twice": ("supply-link", put("route/passages", ["suez", "suez"]), "/content/route/passages"),
    "a canal by air": ("route-qualification", put("route/passages", ["suez"]), "/content/route/passages"),
    "a ramp above 1": ("route-qualification", put("ramp", ["1.5"]), "/content/ramp/0/share"),
    "no departure": ("route-qualification", put("loads", 0), "/content/loads"),
    "less than nothing a week": ("route-qualification", put("mostAWeek", "-1"), "/content/mostAWeek"),
    "a way to oneself": ("route-qualification", put("supplier", GLN), "/content/customer"),
    "more planned than possible": ("capacity", put("planned", "1201"), "/content/planned"),
    "a unit in words": ("capacity", put("uom", "piece"), "/content/uom"),
    "a latitude off the earth": ("site", put("latitude", "91"), "/content/latitude"),
    "a latitude as number": ("site", put("latitude", 51), "/content/latitude"),
    "a latitude alone": ("site", drop("longitude"), "/content"),
    "a port in words": ("site", put("locode", "Hafen"), "/content/locode"),
    "a holiday twice": ("site", put("holidays", ["2026-12-24", "2026-12-24"]), "/content/holidays"),
    "back before it can be": ("site", put("recoveryDays/least", 43), "/content/recoveryDays"),
    "a part made of itself": ("bill-of-material", put("part", "(01)09521004100011"), "/content/needs"),
    "essential perhaps": ("bill-of-material", put("needs/0/essential", "yes"), "/content/needs/0/essential"),
    "nothing of it": ("bill-of-material", put("needs/0/quantity", "0"), "/content/needs/0/quantity"),
    "a part twice": (
        "bill-of-material",
        lambda content: content["needs"].append(content["needs"][0]),
        "/content/needs",
    ),
    "the same number again": ("part", put("sameAs", ["(01)09521004100011"]), "/content/sameAs"),
    "a price with a fraction": ("product-price", put("minorUnits", "3200000.5"), "/content/minorUnits"),
    "a price below 0": ("product-price", put("minorUnits", -1), "/content/minorUnits"),
    "a currency in words": ("product-price", put("currency", "Eur"), "/content/currency"),
    "an expiry with a time": ("qualification", put("expires", "2027-06-30T00:00Z"), "/content/expires"),
    "an unknown trigger": ("continuity-plan", put("triggers/0/kind", "mood"), "/content/triggers/0/kind"),
    "a port of a plan in words": (
        "continuity-plan",
        put("triggers/0", {"kind": "port", "name": "Ningbo"}),
        "/content/triggers/0/name",
    ),
    "a part of a plan in words": (
        "continuity-plan",
        put("triggers/0", {"kind": "part", "name": "magnet"}),
        "/content/triggers/0/name",
    ),
    "a site of a plan in words": (
        "continuity-plan",
        put("triggers/0", {"kind": "site", "name": "the yard"}),
        "/content/triggers/0/name",
    ),
    "nobody who does anything": ("continuity-plan", put("measures", []), "/content/measures"),
    "an exercise to come": (
        "continuity-plan",
        put("exercises/0/at", "2027-01-01T00:00:00Z"),
        "/content/exercises/0/at",
    ),
    "nobody asked": ("fact-request", put("to", []), "/content/to"),
    "two asked at once": ("fact-request", put("to", ["0x" + "11" * 32, "0x" + "22" * 32]), "/content/to"),
    "nothing wanted": ("fact-request", put("wanted", []), "/content/wanted"),
    "an unknown fact wanted": ("fact-request", put("wanted/0/kind", "mood"), "/content/wanted/0/kind"),
    "an answer wanted": ("fact-request", put("wanted/0/kind", "fact-answer"), "/content/wanted/0/kind"),
    "the same wanted twice": (
        "fact-request",
        lambda content: content["wanted"].append({**content["wanted"][0], "part": "(01)9521004100011"}),
        "/content/wanted",
    ),
    "no purpose": ("fact-request", put("purpose", ""), "/content/purpose"),
    "until a time": ("fact-request", put("until", "2026-10-30T00:00:00Z"), "/content/until"),
    "an answer to two": ("fact-answer", put("to", ["0x" + "11" * 32, "0x" + "22" * 32]), "/content/to"),
    "answered with nothing": ("fact-answer", put("facts", []), "/content/facts"),
    "declined with facts": ("fact-answer", put("outcome", "declined"), "/content/facts"),
    "declined for no reason": (
        "fact-answer",
        lambda content: [content.update(outcome="declined"), content.pop("facts"), content.pop("level")],
        "/content/reason",
    ),
    "forwarded at a level": (
        "fact-answer",
        lambda content: [content.update(outcome="forwarded"), content.pop("facts")],
        "/content/level",
    ),
    "a reason to answer": ("fact-answer", put("reason", "confidential"), "/content/reason"),
    "a fact twice": (
        "fact-answer",
        lambda content: content["facts"].append(content["facts"][0]),
        "/content/facts",
    ),
    "a disruption that ends before it begins": (
        "disruption",
        put("ends", "2026-10-12T06:00:00+09:00"),
        "/content/ends",
    ),
    "an onset without offset": ("disruption", put("onset", "2026-10-12T06:00:00"), "/content/onset"),
    "an alert sent in the future": ("disruption", put("sent", "2026-10-13T06:00:00Z"), "/content/sent"),
    "a status of its own": ("disruption", put("status", "Maybe"), "/content/status"),
    "an update of nothing": (
        "disruption",
        lambda content: (content.update(action="Update"), content.pop("key"), content.pop("references")),
        "/content",
    ),
    "a negative radius": ("disruption", put("areas/0/circle/radiusKm", "-1"), "/content/areas/0/circle/radiusKm"),
    "a radius round the earth": (
        "disruption",
        put("areas/0/circle/radiusKm", "40000"),
        "/content/areas/0/circle/radiusKm",
    ),
    "a centre off the earth": ("disruption", put("areas/0/circle/latitude", "91"), "/content/areas/0/circle/latitude"),
    "a latitude that is a number": (
        "disruption",
        put("areas/1/polygon/0", [28, 120]),
        "/content/areas/1/polygon/0/latitude",
    ),
    "a polygon that is a line": ("disruption", put("areas/1/polygon", [["0", "0"]] * 3), "/content/areas/1/polygon"),
    "an open ring": (
        "disruption",
        put("areas/1/polygon", [["0", "0"], ["1", "1"], ["2", "0"], ["1", "0"]]),
        "/content/areas/1/polygon",
    ),
    "two areas in one": ("disruption", put("areas/2", {"region": "East Asia", "port": "CNNGB"}), "/content/areas/2"),
    "an unknown kind of place": ("disruption", put("areas/2", {"planet": "Mars"}), "/content/areas/2"),
    "a harbour in words": ("disruption", put("areas/3/port", "Ningbo"), "/content/areas/3/port"),
    "more left than all": ("disruption", put("left", "1.5"), "/content/left"),
    "over as a word": ("disruption", lambda content: content.update(isOver="yes"), "/content/isOver"),
    "a message too long": ("disruption", put("original", "x" * 300_001), "/content/original"),
    "a set of no scenarios": ("scenario-set", put("scenarios", []), "/content/scenarios"),
    "a scenario in which nothing fails": (
        "scenario-set",
        lambda content: content["scenarios"][1].pop("sites"),
        "/content/scenarios/1",
    ),
    "two scenarios of one name": (
        "scenario-set",
        put("scenarios/1/name", "Typhoon over Ningbo"),
        "/content/scenarios",
    ),
    "more scenarios than a set holds": (
        "scenario-set",
        lambda content: content.update(
            scenarios=[{**content["scenarios"][1], "name": f"Foundry {number}"} for number in range(201)]
        ),
        "/content/scenarios",
    ),
    "back in no time": ("scenario-set", put("scenarios/0/days/least", 0), "/content/scenarios/0/days/least"),
    "back later than at the latest": ("scenario-set", put("scenarios/0/days/likely", 64), "/content/scenarios/0/days"),
    "a port in words that fails": ("scenario-set", put("scenarios/0/ports/0", "Ningb"), "/content/scenarios/0/ports/0"),
    "a region twice": (
        "scenario-set",
        put("scenarios/0/regions", ["East Asia", "East Asia"]),
        "/content/scenarios/0/regions",
    ),
    "surer than sure": ("scenario-set", put("scenarios/0/chanceAYear", "1.5"), "/content/scenarios/0/chanceAYear"),
    "a chance as number": ("scenario-set", put("scenarios/0/chanceAYear", 0.05), "/content/scenarios/0/chanceAYear"),
    "a word that means nothing": ("site", put("colour", "red"), "/content"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_with_its_place(name: str) -> None:
    kind, change, place = WRONG[name]
    content = example(kind)
    change(content)
    with pytest.raises(MalformedInput) as caught:
        facts.check(kind, content, NOW)
    assert caught.value.where == place


def test_every_kind_needs_its_document_and_time() -> None:
    for kind in PARSERS:
        for name in ("document", "asOf", "to"):
            content = example(kind)
            del content[name]
            with pytest.raises(MalformedInput):
                facts.check(kind, content, NOW)


def test_a_disruption_across_the_date_line_is_taken() -> None:
    content = example("disruption")
    content["areas"] = [{"polygon": [["-20", "175"], ["-20", "-170"], ["-10", "-170"], ["-20", "175"]]}]
    facts.check("disruption", content, NOW)


def test_spellings_of_one_place_and_part_come_out_alike() -> None:
    stock, link = StockFact.parse(example("stock")), SupplyLinkFact.parse(example("supply-link"))
    assert (stock.site, stock.part) == (link.customer, link.part)
    assert stock.on_the_way[0][0] == link.supplier


def test_a_request_is_taken_back_by_a_correction_that_wants_nothing() -> None:
    content = example("fact-request")
    content |= {"wanted": [], "corrects": "0x" + "11" * 32}
    assert FactRequest.parse(content).wanted == ()


def test_what_an_answer_says_goes_with_its_outcome() -> None:
    content = example("fact-answer")
    del content["facts"], content["level"]
    forwarded = FactAnswer.parse({**content, "outcome": "forwarded"})
    assert (forwarded.facts, forwarded.reason) == ((), None)
    declined = FactAnswer.parse({**content, "outcome": "declined", "reason": "not-known", "text": "Ask in May."})
    assert (declined.reason, declined.text) == ("not-known", "Ask in May.")


def test_modes_and_passages_are_those_that_risk_knows() -> None:
    assert list(map(str, risk_kinds.Mode)) == list(map(str, routes.Mode))
    assert list(map(str, risk_kinds.Passage)) == list(map(str, routes.Passage))
