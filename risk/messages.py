"""Reports in the formats of others, read and written: CX-0146 notifications, CAP 1.2 alerts, GDACS feeds, and a plain
form that a person fills in. Pure.

Reading keeps the message as it came (`Report.original`); writing a report that was read gives that message back, whole.
A report of our own is written anew from its fields. XML with a document type is refused: none of these formats has one,
and it is how readers of XML are attacked. `content_of` and `report_of` carry a report through a signed statement.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring
from xml.parsers import expat

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
_TAG = re.compile(rb"""<(?:"[^"]*"|'[^']*'|[^>"'])*+>""")
_SITE = re.compile(r"BPNS[a-zA-Z0-9]{12}")
MAX_BYTES = 4 << 20
MAX_TEXT = 4000
"""Characters of a report's text; a longer description is cut, its message is not."""

_CAP_CAUSE = {"Met": Cause.NATURAL_DISASTER, "Geo": Cause.NATURAL_DISASTER, "Fire": Cause.PRODUCTION_INCIDENT,
              "Health": Cause.PANDEMIC, "Transport": Cause.LOGISTICS, "Infra": Cause.LOGISTICS,
              "Security": Cause.WAR}  # fmt: skip
_LEFT = "capacityLeft"
"""The parameter of an alert that says which share of capacity stays; CAP itself has no word for it."""
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
        original=_original(data),
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
        left=_number(parameters[_LEFT]) if _LEFT in parameters else None,
        text="" if info is None else _headline(info),
        original=_original(data),
    )
    report.check()
    return report


def _headline(info: Element) -> str:
    return (info.findtext(f"{_CAP}headline") or info.findtext(f"{_CAP}description") or "")[:MAX_TEXT]


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
    if report.action is Action.CANCEL and not report.event:
        return _document(root)
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
    if report.left is not None:
        parameter = SubElement(info, "parameter")
        SubElement(parameter, "valueName").text = _LEFT
        SubElement(parameter, "value").text = decimal_text(report.left)
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
    return _document(root)


def _document(root: Element) -> bytes:
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
    text = _original(data).removeprefix("\ufeff")
    reports, unread = [], []
    for item, original in zip(channel.findall("item"), _cut(text), strict=True):
        name = (item.findtext("guid") or item.findtext("title") or "?").strip()
        try:
            reports.append(_item(item, original))
        except MalformedFact as error:
            unread.append((name, str(error)))
    return Feed(tuple(reports), tuple(unread), text)


def _cut(feed: str) -> list[str]:
    """Each item of a feed as it stands there, in the start tags of its feed, so that it is a feed of one item."""
    data = feed.encode()
    parser = expat.ParserCreate("utf-8")
    path: list[str] = []
    root, begins, found = b"", 0, []

    def tag() -> bytes:
        match = _TAG.match(data, parser.CurrentByteIndex)
        assert match is not None, "the parser stands at a tag"
        return match.group()

    def start(name: str, _attributes: Any) -> None:
        nonlocal root, begins
        if not path:
            root = tag()
        path.append(name)
        if path == ["rss", "channel", "item"]:
            begins = parser.CurrentByteIndex

    def end(_name: str) -> None:
        if path == ["rss", "channel", "item"]:
            # Of `<item/>` both events stand at the same place.
            item = data[begins : parser.CurrentByteIndex] + tag()
            found.append((root + b"<channel>" + item + b"</channel></rss>").decode())
        path.pop()

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.Parse(data, True)
    return found


def _item(item: Element, original: str) -> Report:
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
        text=text.strip()[:MAX_TEXT],
        original=original,
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


# -- the plain form ---------------------------------------------------------------------------------------------------

_FORM_NEEDED = {"what", "status", "number"}
_FORM_ALLOWED = {
    "where", "from", "until", "left", "sure", "severity", "cause", "parts", "text", "key", "about", "updates",
    "cancels", "over", "sent",
}  # fmt: skip
_FORM_WHERE = {"sites": Place.SITE, "regions": Place.REGION, "ports": Place.PORT, "lanes": Place.LANE}


