"""Histories of custody: one untidy, many at random, sensible or not, and many in which nothing is wrong."""

import itertools
import random
from dataclasses import dataclass
from typing import Any

from ledger_service.custody import Fact, Problem
from ledger_service.keys import to_hex
from tests.custody import SHAFT, START, Record, clock_text, member_id, pallet

A, B, C, D = "duero", "oderland", "rheinknoten", "nordrand"
P = pallet(1)


def untidy() -> Record:
    """A record with a bit of everything: corrections, copies, a fork, packing, an explanation."""
    record = Record()
    record.open(A, P, 0)
    record.pack(A, P, [pallet(7), pallet(8)], 0.5)
    record.hand_over(A, B, [P], 1, chain=0)
    copied = record.scan(B, [P], 7)
    record.say(B, "epcis-event", copied.content, 8)
    offered, wrong = record.hand_over(B, C, [P], 9, chain=0)
    short = {"unit": P, "what": "short"}
    record.receipt(C, offered, [P], 20, discrepancies=[short], corrects=wrong)
    record.scan("vltava", [P], 15)
    record.pack(C, P, [pallet(7)], 24, action="DELETE")
    record.on_chain = False
    record.hand_over(C, D, [pallet(7)], 25, quantity=None)
    record.hand_over(C, A, [pallet(7)], 40, quantity=None)
    record.offer(C, D, [P], 41, chain=0)
    found = next(one for one in record.fold().findings if one.problem is Problem.DOUBLE_POSSESSION)
    record.say(C, "explanation", found.explanation("A label was printed twice.", []), 50)
    record.scan(D, [pallet(9)], 51, late=30)
    return record


POLICY: dict[str, Any] = {
    "answerWithinMinutes": 10080,
    "clockToleranceMinutes": 5,
    "quantityTolerance": [],
    "registerWithinMinutes": 1440,
    "streamGapAfterMinutes": 1440,
    "to": [],
    "unsignedAllowed": [],
    "weights": [],
}
"""The content of a custody policy that says what holds without one."""


def any_policy(rng: random.Random) -> dict[str, Any]:
    policy = {**POLICY, "answerWithinMinutes": rng.choice([60, 10080]), "streamGapAfterMinutes": rng.choice([10, 1440])}
    if rng.random() < 0.4:
        policy["deemAcceptedAfterMinutes"] = rng.choice([0, 60, 2880])
    if rng.random() < 0.4:
        policy["quantityTolerance"] = [{"uom": "H87", "share": rng.choice(["0.05", "0.2"])}]
    if rng.random() < 0.4:
        side = rng.choice(["giver", "taker"])
        policy["unsignedAllowed"] = [{side: to_hex(member_id(rng.choice([A, B, C, D])))}]
    if rng.random() < 0.3:
        weight = rng.choice(["breaks-the-record", "needs-explaining", "for-information"])
        policy["weights"] = [{"finding": str(rng.choice(list(Problem))), "weight": weight}]
    return policy


def soup(rng: random.Random, moves: int = 14) -> Record:
    """Anything that members may say and chains may take about three pallets, sensible or not."""
    return _Soup(rng).cook(rng.randint(1, moves))


