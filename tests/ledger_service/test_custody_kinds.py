"""The kinds of custody: each example of the formats page is taken, and what is wrong is refused with its place."""

import json
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from ledger_service import facts
from ledger_service.custody.kinds import Despatch, Receipt
from ledger_service.custody.offers import (
    BeyondTolerance,
    OfferExpired,
    OfferRefused,
    OfferToAnother,
    UnitNotOffered,
    UnknownOffer,
    check_acceptance,
)
from ledger_service.custody.policy import Policy, Problem, Weight
from ledger_service.errors import MalformedInput
from ledger_service.instants import instant
from ledger_service.keys import from_hex
from ledger_service.statements import PURPOSE_OF_KIND, REPORT_KINDS, content_root

NOW = instant("2026-10-12T06:00:00Z")
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
EXAMPLES: dict[str, dict[str, Any]] = {
    kind: json.loads(example)
    for kind, example in re.findall(r"\n#### ([a-z-]+)\n.*?```json\n(.*?)```", PAGE, flags=re.DOTALL)
}


def example(kind: str) -> dict[str, Any]:
    return deepcopy(EXAMPLES[kind])


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
def test_the_example_on_the_page_is_taken_and_can_be_signed(kind: str) -> None:
    facts.check(kind, EXAMPLES[kind], NOW)
    assert len(content_root(EXAMPLES[kind], bytes(32))) == 32


def test_every_kind_is_on_the_page_with_an_example() -> None:
    assert set(EXAMPLES) == PURPOSE_OF_KIND.keys() - {"epcis-event", "void"}
    for kind in PURPOSE_OF_KIND:
        assert f"| `{kind}` |" in PAGE


def test_every_finding_is_on_the_page_with_its_weight() -> None:
    rows = dict(
        re.findall(
            r"\n\| (`[a-z-]+`(?:, `[a-z-]+`)*) \| [^|]* \| ([^|]*) \|",
            PAGE[PAGE.index("### Findings") : PAGE.index("\n## 4.")],
        )
    )
    weights = {name: weight for names, weight in rows.items() for name in re.findall("`([a-z-]+)`", names)}
    for problem in Problem:
        assert str(Policy().weight(problem)) in weights[problem]
    assert set(Weight) == {"breaks-the-record", "needs-explaining", "for-information"}


Change = Callable[[dict[str, Any]], Any]


def put(path: str, value: Any) -> Change:
    def change(content: dict[str, Any]) -> None:
        *steps, last = [int(step) if step.isdigit() else step for step in path.split("/")]
        for step in steps:
            content = content[step]  # type: ignore[index]
        content[last] = value  # type: ignore[index]

    return change


def drop(name: str) -> Change:
    return lambda content: content.pop(name)