def read_form(data: bytes, sender: str, now: datetime) -> Report:
    """What somebody of the member `sender` filled in: what, where, from when, until when, how much is left, how sure.

    `{"what": "flood", "status": "Actual", "number": "7", "where": {"sites": [...]}, "from": time, "until": time,
    "left": "0.25", "sure": "Observed"}`; also `severity`, `cause`, `parts`, `text`, `over`. `updates` and `cancels`
    name an own report by its number, `about` lists reports of others on the same thing, `key` is what the thing is
    called. Numbers may be typed as numbers or as text; times have an offset. Without `sent` it is sent `now`.
    """
    value = _json(data)
    missing, unknown = _FORM_NEEDED - value.keys(), value.keys() - _FORM_NEEDED - _FORM_ALLOWED
    if "cancels" not in value:
        missing |= {"where", "from", "sure"} - value.keys()
    if missing or unknown:
        wrong = f"{', '.join(sorted(missing))} is missing" if missing else f"{', '.join(sorted(unknown))} is unknown"
        raise MalformedFact(wrong, "form")
    if {"updates", "cancels"} <= value.keys():
        raise MalformedFact("it updates or it cancels, not both", "/cancels")
    if value.get("over", True) is not True:
        raise MalformedFact("is true, or left out", "/over")
    references = [(sender, _typed(value, name)) for name in ("updates", "cancels") if name in value]
    for place, one in enumerate(_listed(value, "about")):
        if not isinstance(one, dict) or one.keys() != {"sender", "identifier"}:
            raise MalformedFact("a report of somebody else has a sender and an identifier", f"/about/{place}")
        references.append((_typed(one, "sender"), _typed(one, "identifier")))
    report = Report(
        format=FORM,
        sender=sender,
        identifier=_typed(value, "number"),
        sent=_iso(value["sent"], "/sent") if "sent" in value else now,
        status=_choice(Status, _typed(value, "status"), "/status"),
        action=Action.CANCEL if "cancels" in value else Action.UPDATE if "updates" in value else Action.ALERT,
        event=_typed(value, "what"),
        key=_typed(value, "key") if "key" in value else None,
        references=tuple(references),
        onset=_iso(value["from"], "/from") if "from" in value else None,
        ends=_iso(value["until"], "/until") if "until" in value else None,
        severity=_choice(Severity, _typed(value, "severity"), "/severity") if "severity" in value else Severity.UNKNOWN,
        certainty=_choice(Certainty, _typed(value, "sure"), "/sure") if "sure" in value else Certainty.UNKNOWN,
        cause=_choice(Cause, _typed(value, "cause"), "/cause") if "cause" in value else Cause.OTHER,
        areas=tuple(_form_areas(value["where"])) if "where" in value else (),
        parts=tuple(_texts(value, "parts")),
        left=_typed_number(value["left"], "/left") if "left" in value else None,
        is_over="over" in value,
        text=_typed(value, "text", MAX_TEXT) if "text" in value else "",
        original=_original(data),
    )
    report.check()
    return report


def _form_areas(where: Any) -> Iterable[Area]:
    if not isinstance(where, dict) or not where or not where.keys() <= _FORM_WHERE.keys() | {"circles", "polygons"}:
        raise MalformedFact(f"expected some of {', '.join(_FORM_WHERE)}, circles, polygons and nothing else", "/where")
    for name, kind in _FORM_WHERE.items():
        for place, one in enumerate(_listed(where, name, "/where")):
            yield Named(kind, _typed({"name": one}, "name", at=f"/where/{name}/{place}"))
    for place, one in enumerate(_listed(where, "circles", "/where")):
        at = f"/where/circles/{place}"
        if not isinstance(one, dict) or one.keys() != {"latitude", "longitude", "radiusKm"}:
            raise MalformedFact("a circle has latitude, longitude and radiusKm", at)
        yield Circle(*(_typed_number(one[name], f"{at}/{name}") for name in ("latitude", "longitude", "radiusKm")))
    for place, one in enumerate(_listed(where, "polygons", "/where")):
        at = f"/where/polygons/{place}"
        if not isinstance(one, list) or not all(isinstance(corner, list) and len(corner) == 2 for corner in one):
            raise MalformedFact("a polygon is a list of corners, each a latitude and a longitude", at)
        yield Polygon(tuple((_typed_number(lat, at), _typed_number(lon, at)) for lat, lon in one))


def _typed(value: dict[str, Any], name: str, longest: int = 300, at: str = "") -> str:
    text = value[name]
    if not isinstance(text, str) or not 0 < len(text.strip()) <= longest:
        raise MalformedFact(f"expected text of 1 to {longest} characters", at or f"/{name}")
    return text.strip()


