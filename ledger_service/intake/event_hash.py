"""The CBV 2.0 event hash: the name other EPCIS systems give an event by its content.

Computed on request for interoperability and never relied on: it has collisions by design (its pre-hash string joins
fields without separators) and leaves out the error declaration. Sources: CBV 2.0 section 8.9 with its 24 rules, and
the vectors of the reference implementation, which settle what the rules leave open or say otherwise.
`docs/decisions/0004-event-hash.md` has the list.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ledger_service.errors import MalformedInput
from ledger_service.identifiers import MalformedIdentifier, identify
from ledger_service.instants import moment
from ledger_service.intake.epcis import prefixes
from ledger_service.intake.vocabulary import ALL_FIELDS, EPC_LISTS, QUANTITY_LISTS, WORDS, hides_field


class AmbiguousEvent(MalformedInput):
    """An event whose event hash would also be that of another event, because a value contains what parts fields."""


def event_hash(event: Mapping[str, Any], context: Sequence[Any] = (), ignored: Collection[str] = ()) -> str:
    """The name `ni:///sha-256;…?ver=CBV2.0` of `event`, which must have been read by `epcis.read_document`.

    `context` is its JSON-LD context; `ignored` names extension fields that a repository added. Raises AmbiguousEvent.
    """
    digest = hashlib.sha256(pre_hash(event, context, ignored).encode()).hexdigest()
    return f"ni:///sha-256;{digest}?ver=CBV2.0"


def pre_hash(event: Mapping[str, Any], context: Sequence[Any] = (), ignored: Collection[str] = ()) -> str:
    """The canonical text of `event` that is hashed.

    >>> pre_hash({"type": "ObjectEvent", "eventTime": "2026-09-01T10:00:00+02:00", "eventTimeZoneOffset": "+02:00",
    ...           "epcList": [], "action": "OBSERVE"})
    'eventType=ObjectEventeventTime=2026-09-01T08:00:00.000ZeventTimeZoneOffset=+02:00action=OBSERVE'
    """
    return _Writer(prefixes(context), ignored).event(event)


_ORDER = (
    "certificationInfo",
    "epcList",
    "parentID",
    "inputEPCList",
    "childEPCs",
    "quantityList",
    "childQuantityList",
    "inputQuantityList",
    "outputEPCList",
    "outputQuantityList",
    "action",
    "transformationID",
    "bizStep",
    "disposition",
    "persistentDisposition",
    "readPoint",
    "bizLocation",
    # From here on as the vectors have it; CBV's table has sources before destinations, and sensors and ilmd last.
    "sensorElementList",
    "bizTransactionList",
    "destinationList",
    "ilmd",
    "sourceList",
)
_LEFT_OUT = frozenset(("type", "eventID", "recordTime", "errorDeclaration", "eventTime", "eventTimeZoneOffset"))
_METADATA = (
    "time",
    "startTime",
    "endTime",
    "deviceID",
    "deviceMetadata",
    "rawData",
    "dataProcessingMethod",
    "bizRules",
)
_REPORT = (
    "type",
    "exception",
    "deviceID",
    "deviceMetadata",
    "rawData",
    "dataProcessingMethod",
    "time",
    "microorganism",
    "chemicalSubstance",
    "value",
    "component",
    "stringValue",
    "booleanValue",
    "hexBinaryValue",
    "uriValue",
    "minValue",
    "maxValue",
    "meanValue",
    "sDev",
    "percRank",
    "percValue",
    "uom",
    "coordinateReferenceSystem",
)
_TIMES = frozenset(("time", "startTime", "endTime"))
_REPORT_WORDS = {"type": "measurement", "exception": "exception", "component": "component"}
_COMMENTS = frozenset(("rdfs:comment", "{http://www.w3.org/2000/01/rdf-schema#}comment", "comment"))
_WEB_ADDRESS_OF_URN = {
    "urn:epcglobal:cbv:bizstep:": "https://ref.gs1.org/cbv/BizStep-",
    "urn:epcglobal:cbv:disp:": "https://ref.gs1.org/cbv/Disp-",
    "urn:epcglobal:cbv:btt:": "https://ref.gs1.org/cbv/BTT-",
    "urn:epcglobal:cbv:sdt:": "https://ref.gs1.org/cbv/SDT-",
    "urn:epcglobal:cbv:er:": "https://ref.gs1.org/cbv/ER-",
}


class _Writer:
    """Writes one event in the namespaces `names` of its context."""

    def __init__(self, names: Mapping[str, str], ignored: Collection[str]) -> None:
        self.names = names
        self.ignored = {self.name(key) for key in ignored} | _COMMENTS

    def event(self, event: Mapping[str, Any]) -> str:
        text = f"eventType={self.value(event['type'])}eventTime={_utc(event['eventTime'])}"
        text += f"eventTimeZoneOffset={self.value(event['eventTimeZoneOffset'])}"
        for name in _ORDER:
            if name in event:
                text += self.field(name, event[name])
        rest = {key: value for key, value in event.items() if key not in ALL_FIELDS and key not in _LEFT_OUT}
        return text + self.extensions(rest)

    def field(self, name: str, value: Any) -> str:
        if name in EPC_LISTS:
            return _list(name, (f"epc={self.value(epc)}" for epc in value))
        if name in QUANTITY_LISTS:
            return _list(
                name, (f"quantityElement{self.group(item, ('epcClass', 'quantity', 'uom'))}" for item in value)
            )
        if name in ("readPoint", "bizLocation"):
            return name + self.group(value, ("id",))
        if name in ("bizStep", "disposition"):
            return f"{name}={self.word(value, name)}"
        if name == "persistentDisposition":
            return name + "".join(
                "".join(sorted(f"{key}={self.word(item, 'disposition')}" for item in value.get(key) or ()))
                for key in ("set", "unset")
            )
        if name in ("bizTransactionList", "sourceList", "destinationList"):
            thing = name.removesuffix("List")
            words = {"type": "bizTransaction" if thing == "bizTransaction" else "party"}
            return _list(name, (self.group(item, ("type", thing), words) for item in value))
        if name == "sensorElementList":
            return _list(name, (self.sensor(element) for element in value))
        if name == "ilmd":
            return name + self.extensions(value) if value else ""
        values = value if isinstance(value, list) else [value]
        return "".join(sorted(f"{name}={self.value(item)}" for item in values))

    def sensor(self, element: Mapping[str, Any]) -> str:
        text = "sensorElement"
        if element.get("sensorMetadata"):
            text += "sensorMetadata" + self.group(element["sensorMetadata"], _METADATA)
        reports = (f"sensorReport{self.group(report, _REPORT, _REPORT_WORDS)}" for report in element["sensorReport"])
        rest = {key: value for key, value in element.items() if key not in ("sensorMetadata", "sensorReport")}
        return text + "".join(sorted(reports)) + self.extensions(rest)

    def group(self, owner: Mapping[str, Any], order: Sequence[str], words: Mapping[str, str] | None = None) -> str:
        """The fields of `owner` in `order`, then its extensions (rule 21)."""
        text = ""
        for name in order:
            value = owner.get(name)
            if value is None or value == "":
                continue
            if name in _TIMES:
                text += f"{name}={_utc(value)}"
            elif words and name in words:
                text += f"{name}={self.word(value, words[name])}"
            else:
                text += f"{name}={self.value(value)}"
        return text + self.extensions({key: value for key, value in owner.items() if key not in order})

    def extensions(self, fields: Mapping[str, Any]) -> str:
        return "".join(sorted(part for key, value in fields.items() for part in self.extension(key, value)))

    def extension(self, key: str, value: Any) -> list[str]:
        name = self.name(key)
        if name in self.ignored or key in self.ignored or value is None:
            return []
        if "=" in name or name.count("{") > 1 or name.count("}") > 1:
            raise AmbiguousEvent(f"the name {key!r} contains what parts fields in the event hash")
        if isinstance(value, list):
            return [part for item in value for part in self.extension(key, item)]
        if isinstance(value, dict):
            return [name + self.extensions(value)]
        text = self.value(value)
        return [f"{name}={text}" if text else name]

    def name(self, key: str) -> str:
        """`key` as `{namespace}local name`; left as it is if the context does not define it."""
        prefix, colon, local = key.partition(":")
        if colon and not local.startswith("//") and prefix in self.names:
            return f"{{{self.names[prefix]}}}{local}"
        iri = key if colon else self.names.get(key, "")
        cut = max(iri.rfind("/"), iri.rfind("#"), iri.rfind(":")) + 1
        if iri and cut and (not colon or local.startswith("//") or prefix == "urn"):
            return f"{{{iri[:cut]}}}{iri[cut:]}"
        return key

    def word(self, value: str, vocabulary: str) -> str:
        words, address = WORDS[vocabulary]
        return address + value if value in words else self.value(value)

    def value(self, value: Any) -> str:
        """The canonical form of one value (rules 5 to 7 and 14 to 18)."""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return str(value)
        text = str(value).strip()
        if ":" in text:
            text = self.address(text)
        if hides_field(text):
            raise AmbiguousEvent(f"{text[:60]!r} contains what parts fields in the event hash; it would name two")
        return text

    def address(self, text: str) -> str:
        prefix, _, local = text.partition(":")
        if prefix in self.names and not local.startswith("//"):
            text = self.names[prefix] + local
        for urn, address in _WEB_ADDRESS_OF_URN.items():
            if text.startswith(urn):
                return address + text[len(urn) :]
        try:
            identifier = identify(text)
        except MalformedIdentifier:
            return text
        return identifier.key if identifier and identifier.key.startswith("https://id.gs1.org/") else text


def _list(name: str, items: Iterable[str]) -> str:
    """The list field `name` once and its items in order (rule 11); nothing if there are none."""
    text = "".join(sorted(items))
    return name + text if text else ""


def _utc(text: str) -> str:
    """`text` in UTC to the millisecond, the fourth decimal rounded half up (rules 8 and 9).

    >>> _utc("2023-12-31T23:59:59.9995Z")
    '2024-01-01T00:00:00.000Z'
    """
    seconds, fraction = moment(text)
    milliseconds = int(fraction[:3].ljust(3, "0")) + (fraction[3:4] >= "5")
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, milliseconds=milliseconds)
    return f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z"
