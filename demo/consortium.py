"""Who takes part: members, sites and products, read from `consortium.json`."""

import json
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Site:
    """A place of a member. `gln` is None for a member without a GS1 prefix."""

    key: str
    town: str
    country: str
    latitude: str
    longitude: str
    gln: str | None = None
    un_locode: str | None = None

    def read_point(self, prefix: str | None) -> str:
        """The site as EPCIS names it: by its SGLN, else by its coordinates (RFC 5870)."""
        if self.gln is None or prefix is None:
            return f"geo:{self.latitude},{self.longitude}"
        return f"urn:epc:id:sgln:{prefix}.{self.gln[len(prefix) : 12]}.0"


@dataclass(frozen=True, slots=True)
class Company:
    """A member of the demo's consortium."""

    key: str
    name: str
    did: str
    role: str
    sites: tuple[Site, ...]
    gs1_prefix: str | None = None
    duns: str | None = None
    is_witness: bool = False

    @property
    def identifiers(self) -> tuple[str, ...]:
        """What the directory files under this member, one owner each."""
        numbers = tuple(f"GLN:{site.gln}" for site in self.sites if site.gln)
        return numbers + ((f"DUNS:{self.duns}",) if self.duns else ())

    @property
    def party(self) -> str:
        """The company as a party in EPCIS: by its PGLN, else by its DID."""
        gln = self.sites[0].gln
        if gln is None or self.gs1_prefix is None:
            return self.did
        return f"urn:epc:id:pgln:{self.gs1_prefix}.{gln[len(self.gs1_prefix) : 12]}"


@dataclass(frozen=True, slots=True)
class Product:
    """What one member makes and another builds in."""

    key: str
    name: str
    maker: str
    per_pallet: int
    gtin: str | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True)
class Consortium:
    """The demo's cast. `starts_at` is when the story clock stands still for the reader, ms UTC."""

    origin: str
    starts_at: int
    companies: dict[str, Company]
    products: dict[str, Product]

    def site(self, key: str) -> tuple[Company, Site]:
        """The site with this key and whose it is."""
        return next((one, site) for one in self.companies.values() for site in one.sites if site.key == key)

    @property
    def witnesses(self) -> list[Company]:
        return [one for one in self.companies.values() if one.is_witness]


@cache
def consortium() -> Consortium:
    """The cast as the file has it."""
    value = data("consortium.json")
    companies = [
        Company(
            one["key"],
            one["name"],
            one["did"],
            one["role"],
            tuple(
                Site(
                    site["key"],
                    site["town"],
                    site["country"],
                    site["latitude"],
                    site["longitude"],
                    site.get("gln"),
                    site.get("unLocode"),
                )
                for site in one["sites"]
            ),
            one.get("gs1Prefix"),
            one.get("duns"),
            one.get("witness", False),
        )
        for one in value["members"]
    ]
    products = [
        Product(one["key"], one["name"], one["maker"], one["perPallet"], one.get("gtin"), one.get("part"))
        for one in value["products"]
    ]
    starts_at = datetime.fromisoformat(value["storyStartsAt"])
    return Consortium(
        value["origin"],
        int(starts_at.timestamp()) * 1000,
        {one.key: one for one in companies},
        {one.key: one for one in products},
    )


def data(name: str) -> dict[str, Any]:
    """One of the demo's JSON files."""
    value: dict[str, Any] = json.loads((files("demo") / name).read_text(encoding="utf-8"))
    return value
