"""Offers with printed notes for tests, and somebody with a telephone."""

import re
from dataclasses import dataclass
from typing import Any

from ledger_service.custody.kinds import Despatch
from ledger_service.keys import from_hex, to_hex
from tests.api.house import House
from tests.consortium import member_id
from tests.custody import HOUR, clock_text

PIN = "480913"
SHAFT = "(01)09521004100011"
PALLETS = ("(00)395210040009260106", "(00)395210040009260113", "(00)395210040009260120")
SITE = "https://id.gs1.org/414/9521002000016"


def despatch(now: int, taker: str = "nordrand", **changes: Any) -> dict[str, Any]:
    """What duero says when it ships three pallets, without its audience."""
    contents = [{"part": SHAFT, "batch": "L2609", "quantity": "60", "uom": "H87", "line": "10"}]
    return {
        "document": {"type": "delivery-note", "number": "80417731"},
        "taker": to_hex(member_id(taker)),
        "despatchedAt": clock_text(now - HOUR),
        "deadline": clock_text(now + 48 * HOUR),
        "units": [{"id": one, "contents": contents} for one in PALLETS],
        "carrier": {"name": "Oderland Spedition", "for": to_hex(member_id("duero"))},
        "seal": "ES-448221",
        "shipTo": SITE,
        **changes,
    }


def parsed(**changes: Any) -> Despatch:
    return Despatch.parse({"to": [], **despatch(1_790_000_000_000, **changes)})


def offer(service: House, taker: str = "nordrand", **changes: Any) -> bytes:
    """The id of a despatch that duero has registered."""
    service.sign_out()  # the clock may have moved on since
    envelope = service.envelope(
        "duero", (taker,), kind="despatch", content=despatch(service.clock.now, taker, **changes)
    )
    answer = service.send("duero", envelope.data)
    assert answer.status_code == 201, answer.text
    return from_hex(answer.json()["digest"], 32)


def note(service: House, despatch_id: bytes) -> str:
    """The token of a note as duero prints it."""
    desk = service.app.state.service.desk
    view = service.app.state.service.offers.find(despatch_id, 0, service.network.ledger.custody_policy(0))
    token: str = desk.notes.make(despatch_id, view.deadline, service.clock.now)
    return token


def set_pin(service: House, member: str = "nordrand", pin: str = PIN, site: str | None = None) -> Any:
    service.sign_out()
    body = {"pin": pin} if site is None else {"pin": pin, "site": site}
    return service.post(member, "/v1/custody/pins", json=body)


@dataclass
class Telephone:
    """A browser at one note's page, in English unless told otherwise."""

    service: House
    token: str
    lang: str = "en"
    last: Any = None
    place: str = "o"

    def __post_init__(self) -> None:
        self.service.anyone.cookies.clear()

    def get(self) -> Any:
        self.last = self.service.anyone.get(f"/{self.place}/{self.token}", params={"lang": self.lang})
        return self.last

    def post(self, path: str, **fields: str) -> Any:
        """Send a form of the page that is open; its token is the page's unless given."""
        found = re.search(r'name="form" value="(\w+)"', self.last.text if self.last is not None else "")
        form = {"form": found.group(1)} if found is not None else {}
        form |= {name.replace("__", "."): value for name, value in fields.items()}
        self.last = self.service.anyone.post(
            f"/{self.place}/{self.token}/{path}", params={"lang": self.lang}, data=form, follow_redirects=True
        )
        return self.last

    def sign_in(self, pin: str = PIN) -> Any:
        self.get()
        return self.post("pin", pin=pin)

    def accept(self, **fields: str) -> Any:
        """Fill in, look it over and sign."""
        values = {"answer": "accept", "basis": "counted"} | fields
        review = self.post("answer", **values)
        return self.post("answer", stage="sign", **values) if review.status_code == 200 else review

    def refuse(self, reason: str) -> Any:
        self.post("answer", answer="refuse", reason=reason)
        return self.post("answer", answer="refuse", reason=reason, stage="sign")

    def states(self) -> list[str]:
        """What the page says of how things stand."""
        return [re.sub(r"<[^>]+>", "", one) for one in re.findall(r'class="state[^>]*>(.*?)</', self.last.text)]
