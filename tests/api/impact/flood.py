"""Three members in a chain, for tests: who makes what of what, and a flood where it begins."""

from datetime import date
from typing import Any

from api.feed import iso
from ledger_service.keys import to_hex
from tests.api.house import House

DAY = 86_400_000
PLANT, AXLES, CASTINGS, SPARE, OTHER = (
    f"https://{name}.example.org/site/1" for name in ("havelmark", "nordrand", "duero", "kleinwerk", "oderland")
)
CAR, AXLE, HOUSING = (f"did:web:{name}.example.org/part/1" for name in ("havelmark", "nordrand", "duero"))


def today(service: House) -> date:
    return date.fromisoformat(iso(service.clock.now)[:10])


def state(service: House, who: str, kind: str, *, to: tuple[str, ...] = (), **content: Any) -> str:
    """The id of a fact that `who` states and registers."""
    document = {"number": kind, "type": "list"}
    said = {"asOf": iso(service.clock.now - 3_600_000), "document": document, **content}
    one = service.envelope(who, to, content=said, kind=kind, stream=f"{who} {kind} {' '.join(to)}")
    answer = service.send(who, one.data)
    assert answer.status_code == 201, answer.text
    return to_hex(one.header.digest(service.domain))


def chain(service: House) -> None:
    """Castings of duero → nordrand's axles → havelmark's cars; each has a week of what it needs, and says so."""
    state(
        service,
        "havelmark",
        "site",
        site=PLANT,
        name="Magdeburg",
        region="Central Europe",
        latitude="52.13",
        longitude="11.62",
        locode="DEMAG",
    )
    state(service, "nordrand", "site", site=AXLES, name="Göttingen", region="Central Europe")
    state(
        service,
        "duero",
        "site",
        site=CASTINGS,
        name="Castings",
        region="Iberia",
        latitude="41.65",
        longitude="-4.72",
        recoveryDays={"least": 14, "likely": 28, "most": 42},
    )
    for who, site, part, name in (
        ("havelmark", PLANT, CAR, "Car"),
        ("nordrand", AXLES, AXLE, "Axle"),
        ("duero", CASTINGS, HOUSING, "Housing"),
    ):
        state(service, who, "part", part=part, uom="H87", name=name)
        state(service, who, "capacity", site=site, part=part, planned="100", most="110", uom="H87")
    for who, site, made, part in (("havelmark", PLANT, CAR, AXLE), ("nordrand", AXLES, AXLE, HOUSING)):
        state(
            service,
            who,
            "bill-of-material",
            site=site,
            part=made,
            needs=[{"part": part, "quantity": "1", "uom": "H87"}],
        )
        state(service, who, "stock", site=site, part=part, quantity="500", uom="H87")
    state(service, "havelmark", "product-price", site=PLANT, part=CAR, currency="EUR", minorUnits=3_000_000)
    for who, supplier, customer, part in (("havelmark", AXLES, PLANT, AXLE), ("nordrand", CASTINGS, AXLES, HOUSING)):
        state(
            service,
            who,
            "supply-link",
            supplier=supplier,
            customer=customer,
            part=part,
            uom="H87",
            share="1",
            lead={"days": 1},
            level="region-and-cause",
        )


def flood(service: House, number: str, status: str = "Actual", **more: Any) -> str:
    """A form by duero: its site is under water from tomorrow on. The disruption's key."""
    form = {
        "number": number,
        "status": status,
        "what": "flood",
        "sure": "Observed",
        "cause": "natural-disaster",
        "from": iso(service.clock.now + DAY),
        "where": {"sites": [CASTINGS]},
        **more,
    }
    answer = service.post("duero", "/v1/risk/disruptions/read", json=form, params={"format": "form"})
    assert answer.status_code == 200, answer.text
    (content,) = answer.json()["contents"]
    said = {name: value for name, value in content.items() if name != "to"}
    one = service.envelope("duero", (), content=said, kind="disruption", stream="duero disruptions")
    assert service.send("duero", one.data).status_code == 201
    service.anchor()
    key: str = service.get("duero", "/v1/risk/disruptions", status=status).json()["items"][0]["key"]
    return key
