"""Reports in the formats of others, read and written: CX-0146 notifications, CAP 1.2 alerts, GDACS feeds. Pure.

Reading keeps the message as it came (`Report.original`); writing a report that was read gives that message back, whole.
A report of our own is written anew from its fields. XML with a document type is refused: none of these formats has one,
and it is how readers of XML are attacked.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from risk.disruption import Action, Area, Cause, Certainty, Circle, Named, Place, Polygon, Report, Severity, Status
from risk.errors import MalformedFact

CX = "cx-0146"
CAP = "cap-1.2"
GDACS = "gdacs"
FORM = "form"

CAP_NAMESPACE = "urn:oasis:names:tc:emergency:cap:1.2"
_CAP = f"{{{CAP_NAMESPACE}}}"
_GDACS = "{http://www.gdacs.org}"
_GEO = "{http://www.w3.org/2003/01/geo/wgs84_pos#}"
_UUID = re.compile(r"(urn:uuid:)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_SITE = re.compile(r"BPNS[a-zA-Z0-9]{12}")
MAX_BYTES = 4 << 20

_CAP_CAUSE = {"Met": Cause.NATURAL_DISASTER, "Geo": Cause.NATURAL_DISASTER, "Fire": Cause.PRODUCTION_INCIDENT,
              "Health": Cause.PANDEMIC, "Transport": Cause.LOGISTICS, "Infra": Cause.LOGISTICS,
              "Security": Cause.WAR}  # fmt: skip
_GDACS_EVENT = {"EQ": "earthquake", "TC": "tropical cyclone", "FL": "flood", "DR": "drought", "WF": "wildfire",
                "TS": "tsunami", "VO": "volcano"}  # fmt: skip
_GDACS_SEVERITY = {"Red": Severity.EXTREME, "Orange": Severity.SEVERE, "Green": Severity.MINOR}


# -- Catena-X CX-0146 -------------------------------------------------------------------------------------------------

_CX_NEEDED = {
    "leadingRootCause", "effect", "startDateOfEffect", "status", "contentChangedAt", "sourceDisruptionId",
    "notificationId",
}  # fmt: skip
_CX_ALLOWED = {
    "affectedSitesSender", "affectedSitesRecipient", "materialsAffected", "expectedEndDateOfEffect",
    "relatedNotificationIds", "text", "resolvingMeasureDescription",
}  # fmt: skip
_CX_EFFECTS = {"demand-reduction", "demand-increase", "capacity-reduction", "capacity-increase"}
_CX_PARTS = ("materialGlobalAssetId", "materialNumberCustomer", "materialNumberSupplier")


def read_notification(data: bytes, sender: str) -> Report:
    """The demand and capacity notification in `data`, which `sender` sent; raises MalformedFact.

    It has no geometry, no share of capacity and no certainty: who sends it knows its own site, so it is observed.
    """
    value = _json(data)
    missing, unknown = _CX_NEEDED - value.keys(), value.keys() - _CX_NEEDED - _CX_ALLOWED
    if missing or unknown:
        wrong = f"{', '.join(sorted(missing))} is missing" if missing else f"{', '.join(sorted(unknown))} is unknown"
        raise MalformedFact(wrong, "notification")
    if value["status"] not in ("open", "resolved"):
        raise MalformedFact("status is open or resolved", "/status")
    if value["status"] == "resolved" and not value.get("resolvingMeasureDescription"):
        raise MalformedFact("what is resolved says by which measure", "/resolvingMeasureDescription")
    if value["effect"] not in _CX_EFFECTS:
        raise MalformedFact(f"effect is one of {', '.join(sorted(_CX_EFFECTS))}", "/effect")
    try:
        cause = Cause(value["leadingRootCause"])
    except ValueError:
        raise MalformedFact(f"it is one of {', '.join(Cause)}", "/leadingRootCause") from None
    related = _texts(value, "relatedNotificationIds")
    for where, one in (("notificationId", value["notificationId"]),
                       ("sourceDisruptionId", value["sourceDisruptionId"]),
                       *(("relatedNotificationIds", one) for one in related)):  # fmt: skip
        if not isinstance(one, str) or not _UUID.fullmatch(one):
            raise MalformedFact("expected a UUID", f"/{where}")
    sites = _texts(value, "affectedSitesSender")
    for one in (*sites, *_texts(value, "affectedSitesRecipient")):
        if not _SITE.fullmatch(one):
            raise MalformedFact(f"{one[:40]!r} is no BPNS", "/affectedSitesSender")
    text = value.get("text", "")
    if not isinstance(text, str) or len(text) > 4000:
        raise MalformedFact("text has 4,000 characters at most", "/text")
    parts = []
    for place, material in enumerate(value.get("materialsAffected", [])):
        if not isinstance(material, dict) or not material.keys() <= set(_CX_PARTS) or not material:
            raise MalformedFact(f"a material is named by {', '.join(_CX_PARTS)}", f"/materialsAffected/{place}")
        parts.append(str(next(material[name] for name in reversed(_CX_PARTS) if name in material)))
    report = Report(
        format=CX,
        sender=sender,
        identifier=value["notificationId"].removeprefix("urn:uuid:").lower(),
        sent=_iso(value["contentChangedAt"], "/contentChangedAt"),
        status=Status.ACTUAL,
        action=Action.ALERT,
        event=value["effect"],
        key="cx:" + value["sourceDisruptionId"].removeprefix("urn:uuid:").lower(),
        onset=_iso(value["startDateOfEffect"], "/startDateOfEffect"),
        ends=_iso(value["expectedEndDateOfEffect"], "/expectedEndDateOfEffect")
        if "expectedEndDateOfEffect" in value
        else None,
        certainty=Certainty.OBSERVED,
        cause=cause,
        areas=tuple(Named(Place.SITE, one) for one in sites),
        parts=tuple(parts),
        is_over=value["status"] == "resolved",
        text=text,
        original=data.decode(),
    )
    report.check()
    return report


def write_notification(report: Report) -> bytes:
    """The CX-0146 notification of a report: as it came, or written anew from its fields.

    Raises MalformedFact where the format has no place for what it says: it knows neither exercises nor areas.
    """
    if report.format == CX and report.original:
        return report.original.encode()
    if report.status is not Status.ACTUAL or report.action is Action.CANCEL:
        raise MalformedFact(f"CX-0146 cannot say {report.status} or {report.action}", f"report {report.identifier}")
    if report.key is None or report.onset is None:
        raise MalformedFact("CX-0146 wants a source disruption and its onset", f"report {report.identifier}")
    value: dict[str, Any] = {
        "affectedSitesSender": [one.name for one in report.areas if isinstance(one, Named) and one.kind is Place.SITE],
        "contentChangedAt": report.sent.isoformat(),
        "effect": report.event if report.event in _CX_EFFECTS else "capacity-reduction",
        "leadingRootCause": str(report.cause),
        "materialsAffected": [{"materialNumberSupplier": one} for one in report.parts],
        "notificationId": _uuid(report.identifier),
        "sourceDisruptionId": _uuid(report.key.removeprefix("cx:")),
        "startDateOfEffect": report.onset.isoformat(),
        "status": "resolved" if report.is_over else "open",
        "text": report.text,
    }
    if report.ends is not None:
        value["expectedEndDateOfEffect"] = report.ends.isoformat()
    if report.is_over:
        value["resolvingMeasureDescription"] = report.text or "resolved"
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode()


# -- OASIS CAP 1.2 ----------------------------------------------------------------------------------------------------


def read_alert(data: bytes) -> Report:
    """The CAP 1.2 alert in `data`; raises MalformedFact. Of several languages the first one counts."""
    root = _xml(data)
    if root.tag != f"{_CAP}alert":
        raise MalformedFact(f"expected an alert of {CAP_NAMESPACE}, got {root.tag[:80]}")
    action = _text(root, f"{_CAP}msgType")
    if action not in set(Action):
        raise MalformedFact(f"a message of type {action[:20]!r} reports nothing", "/alert/msgType")
    info = root.find(f"{_CAP}info")
    if info is None and action != Action.CANCEL:
        raise MalformedFact("an alert has an info", "/alert/info")
    references = []
    for one in (root.findtext(f"{_CAP}references") or "").split():
        if one.count(",") != 2:
            raise MalformedFact("a reference is sender,identifier,sent", "/alert/references")
        sender, identifier, _ = one.split(",")
        references.append((sender, identifier))
    parameters = {} if info is None else _pairs(info, "parameter")
    key = None
    if {"eventtype", "eventid"} <= parameters.keys():
        key = f"gdacs:{parameters['eventtype']}{parameters['eventid']}"
    incident = (root.findtext(f"{_CAP}incidents") or "").strip()
    report = Report(
        format=CAP,
        sender=_text(root, f"{_CAP}sender"),
        identifier=_text(root, f"{_CAP}identifier"),
        sent=_iso(_text(root, f"{_CAP}sent"), "/alert/sent"),
        status=_choice(Status, _text(root, f"{_CAP}status"), "/alert/status"),
        action=Action(action),
        event="" if info is None else _text(info, f"{_CAP}event"),
        key=key or (f"incident:{incident}" if incident else None),
        references=tuple(references),
        onset=None if info is None else _optional_time(info, "onset", "effective"),
        ends=None if info is None else _optional_time(info, "expires"),
        severity=Severity.UNKNOWN if info is None else _choice(Severity, _text(info, f"{_CAP}severity"), "severity"),
        certainty=Certainty.UNKNOWN
        if info is None
        # CAP 1.2, 3.2.2: "Very Likely" is deprecated and reads as Likely.
        else _choice(Certainty, _text(info, f"{_CAP}certainty").replace("Very Likely", "Likely"), "certainty"),
        cause=Cause.OTHER if info is None else _CAP_CAUSE.get(_text(info, f"{_CAP}category"), Cause.OTHER),
        areas=() if info is None else tuple(_cap_areas(info)),
        text="" if info is None else (info.findtext(f"{_CAP}headline") or info.findtext(f"{_CAP}description") or ""),
        original=data.decode("utf-8", errors="strict"),
    )
    report.check()
    return report


def _cap_areas(info: Element) -> Iterable[Area]:
    for area in info.findall(f"{_CAP}area"):
        for one in area.findall(f"{_CAP}polygon"):
            points = tuple(_point(pair) for pair in (one.text or "").split())
            yield Polygon(points)
        for one in area.findall(f"{_CAP}circle"):
            centre, _, radius = (one.text or "").strip().partition(" ")
            latitude, longitude = _point(centre)
            yield Circle(latitude, longitude, _number(radius))
        for name, value in _pairs(area, "geocode").items():
            if name == "UN/LOCODE":
                yield Named(Place.PORT, value)
            elif name in ("region", "ISO3166-1", "ISO 3166-1"):
                yield Named(Place.REGION, value)
            elif name == "site":
                yield Named(Place.SITE, value)
            elif name == "lane":
                yield Named(Place.LANE, value)


def write_alert(report: Report) -> bytes:
    """The CAP 1.2 alert of a report: as it came, or written anew from its fields."""
    if report.format == CAP and report.original:
        return report.original.encode()
    root = Element("alert", xmlns=CAP_NAMESPACE)
    for name, value in (
        ("identifier", _cap_name(report.identifier)),
        ("sender", _cap_name(report.sender)),
        ("sent", _cap_time(report.sent)),
        ("status", report.status),
        ("msgType", report.action),
        ("scope", "Private"),
        ("addresses", "consortium"),
        ("references", " ".join(f"{_cap_name(sender)},{_cap_name(one)},{_cap_time(report.sent)}"
                                for sender, one in report.references)),
        ("incidents", "" if report.key is None else report.key.removeprefix("incident:")),
    ):  # fmt: skip
        if value:
            SubElement(root, name).text = str(value)
    info = SubElement(root, "info")
    category = next((one for one, cause in _CAP_CAUSE.items() if cause is report.cause), "Other")
    for name, value in (
        ("category", category),
        ("event", report.event),
        ("urgency", "Unknown"),
        ("severity", report.severity),
        ("certainty", report.certainty),
        ("onset", _cap_time(report.onset)),
        ("expires", _cap_time(report.ends)),
        ("headline", report.text),
    ):
        if value:
            SubElement(info, name).text = str(value)
    if report.areas:
        area = SubElement(info, "area")
        SubElement(area, "areaDesc").text = report.event
        order = {Polygon: 0, Circle: 1, Named: 2}  # the schema's
        for one in sorted(report.areas, key=lambda each: order[type(each)]):
            if isinstance(one, Polygon):
                SubElement(area, "polygon").text = " ".join(f"{lat!r},{lon!r}" for lat, lon in one.points)
            elif isinstance(one, Circle):
                SubElement(area, "circle").text = f"{one.latitude!r},{one.longitude!r} {one.radius_km!r}"
            else:
                code = SubElement(area, "geocode")
                SubElement(code, "valueName").text = "UN/LOCODE" if one.kind is Place.PORT else str(one.kind)
                SubElement(code, "value").text = one.name
    data: bytes = tostring(root, encoding="utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + data


# -- GDACS ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Feed:
    """A GDACS feed: its reports, what could not be read and why, and the feed as it came."""

    reports: tuple[Report, ...]
    unread: tuple[tuple[str, str], ...]
    original: str


def read_feed(data: bytes) -> Feed:
    """The reports of a GDACS RSS feed in its order; an item that cannot be read does not keep out the others.

    Episodes of one event share its key; a later version updates the one before. Raises MalformedFact for what is no
    feed at all.
    """
    root = _xml(data)
    channel = root.find("channel")
    if root.tag != "rss" or channel is None:
        raise MalformedFact("expected an RSS feed with a channel")
    reports, unread = [], []
    for item in channel.findall("item"):
        name = (item.findtext("guid") or item.findtext("title") or "?").strip()
        try:
            reports.append(_item(item))
        except MalformedFact as error:
            unread.append((name, str(error)))
    return Feed(tuple(reports), tuple(unread), data.decode("utf-8-sig"))


def _item(item: Element) -> Report:
    # Older items name their event in the guid alone, as TC1000643.
    guid = (item.findtext("guid") or "").strip()
    kind = (item.findtext(f"{_GDACS}eventtype") or guid[:2]).strip()
    event = (item.findtext(f"{_GDACS}eventid") or guid[2:]).strip()
    if not event:
        raise MalformedFact("eventid is missing")
    if kind not in _GDACS_EVENT:
        raise MalformedFact(f"an event of type {kind[:20]!r} is unknown", "eventtype")
    areas: list[Area] = []
    box = (item.findtext(f"{_GDACS}bbox") or "").split()
    point = item.find(f"{_GEO}Point")
    if len(box) == 4:
        west, east, south, north = map(_number, box)
        areas.append(_box(west, east, south, north))
    elif point is not None:
        latitude, longitude = _number(_text(point, f"{_GEO}lat")), _number(_text(point, f"{_GEO}long"))
        areas.append(Circle(latitude, longitude, 100.0))
    is_temporary = (item.findtext(f"{_GDACS}temporary") or "").strip() == "true"
    episode = (item.findtext(f"{_GDACS}episodeid") or "1").strip()
    version = (item.findtext(f"{_GDACS}version") or "1").strip()
    text = item.findtext("description") or item.findtext("title") or ""
    report = Report(
        format=GDACS,
        sender="gdacs.org",
        identifier=f"{kind}{event}/{episode}/{version}",
        sent=_rfc822(_text(item, "pubDate"), "pubDate"),
        status=Status.DRAFT if is_temporary else Status.ACTUAL,
        action=Action.ALERT,
        event=_GDACS_EVENT[kind],
        key=f"gdacs:{kind}{event}",
        onset=_rfc822(_text(item, f"{_GDACS}fromdate"), "fromdate"),
        ends=_rfc822(_text(item, f"{_GDACS}todate"), "todate"),
        severity=_GDACS_SEVERITY.get((item.findtext(f"{_GDACS}alertlevel") or "").strip(), Severity.UNKNOWN),
        certainty=Certainty.OBSERVED,
        cause=Cause.NATURAL_DISASTER,
        areas=tuple(areas),
        is_over=(item.findtext(f"{_GDACS}iscurrent") or "true").strip() == "false",
        text=text.strip(),
        original=tostring(item, encoding="unicode"),
    )
    report.check()
    return report


def _box(west: float, east: float, south: float, north: float) -> Polygon:
    """A box of degrees as a ring; GDACS writes longitudes beyond 180 for one across the date line."""
    south, north = max(south, -90.0), min(north, 90.0)

    def lon(value: float) -> float:
        return (value + 180) % 360 - 180 if abs(value) > 180 else value

    middle = (west + east) / 2  # so that no side is longer than half way round
    corners = [(south, west), (south, middle), (south, east), (north, east), (north, middle), (north, west)]
    ring = [(lat, lon(long)) for lat, long in corners]
    return Polygon((*ring, ring[0]))


# -- all of them ------------------------------------------------------------------------------------------------------


def _json(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_BYTES:
        raise MalformedFact(f"it has more than {MAX_BYTES} bytes")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise MalformedFact("a name comes twice in one object")
        return found

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=unique)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise MalformedFact(f"this is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise MalformedFact("expected an object")
    return value


def _xml(data: bytes) -> Element:
    if len(data) > MAX_BYTES:
        raise MalformedFact(f"it has more than {MAX_BYTES} bytes")
    try:
        root: Element = ElementTree.fromstring(data, forbid_dtd=True)
    except (ParseError, ValueError, DefusedXmlException, RecursionError) as error:
        raise MalformedFact(f"this is no XML that is read here: {error!s}") from error
    return root


def _texts(value: dict[str, Any], name: str) -> list[str]:
    found = value.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise MalformedFact("expected a list of text", f"/{name}")
    return found


def _text(element: Element, tag: str) -> str:
    text = (element.findtext(tag) or "").strip()
    if not text:
        raise MalformedFact(f"{tag.rpartition('}')[2]} is missing")
    return text


def _pairs(element: Element, tag: str) -> dict[str, str]:
    return {
        _text(one, f"{_CAP}valueName"): (one.findtext(f"{_CAP}value") or "").strip()
        for one in element.findall(f"{_CAP}{tag}")
    }


def _choice(among: Any, text: str, where: str) -> Any:
    try:
        return among(text)
    except ValueError:
        raise MalformedFact(f"{text[:40]!r} is none of {', '.join(among)}", where) from None


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value != value or value in (float("inf"), float("-inf")):
        raise MalformedFact(f"expected a number, got {text[:40]!r}")
    return value


def _point(text: str) -> tuple[float, float]:
    latitude, comma, longitude = text.partition(",")
    if not comma:
        raise MalformedFact(f"expected latitude,longitude, got {text[:40]!r}")
    return _number(latitude), _number(longitude)


def _iso(text: Any, where: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise MalformedFact(f"expected a date and time, got {str(text)[:40]!r}", where) from None
    if time.utcoffset() is None:
        raise MalformedFact("its time has no offset", where)
    return time


def _rfc822(text: str, where: str) -> datetime:
    try:
        time = parsedate_to_datetime(text)
    except ValueError:
        raise MalformedFact(f"expected a date and time, got {text[:40]!r}", where) from None
    return time if time.utcoffset() is not None else time.replace(tzinfo=UTC)


def _optional_time(info: Element, *names: str) -> datetime | None:
    for name in names:
        text = info.findtext(f"{_CAP}{name}")
        if text:
            return _iso(text.strip(), f"/alert/info/{name}")
    return None


def _cap_time(time: datetime | None) -> str:
    """CAP 1.2, 3.3.2: an offset in digits, never a Z; whole seconds."""
    return "" if time is None else time.replace(microsecond=0).isoformat()


def _cap_name(text: str) -> str:
    """CAP 1.2, 3.2.1: a name has no spaces, commas, < or &."""
    return re.sub(r"[\s,<&]", "_", text)


def _uuid(text: str) -> str:
    return f"urn:uuid:{text}" if _UUID.fullmatch(text) and not text.startswith("urn:") else text
