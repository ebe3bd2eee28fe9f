"""September 2026 as EPCIS 2.0 documents: what each member hands to its own gateway, and when.

Everything follows from `consortium.json`, `trucks.csv` and `september.json`: the same files give the same bytes. A
truck takes 16 pallets of shafts from Valladolid over the cross-dock in Duisburg to Göttingen; each event is signed by
whoever did it. `python -m demo.september DIR` writes the documents out.
"""

import csv
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from demo.consortium import Company, Consortium, consortium, data

CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"
SIX_HOURS = 21_600_000


@dataclass(frozen=True, slots=True)
class Document:
    """One EPCIS document: who files it, from which of its sources, for whom, and when it is registered (ms UTC)."""

    registered_at: int
    company: str
    source: str
    to: tuple[str, ...]
    text: str
    events: int
    about: str


@dataclass(frozen=True, slots=True)
class Pallet:
    """One pallet of the month: its SSCC, as a number and as EPC."""

    sscc: str
    epc: str


def documents() -> list[Document]:
    """The month in the order of registration."""
    return _Month(consortium()).documents()


def check_digit(body: str) -> str:
    """The last digit of a GS1 key whose other digits are `body` (GS1 General Specifications, 7.9)."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(body)))
    return str(-total % 10)


def special_pallet() -> Pallet:
    """The pallet that the auditor asks about."""
    return _Month(consortium()).special_pallet


def truck(number: int) -> tuple[dict[str, str], list[Pallet], Pallet]:
    """A truck's row in `trucks.csv`, its pallets, and the one among them that the auditor asks about."""
    month = _Month(consortium())
    row = next(one for one in month.trucks if int(one["truck"]) == number)
    return row, month.pallets(number), month.special_pallet


def shaft_key() -> str:
    """The part number of the shafts, as statements name it."""
    return f"(01){consortium().products['shaft'].gtin}"


