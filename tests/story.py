"""The auditor's story on the consortium's own chain: sixteen pallets from Valladolid, of which one came by Plzeň."""

from ledger_service.custody import Policy, Problem, Step, UnsignedAllowed, fold
from ledger_service.identifiers import check_digit, identify
from ledger_service.instants import instant
from ledger_service.keys import to_hex
from tests.consortium import member_id
from tests.custody_chain import House

DUERO, ODERLAND, RHEINKNOTEN, NORDRAND, VLTAVA = "duero", "oderland", "rheinknoten", "nordrand", "vltava"
MEMBERS = ("havelmark", DUERO, ODERLAND, RHEINKNOTEN, NORDRAND, VLTAVA)
POLICY = {
    "registerWithinMinutes": 1440,
    "clockToleranceMinutes": 5,
    "streamGapAfterMinutes": 1440,
    "answerWithinMinutes": 10080,
    "unsignedAllowed": [{"taker": to_hex(member_id(ODERLAND))}],
    "quantityTolerance": [],
    "weights": [],
}


def at(text: str) -> int:
    """A time in Berlin in September 2026, in ms."""
    return instant(f"2026-09-{text}:00+02:00")


BEFORE = at("18T12:00")


def sscc(number: int) -> str:
    body = f"39521004000926{number:03d}"
    found = identify(f"(00){body}{check_digit(body)}")
    assert found is not None
    return found.key


PALLETS = [sscc(number) for number in range(10, 26)]
STRAY = sscc(17)


def tell(house: House) -> dict[str, bytes]:
    """The story up to 30 September, two witnesses cosigning; the ids of what was said."""
    said = {"policy": house.vote_policy("havelmark", POLICY, at("18T13:00"))}
    said["opening"] = house.open(DUERO, PALLETS, at("18T14:00"))
    house.hand_over(DUERO, ODERLAND, PALLETS, at("18T16:00"), at("18T16:10"))
    house.publish()
    house.hand_over(ODERLAND, RHEINKNOTEN, PALLETS, at("21T04:20"), at("21T04:35"))
    given = house.offer(RHEINKNOTEN, NORDRAND, PALLETS, at("21T19:05"), legs=[(RHEINKNOTEN, ODERLAND)])
    house.publish()
    taken = house.receipt(NORDRAND, given, PALLETS, at("22T06:21"), basis="listed")
    house.take(house.handoffs(NORDRAND, given, taken, PALLETS))
    said["late"] = house.scan(RHEINKNOTEN, PALLETS, at("21T05:00"), late_minutes=26 * 60)
    said["seen"] = house.scan(VLTAVA, [STRAY], at("22T13:40"))
    house.publish()
    said["counted"] = house.receipt(
        NORDRAND,
        given,
        PALLETS,
        at("22T06:21"),
        said=at("24T10:00"),
        basis="counted",
        discrepancies=[{"unit": STRAY, "what": "short"}],
        corrects=to_hex(taken),
    )
    explain(house, said)
    said["arrived"] = house.scan(NORDRAND, [STRAY], at("28T09:15"), bizStep="arriving")
    house.until(at("30T12:00"))
    house.publish("havelmark", "duero")
    return said | {"given": given, "taken": taken}


def explain(house: House, said: dict[str, bytes]) -> None:
    """What Rheinknoten and Nordrand signed on 24 September."""
    policy = Policy(unsigned_allowed=(UnsignedAllowed(None, member_id(ODERLAND)),))
    steps = [Step.of(one) for taken in house.taken.values() for one in taken]
    found = {one.problem: one for one in fold(house.facts(), steps, policy, at=at("24T11:00")).findings}
    for problem, issuer, text in (
        (Problem.DOUBLE_POSSESSION, RHEINKNOTEN, "We printed one label twice; the second went to Plzeň."),
        (Problem.QUANTITY_NOT_CONSERVED, NORDRAND, "We accepted 16 from the list and counted 15."),
    ):
        said[problem] = house.explain(issuer, found[problem], text, at("24T15:00"))