def _typed_number(value: Any, where: str) -> float:
    if type(value) not in (int, float, str):
        raise MalformedFact("expected a number", where)
    try:
        return _number(str(value))
    except MalformedFact as error:
        raise MalformedFact(error.what, where) from None


def _listed(value: dict[str, Any], name: str, where: str = "") -> list[Any]:
    found = value.get(name, [])
    if not isinstance(found, list):
        raise MalformedFact("expected a list", f"{where}/{name}")
    return found


# -- all of them ------------------------------------------------------------------------------------------------------


def read(form: str, data: bytes, sender: str, now: datetime) -> Feed:
    """The reports in `data`, a message in the format `form`, as the member `sender` passes them on at `now`.

    Raises MalformedFact, for a format that is unknown as well. Of a GDACS feed some items may stay unread.
    """
    if form == GDACS:
        return read_feed(data)
    if form in (CAP, "cap"):
        report = read_alert(data)
    elif form == CX:
        report = read_notification(data, sender)
    elif form == FORM:
        report = read_form(data, sender, now)
    else:
        raise MalformedFact(f"{form[:20]!r} is none of cap, {CX}, {GDACS}, {FORM}", "format")
    return Feed((report,), (), report.original)


def content_of(report: Report) -> dict[str, Any]:
    """What a statement of kind `disruption` says for `report`, all but `to`; `report_of` makes the report again."""
    content: dict[str, Any] = {
        "action": str(report.action),
        "areas": [_area_content(one) for one in report.areas],
        "cause": str(report.cause),
        "certainty": str(report.certainty),
        "format": report.format,
        "identifier": report.identifier,
        "parts": list(report.parts),
        "references": [{"identifier": identifier, "sender": sender} for sender, identifier in report.references],
        "sender": report.sender,
        "sent": report.sent.isoformat(),
        "severity": str(report.severity),
        "status": str(report.status),
    }
    given: dict[str, Any] = {
        "ends": None if report.ends is None else report.ends.isoformat(),
        "event": report.event,
        "isOver": report.is_over,
        "key": report.key,
        "left": None if report.left is None else decimal_text(report.left),
        "onset": None if report.onset is None else report.onset.isoformat(),
        "original": report.original,
        "text": report.text,
    }
    return content | {name: value for name, value in given.items() if value}


def report_of(fact: Any) -> Report:
    """The report in a statement of kind `disruption`, by the plain fields of its content; raises MalformedFact."""
    report = Report(
        format=str(fact.format),
        sender=fact.sender,
        identifier=fact.identifier,
        sent=fact.sent,
        status=Status(fact.status),
        action=Action(fact.action),
        event=fact.event,
        key=fact.key,
        references=fact.references,
        onset=fact.onset,
        ends=fact.ends,
        severity=Severity(fact.severity),
        certainty=Certainty(fact.certainty),
        cause=Cause(fact.cause),
        areas=tuple(_area_of(one) for one in fact.areas),
        parts=fact.parts,
        left=None if fact.left is None else float(fact.left),
        is_over=fact.is_over,
        text=fact.text,
        original=fact.original,
    )
    report.check()
    return report


def _area_content(area: Area) -> dict[str, Any]:
    if isinstance(area, Circle):
        return {
            "circle": {
                "latitude": decimal_text(area.latitude),
                "longitude": decimal_text(area.longitude),
                "radiusKm": decimal_text(area.radius_km),
            }
        }
    if isinstance(area, Polygon):
        return {"polygon": [[decimal_text(lat), decimal_text(lon)] for lat, lon in area.points]}
    return {str(area.kind): area.name}


def _area_of(area: Any) -> Area:
    if hasattr(area, "radius_km"):
        return Circle(float(area.latitude), float(area.longitude), float(area.radius_km))
    if hasattr(area, "points"):
        return Polygon(tuple((float(lat), float(lon)) for lat, lon in area.points))
    return Named(Place(area.kind), area.name)


def decimal_text(value: float) -> str:
    """`value` without exponent and trailing zeros; reading it gives the same number.

    >>> decimal_text(121.5), decimal_text(1e-05), decimal_text(-0.0), decimal_text(120.0)
    ('121.5', '0.00001', '0', '120')
    """
    text = format(Decimal(repr(value)), "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _original(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise MalformedFact("the message is not written in UTF-8") from None


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
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate can be written as an escape, and nowhere else
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