class _Month:
    def __init__(self, cast: Consortium) -> None:
        self.cast = cast
        self.story = data("september.json")
        text = (files("demo") / "trucks.csv").read_text(encoding="utf-8")
        self.trucks = list(csv.DictReader(text.splitlines()))
        self.found: list[tuple[int, str, list[dict[str, Any]], str]] = []
        self.by_name: dict[str, dict[str, Any]] = {}

    # -- things --------------------------------------------------------------------------------------------------------

    def pallets(self, truck: int) -> list[Pallet]:
        first = int(self.story["firstSerial"]) + 16 * (truck - 1)
        return [self._pallet(serial) for serial in range(first, first + 16)]

    def _pallet(self, serial: int) -> Pallet:
        extension, prefix = self.story["extensionDigit"], self._company("duero").gs1_prefix
        body = f"{extension}{prefix}{serial:09d}"
        return Pallet(body + check_digit(body), f"urn:epc:id:sscc:{prefix}.{extension}{serial:09d}")

    @property
    def special_pallet(self) -> Pallet:
        wanted: dict[str, int] = self.story["pallet"]
        return self.pallets(wanted["truck"])[wanted["place"] - 1]

    @property
    def shafts(self) -> str:
        """The month's lot of shafts as an EPC class."""
        gtin = str(self.cast.products["shaft"].gtin)
        prefix = str(self._company("duero").gs1_prefix)
        return f"urn:epc:class:lgtin:{prefix}.0{gtin[len(prefix) : 12]}.{self.story['lot']}"

    def _company(self, key: str) -> Company:
        return self.cast.companies[key]

    # -- events --------------------------------------------------------------------------------------------------------

    def documents(self) -> list[Document]:
        for row in self.trucks:
            self._truck(int(row["truck"]), row)
        for number, row in enumerate(self.story["housings"]["trucks"], 1):
            self._housings(number, row)
        for happening in self.story["story"]:
            self._happening(happening)
        found = sorted(self.found, key=lambda one: (one[0], one[1], one[3]))
        return [self._document(*one) for one in found]

    def _truck(self, number: int, row: dict[str, str]) -> None:
        notes = self.story["trucks"].get(str(number), {})
        loaded = self.pallets(number)
        onward = self._onward(number, loaded)
        note = f"DN-2609{number:02d}"
        about = f"truck {number}"
        leaves = row["leaves_valladolid"]
        packs = [
            self._event(
                f"pack {one.sscc}", leaves, "valladolid", "packing", "in_progress", minutes_before=150 - 8 * place,
                kind="AggregationEvent", action="ADD", parent=one.epc,
            )
            for place, one in enumerate(loaded)
        ]  # fmt: skip
        despatch = self._event(
            f"{about} despatch", leaves, "valladolid", "shipping", "in_transit", loaded, hand=("duero", "oderland"),
            papers=[("desadv", "duero", note)],
        )  # fmt: skip
        self._file("duero", leaves, [*packs, despatch], about)
        self._handover(f"{about} pick-up", "oderland", leaves, "valladolid", "accepting", loaded, ("duero", "oderland"))

        reaches = row["reaches_duisburg"]
        self._handover(
            f"{about} at the cross-dock", "rheinknoten", reaches, "duisburg", "receiving", loaded,
            ("oderland", "rheinknoten"), registered=notes.get("reachesDuisburgRegistered"),
        )  # fmt: skip
        leaves = row["leaves_duisburg"]
        hand = ("rheinknoten", "oderland")
        self._handover(f"{about} sent on", "rheinknoten", leaves, "duisburg", "shipping", onward, hand)
        if "unsignedLeg" not in notes:
            self._handover(f"{about} taken on", "oderland", leaves, "duisburg", "accepting", onward, hand)

        gate = row["gate_goettingen"]
        self._handover(f"{about} at the gate, carrier", "oderland", gate, "goettingen", "arriving", onward, None)
        self._handover(f"{about} at the gate", "nordrand gate", gate, "goettingen", "arriving", onward, None)
        received = self._event(
            f"{about} goods receipt", row["posted"], "goettingen", "receiving", "in_progress", onward,
            hand=("oderland", "nordrand"),
            papers=[("recadv", "nordrand", f"GR-2609{number:02d}"), ("desadv", "duero", note)],
        )  # fmt: skip
        self._file("nordrand", row["posted"], [received], about)
        if "damaged" in notes:
            self._damage(notes["damaged"], loaded, about)

    def _onward(self, number: int, loaded: list[Pallet]) -> list[Pallet]:
        """The pallets that leave Duisburg with a truck: its own but those left behind, and those left by an earlier
        one.
        """
        left = self.story["trucks"].get(str(number), {}).get("leftInDuisburg", [])
        joined = [
            self.pallets(int(other))[place - 1]
            for other, notes in self.story["trucks"].items()
            if notes.get("goOnWith") == number
            for place in notes["leftInDuisburg"]
        ]
        return [one for place, one in enumerate(loaded, 1) if place not in left] + joined

    def _damage(self, damaged: dict[str, Any], loaded: list[Pallet], about: str) -> None:
        events = [
            self._event(
                f"damage {loaded[place - 1].sscc}", damaged["at"], "goettingen", "inspecting", "damaged",
                [loaded[place - 1]], quantity=(self.shafts, damaged["shafts"]),
            )
            for place in damaged["pallets"]
        ]  # fmt: skip
        self._file("nordrand", damaged["at"], events, f"{about}, damage")

    def _housings(self, number: int, row: dict[str, str]) -> None:
        facts = self.story["housings"]
        plates = [
            Pallet("", f"https://example.org/1J/{facts['plate']}{number:02d}{place:02d}")
            for place in range(1, facts["perTruck"] + 1)
        ]
        about = f"housings, truck {number}"
        papers = [("desadv", "pannon", f"PD-2609{number:02d}")]
        sent = self._event(
            f"{about} despatch", row["leaves"], "szekesfehervar", "shipping", "in_transit", plates,
            hand=("pannon", "nordrand"), papers=papers,
        )  # fmt: skip
        self._file("pannon", row["leaves"], [sent], about)
        received = self._event(
            f"{about} goods receipt", row["received"], "goettingen", "receiving", "in_progress", plates,
            hand=("pannon", "nordrand"), papers=papers,
        )  # fmt: skip
        self._file("nordrand housings", row["received"], [received], about)

    def _happening(self, one: dict[str, Any]) -> None:
        pallet = self.special_pallet
        about = f"pallet …{pallet.sscc[-4:]}"
        if one["do"] == "declare error":
            self._declare_error(one, pallet, about)
            return
        hand = (one["from"], one["to"]) if "from" in one else None
        event = self._event(
            f"{about} {one['by']} {one['do']} {one['at']}", one["at"], one["site"], one["do"], one["disposition"],
            [pallet], hand=hand,
        )  # fmt: skip
        self._file(one["by"], one.get("registered", one["at"]), [event], about)

    def _declare_error(self, one: dict[str, Any], pallet: Pallet, about: str) -> None:
        """The earlier event once more, declared wrong, and the corrected one (EPCIS 2.0, 7.4.1.4)."""
        wrong = self.by_name[f"truck {one['truck']} goods receipt"]
        right = {**wrong, "eventID": _event_id(f"{about} counted again")}
        right["epcList"] = [epc for epc in wrong["epcList"] if epc != pallet.epc]
        declared = {
            **wrong,
            "errorDeclaration": {
                "declarationTime": self._written(one["at"]),
                "reason": one["reason"],
                "correctiveEventIDs": [right["eventID"]],
            },
        }
        self._file(one["by"], one["at"], [declared, right], f"{about}, error declared")

    def _handover(
        self,
        name: str,
        by: str,
        at: str,
        site: str,
        step: str,
        pallets: list[Pallet],
        hand: tuple[str, str] | None,
        *,
        registered: str | None = None,
    ) -> None:
        event = self._event(name, at, site, step, "in_transit", pallets, hand=hand)
        self._file(by, registered or at, [event], name)

    def _event(
        self,
        name: str,
        at: str,
        site: str,
        step: str,
        disposition: str,
        pallets: Iterable[Pallet] = (),
        *,
        kind: str = "ObjectEvent",
        action: str = "OBSERVE",
        parent: str | None = None,
        hand: tuple[str, str] | None = None,
        papers: Iterable[tuple[str, str, str]] = (),
        quantity: tuple[str, int] | None = None,
        minutes_before: int = 0,
    ) -> dict[str, Any]:
        owner, place = self.cast.site(site)
        event: dict[str, Any] = {
            "type": kind,
            "eventID": _event_id(name),
            "eventTime": self._written(at, minutes_before),
            "eventTimeZoneOffset": self.story["offset"],
        }
        if parent is not None:
            event["parentID"] = parent
            event["childQuantityList"] = [{"epcClass": self.shafts, "quantity": self.cast.products["shaft"].per_pallet}]
        else:
            event["epcList"] = [one.epc for one in pallets]
        if quantity is not None:
            event["quantityList"] = [{"epcClass": quantity[0], "quantity": quantity[1]}]
        event |= {"action": action, "bizStep": step, "disposition": disposition}
        event["readPoint"] = {"id": place.read_point(owner.gs1_prefix)}
        written = [{"type": sort, "bizTransaction": self._paper(key, number)} for sort, key, number in papers]
        if written:
            event["bizTransactionList"] = written
        if hand is not None:
            giver, taker = (self._company(key).party for key in hand)
            event["sourceList"] = [{"type": "possessing_party", "source": giver}]
            event["destinationList"] = [{"type": "possessing_party", "destination": taker}]
        self.by_name[name] = event
        return event

    def _paper(self, key: str, number: str) -> str:
        gln = self._company(key).sites[0].gln
        return f"https://example.org/{key}/{number}" if gln is None else f"urn:epcglobal:cbv:bt:{gln}:{number}"

    # -- documents -----------------------------------------------------------------------------------------------------

    def _file(self, by: str, at: str, events: list[dict[str, Any]], about: str) -> None:
        # Gateways send four times a day; what was registered late is told to the minute.
        happened = max(datetime.fromisoformat(event["eventTime"]) for event in events)
        told = self._instant(at)
        if told == int(happened.timestamp()) * 1000:
            told = (told // SIX_HOURS + 1) * SIX_HOURS
        self.found.append((told, by, events, about))

    def _document(self, at: int, by: str, events: list[dict[str, Any]], about: str) -> Document:
        lane = self.story["lanes"][by]
        value = {
            "@context": [CONTEXT],
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "creationDate": datetime.fromtimestamp(at // 1000, _zone(self.story["offset"])).isoformat(),
            "epcisBody": {"eventList": events},
        }
        text = json.dumps(value, ensure_ascii=False, indent=1) + "\n"
        return Document(at, by.partition(" ")[0], lane["source"], tuple(lane["to"]), text, len(events), about)

    def _written(self, at: str, minutes_before: int = 0) -> str:
        time = datetime.fromtimestamp(self._instant(at) // 1000 - 60 * minutes_before, _zone(self.story["offset"]))
        return time.isoformat()

    def _instant(self, at: str) -> int:
        return int(datetime.fromisoformat(f"{at.replace(' ', 'T')}:00{self.story['offset']}").timestamp()) * 1000


def _zone(offset: str) -> Any:
    return datetime.fromisoformat(f"2026-09-01T00:00:00{offset}").tzinfo


def _event_id(name: str) -> str:
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'https://example.org/demo/{name}')}"


def main(arguments: list[str]) -> None:
    """Write the documents into the folder named."""
    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(documents(), 1):
        (folder / f"{number:03d}-{one.company}.jsonld").write_text(one.text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