class _Soup:
    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.record = Record(on_chain=rng.random() < 0.5)
        self.things = [pallet(number) for number in range(3)]
        self.members = [A, B, C, D]
        self.offers: list[Fact] = []
        self.receipts: list[tuple[Fact, Fact]] = []

    def cook(self, moves: int) -> Record:
        rng = self.rng
        for thing in self.things if self.record.on_chain else ():
            for generation in range(rng.randint(1, 2)):
                continues = 0 if generation and rng.random() < 0.5 else None
                who = rng.choice(self.members)
                self.record.open(who, thing, rng.uniform(0, 20), generation=generation, continues=continues)
        for _ in range(moves):
            move = rng.choices(
                [
                    self.offer,
                    self.answer,
                    self.see,
                    self.pack,
                    self.make,
                    self.hide,
                    self.explain,
                    self.step,
                    self.claim,
                ],
                weights=[4, 4, 2, 2, 1, 1, 1, 1, 1],
            )[0]
            who, other = rng.sample(self.members, 2)
            move(who, other, rng.sample(self.things, rng.randint(1, 3)), float(rng.randint(0, 40)))
        return self.record

    def offer(self, who: str, other: str, some: list[str], hour: float) -> None:
        rng = self.rng
        corrects = rng.choice(self.offers) if self.offers and rng.random() < 0.3 else None
        offer = self.record.offer(
            who,
            other,
            [] if corrects is not None and rng.random() < 0.2 else some,
            hour,
            quantity=rng.choice(["60", "60", "60", "58", None]),
            deadline=rng.choice([0, 5, 72, 10_000]),
            number=rng.choice([None, None, "one number"]),
            corrects=corrects,
            late=rng.choice([0, 0, 0, 30]),
            legs=[(who, rng.choice(self.members))] if rng.random() < 0.2 else [],
            carrier_for=rng.choice([None, None, None, *self.members]),
            chain=rng.choice([None, 0, 1]),
            is_shown=len(self.record.facts) % 7 != 3,
            is_disputed=rng.random() < 0.05,
            is_void=rng.random() < 0.03,
        )
        self.offers.append(offer)
        if rng.random() < 0.1:
            self.record.say(who, "despatch", offer.content, hour + 1)

    def answer(self, who: str, other: str, some: list[str], hour: float) -> None:
        rng, record = self.rng, self.record
        if not self.offers or rng.random() < 0.05:
            record.receipt(who, bytes([rng.randint(1, 3)]) * 32, some, hour)
            return
        offer = rng.choice(self.offers)
        if rng.random() < 0.7:
            named = (offer.content or {}).get("taker", "")
            other = next((one for one in self.members if to_hex(member_id(one)) == named), other)
            some = [one["id"] for one in (offer.content or {}).get("units", [])] or some
        discrepancies: list[dict[str, Any]] = []
        if rng.random() < 0.4:
            what = rng.choice(["short", "short", "over", "damaged", "wrong-part"])
            discrepancies = [{"unit": some[0], "what": what}]
            if what in ("damaged", "wrong-part") or rng.random() < 0.5:
                discrepancies[0] |= {"part": SHAFT, "quantity": rng.choice(["1", "2"]), "uom": "H87"}
            if what == "wrong-part":
                discrepancies[0]["found"] = SHAFT
        outcome = "accepted" if discrepancies else rng.choice(["accepted", "accepted", "accepted", "refused"])
        before = rng.choice(self.receipts) if self.receipts and rng.random() < 0.2 else None
        if before is not None:
            offer = before[0]
        taken = record.receipt(
            other,
            offer,
            some,
            hour,
            outcome=outcome,
            discrepancies=discrepancies,
            corrects=None if before is None else before[1],
            received=rng.choice([None, None, None, hour - 3]),
        )
        self.receipts.append((offer, taken))
        if rng.random() < 0.6:
            record.settle(offer, taken, [one for one in some if one in self.things], hour)

    def see(self, who: str, other: str, some: list[str], hour: float) -> None:
        rng, record = self.rng, self.record
        document = {"type": "log", "number": rng.choice(["7", str(len(record.facts))])}
        time = clock_text(START + int(hour * 3_600_000))
        match rng.randrange(5):
            case 0:
                content = {"document": document, "arrivedAt": time, "place": "DEGOE", "units": some}
                record.say(who, "gate-arrival", content, hour)
            case 1:
                items = [{"what": "quality", "unit": one} for one in some]
                record.say(
                    who,
                    "complaint",
                    {"document": document, "about": to_hex(bytes(32)), "raisedAt": time, "items": items},
                    hour,
                )
            case 2:
                name = rng.choice(["urn:uuid:1", "urn:uuid:2"])
                declared: dict[str, Any] = {"errorDeclaration": {"declarationTime": time}} if rng.random() < 0.5 else {}
                record.scan(who, some, hour, name=name, **declared)
            case 3:
                record.scan(who, some, hour, action=rng.choice(["OBSERVE", "DELETE"]), late=rng.choice([0, 40]))
            case _:
                record.scan(who, [*some, SHAFT + "/10/L1", "urn:example:odd"], hour)

    def pack(self, who: str, other: str, some: list[str], hour: float) -> None:
        rng = self.rng
        more: dict[str, Any] = {}
        if rng.random() < 0.4:
            more["childQuantityList"] = [{"epcClass": SHAFT, "quantity": rng.choice(["10", "2.5", 60]), "uom": "H87"}]
        children = [*self.things[: rng.randint(0, 3)], *([SHAFT + "/21/7"] if rng.random() < 0.3 else [])]
        self.record.pack(who, some[0], children, hour, action=rng.choice(["ADD", "ADD", "DELETE", "OBSERVE"]), **more)

    def make(self, who: str, other: str, some: list[str], hour: float) -> None:
        rng = self.rng
        lots = [SHAFT + "/10/L1", SHAFT + "/10/L2"]
        lists = [[{"epcClass": rng.choice(lots), "quantity": rng.choice(["5", "6"])}] for _ in range(2)]
        event: dict[str, Any] = {"type": "TransformationEvent", "inputQuantityList": lists[0]}
        event["outputQuantityList"] = lists[1]
        if rng.random() < 0.5:
            event["transformationID"] = "urn:example:run"
        if rng.random() < 0.3:
            event["inputEPCList"] = some
        self.record.event(who, event, hour)

    def hide(self, who: str, other: str, some: list[str], hour: float) -> None:
        rng, record = self.rng, self.record
        kind = rng.choice(["despatch", "receipt", "epcis-event"])
        number = rng.choice([None, rng.randint(1, 9)])
        hidden = record.say(who, kind, None, hour, number=number, is_disputed=rng.random() < 0.3)
        if kind == "despatch":
            self.offers.append(hidden)
        if rng.random() < 0.2:
            record.say(who, "despatch", {"units": "many"}, hour)

    def explain(self, who: str, other: str, some: list[str], hour: float) -> None:
        found = self.record.fold().findings
        for one in self.rng.sample(found, min(2, len(found))):
            self.record.say(who, "explanation", one.explanation("So it was.", []), hour)

    def step(self, who: str, other: str, some: list[str], hour: float) -> None:
        rng, record = self.rng, self.record
        if not record.on_chain:
            return
        offer = rng.choice(self.offers).id if self.offers and rng.random() < 0.5 else bytes(32)
        taker = None if rng.random() < 0.3 else bytes([rng.randint(1, 4)]) * 20
        reason = None if taker is not None else rng.choice([one.id for one in record.facts])
        step = record.step(
            some[0], hour, None if reason else offer, taker, None if reason else bytes(32), reason=reason
        )
        if rng.random() < 0.1:
            record.steps.remove(step)

    def claim(self, who: str, other: str, some: list[str], hour: float) -> None:
        known = [one.taker for one in self.record.steps if one.taker] + [bytes([number]) * 20 for number in range(1, 5)]
        addresses = self.rng.sample(sorted(set(known)), 2)
        self.record.say(who, "custody-addresses", {"addresses": [to_hex(one) for one in addresses]}, hour)