LINE = "units/0/contents/0/"
WRONG: dict[str, tuple[str, Change, str]] = {
    "a unit with a wrong check digit": ("despatch", put("units/0/id", "(00)395210040009260176"), "/content/units/0/id"),
    "a bare number": ("despatch", put("units/0/id", "395210040009260175"), "/content/units/0/id"),
    "a place as unit": ("despatch", put("units/0/id", "(414)9521004000014"), "/content/units/0/id"),
    "an unknown spelling": ("despatch", put("units/0/id", "pallet 7"), "/content/units/0/id"),
    "no text at all": ("despatch", put("units/0/id", 7), "/content/units/0/id"),
    "a licence plate cut short": ("opening", put("units/0/id", "1JUN0495"), "/content/units/0/id"),
    "a unit twice, spelled differently": (
        "despatch",
        lambda content: content["units"].append({"id": "urn:epc:id:sscc:9521004.3000926017"}),
        "/content/units/1",
    ),
    "no units": ("despatch", put("units", []), "/content/units"),
    "a floating-point quantity": ("despatch", put(LINE + "quantity", 60.0), f"/content/{LINE}quantity"),
    "a quantity as number": ("despatch", put(LINE + "quantity", 60), f"/content/{LINE}quantity"),
    "a negative quantity": ("despatch", put(LINE + "quantity", "-60"), f"/content/{LINE}quantity"),
    "a quantity of nothing": ("despatch", put(LINE + "quantity", "0"), f"/content/{LINE}quantity"),
    "a trailing zero": ("despatch", put(LINE + "quantity", "60.0"), f"/content/{LINE}quantity"),
    "half a piece": ("despatch", put(LINE + "quantity", "59.5"), f"/content/{LINE}quantity"),
    "an endless quantity": ("despatch", put(LINE + "quantity", "9" * 41), f"/content/{LINE}quantity"),
    "digits of another script": ("despatch", put(LINE + "quantity", "٣"), f"/content/{LINE}quantity"),
    "a unit of measure in words": ("despatch", put(LINE + "uom", "piece"), f"/content/{LINE}uom"),
    "a part with a wrong check digit": ("despatch", put(LINE + "part", "(01)09521004100012"), f"/content/{LINE}part"),
    "a part in words": ("despatch", put(LINE + "part", "pinion shaft"), f"/content/{LINE}part"),
    "a time without offset": ("despatch", put("despatchedAt", "2026-09-18T16:10:00"), "/content/despatchedAt"),
    "a day that is none": ("despatch", put("despatchedAt", "2026-02-30T16:10:00Z"), "/content/despatchedAt"),
    "a despatch in the future": ("despatch", put("despatchedAt", "2026-10-12T07:00:00Z"), "/content/despatchedAt"),
    "a deadline before the despatch": ("despatch", put("deadline", "2026-09-01T00:00:00Z"), "/content/deadline"),
    "an arrival that is no day": ("despatch", put("arrives", "2026-02-30"), "/content/arrives"),
    "an arrival without offset": ("despatch", put("arrives", "2026-09-22T06:00:00"), "/content/arrives"),
    "an arrival on a day before the despatch": ("despatch", put("arrives", "2026-09-16"), "/content/arrives"),
    "an arrival before the despatch": ("despatch", put("arrives", "2026-09-18T16:00:00+02:00"), "/content/arrives"),
    "an arrival in years": ("despatch", put("arrives", "2029-01-01"), "/content/arrives"),
    "a taker that is no member id": ("despatch", put("taker", "nordrand"), "/content/taker"),
    "a carrier for nobody": ("despatch", put("carrier", {"name": "Spedition"}), "/content/carrier"),
    "a place in words": ("despatch", put("shipTo", "hall 3"), "/content/shipTo"),
    "a GLN with a wrong check digit": ("despatch", put("shipTo", "(414)9521002000017"), "/content/shipTo"),
    "a field that means nothing": ("despatch", put("colour", "blue"), "/content"),
    "no document": ("despatch", drop("document"), "/content"),
    "a document without number": ("despatch", put("document", {"type": "delivery-note"}), "/content/document"),
    "a slot that ends before it begins": ("gate-arrival", put("slot/to", "2026-09-17T03:00:00Z"), "/content/slot"),
    "an outcome that is none": ("receipt", put("outcome", "maybe"), "/content/outcome"),
    "discrepancies of an acceptance": ("receipt", put("outcome", "accepted"), "/content/discrepancies"),
    "a refusal without reason": ("receipt", put("outcome", "refused"), "/content/discrepancies"),
    "a discrepancy of a unit not named": (
        "receipt",
        put("discrepancies/0/unit", "1JUN049505160A1B2C3"),
        "/content/discrepancies/0/unit",
    ),
    "a deviation that is none": ("receipt", put("discrepancies/0/what", "late"), "/content/discrepancies/0/what"),
    "damage accepted without a person": ("receipt", put("discrepancies/0/what", "damaged"), "/content/automatic"),
    "a wrong part that is not named": (
        "receipt",
        put("discrepancies/0/what", "wrong-part"),
        "/content/discrepancies/0",
    ),
    "a tolerance of all": ("receipt", put("automatic/tolerance", "1"), "/content/automatic/tolerance"),
    "a complaint about nothing": ("complaint", put("items", []), "/content/items"),
    "evidence out of order": (
        "explanation",
        lambda content: content["finding"]["evidence"].reverse(),
        "/content/finding/evidence",
    ),
    "evidence that is none": ("explanation", put("finding/evidence/0", "a call"), "/content/finding/evidence/0"),
    "an address twice": (
        "custody-addresses",
        lambda content: content["addresses"].append(content["addresses"][0]),
        "/content/addresses/2",
    ),
    "an opening without its secret": ("opening", lambda content: content["units"][0].pop("secret"), "/content/units/0"),
    "a unit that continues itself": (
        "opening",
        lambda content: content["units"][0].update(continues=content["units"][0]["chain"]),
        "/content/units/0/continues",
    ),
    "a policy that lets every leg go unsigned": (
        "custody-policy",
        put("unsignedAllowed", [{}]),
        "/content/unsignedAllowed/0",
    ),
    "a weight that is none": ("custody-policy", put("weights/0/weight", "bad"), "/content/weights/0/weight"),
    "a unit of measure of no quantity": (
        "complaint",
        lambda one: one["items"][0].pop("quantity"),
        "/content/items/0/quantity",
    ),
    "a time that runs backwards": (
        "custody-policy",
        put("registerWithinMinutes", -1),
        "/content/registerWithinMinutes",
    ),
    "a measure that is none": (
        "custody-policy",
        put("quantityTolerance/0/uom", "kg"),
        "/content/quantityTolerance/0/uom",
    ),
    "a share above all": ("custody-policy", put("quantityTolerance/0/share", "1.5"), ""),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused_with_its_place(name: str) -> None:
    kind, change, where = WRONG[name]
    content = example(kind)
    change(content)
    with pytest.raises(MalformedInput) as refusal:
        facts.check(kind, content, NOW)
    assert refusal.value.where == where or (not where and refusal.value.where)


MAY_BE_EMPTY = {"legs", "unsignedAllowed", "weights", "quantityTolerance", "onTheWay", "levels", "holidays", "sameAs",
                "exercises", "references", "areas", "parts", "ramp"}  # fmt: skip


@pytest.mark.parametrize("kind", sorted(EXAMPLES))
@pytest.mark.parametrize("value", [None, 7, "text", [], {}, True, [None], {"id": None}])
def test_no_field_of_any_kind_takes_what_it_is_not(kind: str, value: Any) -> None:
    for name in EXAMPLES[kind]:
        if name == "to" or (isinstance(value, str) and isinstance(EXAMPLES[kind][name], str)):
            continue
        if value == 7 and name.endswith(("Minutes", "Units", "Days", "loads")):
            continue
        if value == [] and name in MAY_BE_EMPTY:
            continue
        if value is True and name == "offered":
            continue
        if kind in REPORT_KINDS and name not in ("checkpoint", "reader", "view"):
            continue  # what the service works out is read by nobody here
        with pytest.raises(MalformedInput):
            facts.check(kind, {**EXAMPLES[kind], name: value}, NOW)


def offered() -> tuple[Receipt, Despatch]:
    return Receipt.parse(example("receipt")), Despatch.parse(example("despatch"))


TAKER = from_hex(EXAMPLES["despatch"]["taker"], 32, "")
IN_TIME = instant("2026-09-22T06:30:00Z")


def test_a_receipt_of_its_offer_is_taken() -> None:
    receipt, despatch = offered()
    check_acceptance(receipt, TAKER, despatch, IN_TIME)


def without_offer() -> None:
    check_acceptance(offered()[0], TAKER, None, IN_TIME)


def by_another() -> None:
    receipt, despatch = offered()
    check_acceptance(receipt, bytes(32), despatch, IN_TIME)


def too_late() -> None:
    receipt, despatch = offered()
    check_acceptance(receipt, TAKER, despatch, despatch.deadline + 1)


def another_unit() -> None:
    content = example("receipt")
    content["units"].append("1JUN049505160A1B2C3")
    check_acceptance(Receipt.parse(content), TAKER, offered()[1], IN_TIME)


def beyond_its_tolerance() -> None:
    content = example("receipt")
    content["automatic"]["tolerance"] = "0.04"
    check_acceptance(Receipt.parse(content), TAKER, offered()[1], IN_TIME)


@pytest.mark.parametrize(
    ("attempt", "problem"),
    [
        (without_offer, UnknownOffer),
        (by_another, OfferToAnother),
        (too_late, OfferExpired),
        (another_unit, UnitNotOffered),
        (beyond_its_tolerance, BeyondTolerance),
    ],
)
def test_a_receipt_that_answers_no_offer_it_may_answer_is_refused(
    attempt: Callable[[], None], problem: type[OfferRefused]
) -> None:
    with pytest.raises(problem):
        attempt()


def test_an_opening_proves_which_unit_of_the_chain_its_thing_is() -> None:
    content = example("opening")
    content["units"][0]["id"] = "https://label.example.org/1J/UN049505160A1B2C3"  # another spelling of the same
    facts.check("opening", content, NOW)
    for name, other in (("id", "1JUN049505160A1B2C4"), ("custodian", "0x" + "11" * 20), ("secret", "0x" + "11" * 32)):
        changed = deepcopy(content)
        changed["units"][0][name] = other
        with pytest.raises(MalformedInput) as refusal:
            facts.check("opening", changed, NOW)
        assert refusal.value.where == "/content/units/0/chain"