@dataclass
class Honest:
    """A way without a fault, the policy that it keeps to, and what is told of it nevertheless."""

    record: Record
    policy: dict[str, Any] | None
    told: set[Problem]


def honest(seed: int) -> Honest:
    """A way through two to five members without a fault, told with the untidiness that real records have."""
    return _Honest(seed).go()


class _Honest:
    def __init__(self, seed: int) -> None:
        rng = self.rng = random.Random(seed)
        self.record = Record(on_chain=rng.random() < 0.7)
        self.things = [pallet(seed * 100 + number) for number in range(rng.randint(1, 4))]
        self.boxes = [pallet(seed * 100 + 50 + number) for number in range(rng.randint(0, 3))]
        self.members = rng.sample([A, B, C, D, "vltava", "havelmark"], rng.randint(2, 5))
        if rng.random() < 0.4:
            self.members.append(rng.choice(self.members[:-1]))  # back to somebody who had it before
        self.hour = rng.uniform(0, 24)
        self.amount = rng.randint(1, 500)
        self.chain = 0 if self.record.on_chain else None
        self.policy: dict[str, Any] = {**POLICY, "unsignedAllowed": []}
        self.told: set[Problem] = set()

    def go(self) -> Honest:
        rng, record = self.rng, self.record
        for thing in self.things if record.on_chain else ():
            record.open(self.members[0], thing, self.hour)
        if rng.random() < 0.2:
            self.make()
        if self.boxes:
            self.hour += rng.uniform(0.1, 2)
            record.pack(self.members[0], self.things[0], self.boxes, self.hour)
        for place, (giver, taker) in enumerate(itertools.pairwise(self.members)):
            self.pass_on(giver, taker, is_last=place == len(self.members) - 2)
            if record.on_chain and rng.random() < 0.1 and self.chain == 0:
                self.lose_seed(taker)
        self.end()
        return Honest(record, self.policy, self.told)

    def make(self) -> None:
        """What the pallets hold was merged from two batches and split into three."""
        lots = [f"{SHAFT}/10/L{number}" for number in range(5)]
        taken, made = [("30", lots[0]), ("20", lots[1])], [("10", lots[2]), ("15", lots[3]), ("25", lots[4])]
        self.record.transform(
            self.members[0],
            [(lot, much) for much, lot in taken],
            [(lot, much) for much, lot in made],
            self.hour,
        )

    def pass_on(self, giver: str, taker: str, *, is_last: bool) -> None:
        rng, record, things = self.rng, self.record, self.things
        self.hour += rng.uniform(0.2, 12)
        if rng.random() < 0.5:
            record.scan(giver, [*things, *self.boxes], self.hour - 0.1, late=rng.uniform(0, 20))
        if rng.random() < 0.2:
            self.amount -= (taken_out := rng.randint(0, self.amount // 2))
            if taken_out:
                for thing in things:
                    out = [{"epcClass": SHAFT, "quantity": str(taken_out)}]
                    record.pack(giver, thing, [], self.hour, action="DELETE", childQuantityList=out)
        if rng.random() < 0.15:  # refused once, and offered again
            refused = self.offer(giver, taker)
            record.receipt(taker, refused, things, self.hour + 1, outcome="refused")
            self.hour += 2
        if rng.random() < 0.2:
            self.by_carriers(giver, taker)
        else:
            self.directly(giver, taker, is_last=is_last)

    def offer(self, giver: str, taker: str, **more: Any) -> Fact:
        return self.record.offer(
            giver, taker, self.things, self.hour, quantity=str(self.amount), chain=self.chain, **more
        )

    def directly(self, giver: str, taker: str, *, is_last: bool) -> None:
        rng, record, things = self.rng, self.record, self.things
        carrier = "oderland-kraftverkehr" if rng.random() < 0.3 else None
        given_ = self.offer(giver, taker, late=rng.uniform(0, 20), carrier_for=carrier)
        if rng.random() < 0.1:  # a longer deadline; the chain and the taker know the first offer
            self.offer(giver, taker, carrier_for=carrier, corrects=given_, deadline=96)
        if carrier is not None:
            record.scan(carrier, things, self.hour + 1)
        for _ in range(rng.randint(0, 2)):
            record.scan(rng.choice([giver, taker]), rng.sample(things, 1), self.hour + rng.uniform(0.1, 2))
        if is_last and rng.random() < 0.1:  # nobody answers, and the policy says what that means
            self.policy["deemAcceptedAfterMinutes"] = 60
            self.told.add(Problem.ONE_SIDED_HANDOFF)
            self.hour += 100
            return
        self.hour += rng.uniform(2.1, 40)
        self.accept(given_, taker)

    def by_carriers(self, giver: str, taker: str) -> None:
        """Through a haulier and a cross-dock who sign for it, on the way to the taker or each on its own."""
        rng, record = self.rng, self.record
        stops = [giver, "haulier", "cross-dock", taker]
        parts = list(itertools.pairwise(stops))
        whole = self.offer(giver, taker, legs=parts) if rng.random() < 0.5 else None
        signed = 2 if whole is not None and rng.random() < 0.5 else 3
        for start, end in parts[:signed]:
            self.hour += rng.uniform(0.1, 3)
            given_ = self.offer(start, end)
            self.hour += rng.uniform(0.1, 3)
            self.accept(given_, end)
            if rng.random() < 0.3:
                record.scan(end, self.things, self.hour + 0.05)
        if whole is None:
            return
        self.hour += rng.uniform(0.1, 3)
        record.receipt(taker, whole, self.things, self.hour, late=rng.uniform(0, 20))
        if signed == 2:
            self.policy["unsignedAllowed"] = [{"giver": to_hex(member_id("cross-dock"))}]
            self.told.add(Problem.UNSIGNED_LEG)

    def accept(self, given_: Fact, taker: str) -> None:
        rng, record, things = self.rng, self.record, self.things
        discrepancies: list[dict[str, Any]] = []
        if rng.random() < 0.2:
            discrepancies = [{"unit": things[0], "what": "damaged", "part": SHAFT, "quantity": "1", "uom": "H87"}]
        automatic = "0.01" if not discrepancies and rng.random() < 0.3 else None
        taken = record.receipt(
            taker, given_, things, self.hour, discrepancies=discrepancies, late=rng.uniform(0, 20), automatic=automatic
        )
        record.settle(given_, taken, things, self.hour)
        if rng.random() < 0.2:
            record.say(taker, "receipt", taken.content, self.hour + 1)  # sent again with new salts
        if rng.random() < 0.3:
            record.scan(taker, [*things, *self.boxes], self.hour + 0.05)

    def lose_seed(self, holder: str) -> None:
        """The keys of what it holds are lost; it opens them anew, says so, and says why."""
        record = self.record
        self.hour += 1
        for thing in self.things:
            record.open(holder, thing, self.hour, generation=1, continues=0)
        self.chain = 1
        self.told.add(Problem.REOPENED_AFTER_KEY_LOSS)
        for found in record.fold().findings:
            if found.problem is Problem.REOPENED_AFTER_KEY_LOSS:
                record.say(
                    holder, "explanation", found.explanation("A disk broke, and its copy with it.", []), self.hour
                )

    def end(self) -> None:
        rng, record = self.rng, self.record
        if Problem.ONE_SIDED_HANDOFF in self.told:
            return
        last = self.members[-1]
        if self.boxes and rng.random() < 0.5:
            record.pack(last, self.things[0], self.boxes, self.hour + 1, action="DELETE")
        if rng.random() < 0.2:
            emptied = record.scan(last, self.things, self.hour + 2, action="DELETE", bizStep="decommissioning")
            for thing in self.things if record.on_chain else ():
                record.step(thing, self.hour + 2, None, None, reason=emptied.id)
