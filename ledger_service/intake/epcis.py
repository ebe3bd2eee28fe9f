"""EPCIS 2.0 JSON-LD read into events that can be signed, one statement each.

A document, a query document, a single event, a list of events and a bare `eventList` all come in by `read_document`.
What comes out of it per event is its plain JSON (each number with a fraction or an exponent as decimal string), its
JSON-LD context and the exact text it was written as, which is kept beside the signed content and never hashed. The
header of a document (master data, sender and receiver) is not part of any event and is not taken in.

Two things can be said about an event. A *problem* breaks the standard, or the number it carries; the event is
refused, and every problem is listed with a pointer, what is wrong and what to do. A *flag* marks what is odd but
allowed; the event is taken and the flag kept with it. Real EPCIS is untidy: what the schema of GS1 takes and a reader
can understand is flagged at most.

On values that would smuggle fields into the CBV event hash (its pre-hash string has no separators, so the bizStep
`https://example.com/xdisposition=y` hashes like the bizStep `https://example.com/x` with the disposition `y`): our
own commitment is a field tree over paths and values, where that cannot happen, so such a value is no reason to turn a
partner away. What no URI may contain, `{` and `}` among it, is refused in fields that must hold a URI, because that
is wrong by RFC 3986 anyway; `name=` in a value is legal and is flagged as `ambiguous-hash`. `event_hash` refuses to
name such an event by its hash.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ledger_service import canonical
from ledger_service.errors import MalformedInput
from ledger_service.identifiers import MalformedIdentifier, WrongCheckDigit, identify
from ledger_service.instants import instant
from ledger_service.intake import rec20
from ledger_service.intake.vocabulary import (
    ACTIONS,
    ALL_FIELDS,
    EPC_LISTS,
    FIELDS,
    PREFIXES,
    QUANTITY_LISTS,
    WORDS,
    hides_field,
)

FUTURE_TOLERANCE_MS = 5 * 60 * 1000
"""How far an event time may run ahead of our clock."""

OLD_AFTER_DAYS = 3653
"""An event older than ten years is flagged: its year was probably mistyped."""


MAX_REMARKS = 100
"""So many problems, and so many flags, are told of one event."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about an event, for its issuer: `what` says what is the matter and what to do, `where` points at it.

    `code` is stable and short (`check-digit`, `missing-offset`, `unknown-unit`, ...).
    """

    code: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where or '/'}: {self.what}"


@dataclass(frozen=True, slots=True)
class EpcisEvent:
    """One event as it may be signed.

    `event` is its JSON without `@context`, decimals as strings; `context` the JSON-LD context it was read in (that of
    the document and its own, as one list). `original` is the text it was written as, `where` its place in the
    document. `ignored` are the extension fields that the document asks to leave out of the CBV event hash; they are
    signed like all others.
    """

    event: dict[str, Any]
    context: list[Any]
    original: str
    where: str = ""
    flags: tuple[Remark, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def is_error_declaration(self) -> bool:
        """Whether this event takes back the earlier one with the same `eventID` (EPCIS 2.0, 7.4.1.4)."""
        return "errorDeclaration" in self.event


def _quoted(value: Any) -> str:
    """`value` as a message shows it: short, whatever came in."""
    if isinstance(value, str):
        return repr(value if len(value) <= 100 else f"{value[:100]}…")
    return repr(value)[:100]


class NotEpcis(MalformedInput):
    """A document in which no events can be found."""


class RefusedEvent(MalformedInput):
    """One event that cannot be taken in; `problems` lists all that is wrong with it."""

    def __init__(self, problems: Sequence[Remark], where: str = "") -> None:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(first.what + more, first.where)
        self.problems = tuple(problems)
        self.event_at = where


def read_document(data: bytes, *, now: int | None = None, tolerance: int = FUTURE_TOLERANCE_MS) -> list[EpcisEvent]:
    """The events in `data`, in order.

    `now` and `tolerance` are in milliseconds (UTC); without `now` no event is measured against the clock. Raises
    MalformedJson, NotEpcis, or RefusedEvent with the problems of all events.
    """
    events = []
    problems: list[Remark] = []
    for result in read_each(data, now=now, tolerance=tolerance):
        if isinstance(result, RefusedEvent):
            problems.extend(result.problems)
        else:
            events.append(result)
    if problems:
        raise RefusedEvent(problems)
    return events


def read_each(
    data: bytes, *, now: int | None = None, tolerance: int = FUTURE_TOLERANCE_MS
) -> list[EpcisEvent | RefusedEvent]:
    """The events in `data`, in order, with a RefusedEvent in the place of each that cannot be taken in."""
    document = canonical.parse(data, decimals=True)
    where, events, context, ignored = _find_events(document)
    texts = _texts(data.decode("utf-8"), where if isinstance(document, dict) else [], isinstance(events, list))
    found = events if isinstance(events, list) else [events]
    base = "".join(f"/{step}" for step in where)
    return [
        _read_event(
            event, context, ignored, text, f"{base}/{index}" if isinstance(events, list) else base, now, tolerance
        )
        for index, (event, text) in enumerate(zip(found, texts, strict=True))
    ]


def content(event: EpcisEvent, to: Sequence[str]) -> dict[str, Any]:
    """The content of a statement of kind `epcis-event` about `event` that the members `to` may see."""
    return {"to": list(to), "event": event.event, "context": event.context}


def check_event(
    event: Any, context: Any, *, now: int | None = None, tolerance: int = FUTURE_TOLERANCE_MS, where: str = ""
) -> tuple[Remark, ...]:
    """The flags of an event that was signed elsewhere and stands at the pointer `where`.

    `now` and `tolerance` as in `read_document`. Raises RefusedEvent where `read_document` would have refused it.
    """
    if not isinstance(event, dict) or not isinstance(context, list):
        raise RefusedEvent([Remark("not-an-event", where, "expected an event object and its context list")], where)
    examination = _Examination(event, context, where)
    examination.run(now, tolerance)
    if examination.problems:
        raise RefusedEvent(examination.problems, where)
    return tuple(examination.flags)


PIECES = frozenset({"C62", "EA", "H87", "NAR", "PCE", "SET"})
"""Units of measure that count pieces; without one a quantity counts them, too."""
_OFFSET = re.compile(r"[+-](?:(?:0\d|1[0-3]):[0-5]\d|14:00)", re.ASCII)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20\"<>\\^`{|}\x7f]+")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_DECIMAL = re.compile(r"(-?)(?:0|[1-9]\d*)(?:\.\d*[1-9])?", re.ASCII)
_UNIT = re.compile(r"[A-Z0-9]{2,3}")


def _find_events(document: Any) -> tuple[list[str], Any, list[Any], tuple[str, ...]]:
    """Where the events stand, what stands there, the document's context, and the fields it leaves out of the hash."""
    if isinstance(document, list):
        return [], document, [], ()
    if not isinstance(document, dict):
        raise NotEpcis("expected an EPCIS document, an event or a list of events, found a plain value")
    context = _context_list(document.get("@context"))
    sort = document.get("type")
    if isinstance(sort, str) and sort in FIELDS:
        return [], document, [], ()
    if sort == "EPCISQueryDocument":
        path = ["epcisBody", "queryResults", "resultsBody", "eventList"]
    elif sort == "EPCISDocument":
        body = document.get("epcisBody")
        path = ["epcisBody", "event" if isinstance(body, dict) and "event" in body else "eventList"]
    elif "eventList" in document:
        path = ["eventList"]
    elif isinstance(sort, str):
        raise NotEpcis(
            f"{_quoted(sort)} is neither an EPCISDocument nor one of the event types {', '.join(sorted(FIELDS))}",
            "/type",
        )
    else:
        draft = "; isA is the draft's name for type" if "isA" in document else ""
        raise NotEpcis(f"there is no type; expected EPCISDocument, EPCISQueryDocument or an event type{draft}")
    ignored = _ignored(document)
    value: Any = document
    for depth, step in enumerate(path):
        if not isinstance(value, dict) or step not in value:
            raise NotEpcis(f"{sort or 'the body'} has no {step}", "".join(f"/{name}" for name in path[:depth]))
        value = value[step]
        ignored += _ignored(value)
    if path[-1] == "eventList" and not isinstance(value, list):
        raise NotEpcis("eventList must be a list of events", "".join(f"/{name}" for name in path))
    return path, value, context, ignored


def _context_list(context: Any) -> list[Any]:
    if context is None:
        return []
    return list(context) if isinstance(context, list) else [context]


def _ignored(value: Any) -> tuple[str, ...]:
    """Names under a key such as `repository-x:ignoreFields`, by which a repository marks the fields it added itself."""
    if not isinstance(value, dict):
        return ()
    lists = [names for key, names in value.items() if key.endswith(":ignoreFields") and isinstance(names, list)]
    return tuple(name for names in lists for name in names if isinstance(name, str))


_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")


def _texts(text: str, path: list[str], is_list: bool) -> list[str]:
    """The exact text of the value at `path`, or of each element if it is a list; `text` is known to be good JSON."""
    at = _skip(text, 0)
    for step in path:
        at = _skip(text, at + 1)
        while True:
            key, at = _DECODER.raw_decode(text, at)
            at = _skip(text, _skip(text, at) + 1)
            if key == step:
                break
            at = _skip(text, _skip(text, _DECODER.raw_decode(text, at)[1]) + 1)
    if not is_list:
        return [text[at : _DECODER.raw_decode(text, at)[1]]]
    texts = []
    at = _skip(text, at + 1)
    while text[at] != "]":
        end = _DECODER.raw_decode(text, at)[1]
        texts.append(text[at:end])
        at = _skip(text, end)
        if text[at] == ",":
            at = _skip(text, at + 1)
    return texts


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _read_event(
    value: Any, context: list[Any], ignored: tuple[str, ...], text: str, where: str, now: int | None, tolerance: int
) -> EpcisEvent | RefusedEvent:
    if not isinstance(value, dict):
        return RefusedEvent([Remark("not-an-event", where, "expected an event, that is a JSON object")], where)
    in_force = context + _context_list(value.get("@context"))
    event = {key: item for key, item in value.items() if key != "@context"}
    try:
        flags = check_event(event, in_force, now=now, tolerance=tolerance, where=where)
    except RefusedEvent as refusal:
        return refusal
    return EpcisEvent(event, in_force, text, where, flags, ignored)


def prefixes(context: Sequence[Any]) -> dict[str, str]:
    """Prefix → namespace, and term → IRI, in the JSON-LD `context`; the prefixes of EPCIS itself are always there."""
    names = dict(PREFIXES)
    for entry in context:
        if not isinstance(entry, dict):
            continue
        for name, meaning in entry.items():
            iri = meaning.get("@id") if isinstance(meaning, dict) else meaning
            if isinstance(iri, str) and not name.startswith("@"):
                names[name] = iri
    return names


class _Examination:
    """Looks at one event and collects what is wrong (`problems`) and what is odd (`flags`)."""

    def __init__(self, event: dict[str, Any], context: Sequence[Any], where: str) -> None:
        self.event = event
        self.context = context
        self.where = where
        self.names = prefixes(context)
        self.problems: list[Remark] = []
        self.flags: list[Remark] = []

    def run(self, now: int | None, tolerance: int) -> None:
        sort = self.event.get("type")
        if not isinstance(sort, str) or sort not in FIELDS:
            expected = ", ".join(sorted(FIELDS))
            self.problem(
                "event-type", "/type", f"{_quoted(sort)} is not an event type of EPCIS 2.0; expected one of {expected}"
            )
            return
        self.see_context()
        self.see_names(sort)
        self.see_times(now, tolerance)
        self.see_action(sort)
        self.see_things()
        self.see_presence(sort)
        self.see_places_and_parties()
        self.see_words()
        self.see_sensors()
        self.see_error_declaration()

    def problem(self, code: str, at: str, what: str) -> None:
        if len(self.problems) < MAX_REMARKS:
            self.problems.append(Remark(code, self.where + at, what))

    def flag(self, code: str, at: str, what: str) -> None:
        if len(self.flags) < MAX_REMARKS:
            self.flags.append(Remark(code, self.where + at, what))

    def see_context(self) -> None:
        for entry in self.context:
            if isinstance(entry, str) and "epcis-context" in entry:
                return
        self.flag("no-context", "", "no EPCIS context is named in @context; names are read as in EPCIS 2.0")

    def see_names(self, sort: str) -> None:
        known = FIELDS[sort]
        for key, value in self.event.items():
            if key in known and value is not None:
                continue
            at = f"/{canonical.escape(key)}"
            if key in known:
                self.problem("null", at, f"{key} is null; give a value or leave the field out")
            elif key in ALL_FIELDS:
                self.problem("field-of-another-type", at, f"an event of type {sort} has no {key}")
            else:
                near = next((field for field in known if field.lower() == key.lower()), None)
                if near is None or key in self.names:
                    self.see_extension(key, value, at)
                else:
                    self.problem("misspelt-field", at, f"{_quoted(key)} is not a field of EPCIS; write {near}")
        if "ilmd" in self.event:
            if sort == "ObjectEvent" and self.event.get("action") != "ADD":
                self.flag(
                    "ilmd-without-add", "/ilmd", "ilmd describes what comes into being; it goes with action ADD alone"
                )
            if isinstance(self.event["ilmd"], dict):
                for key, value in self.event["ilmd"].items():
                    self.see_extension(key, value, f"/ilmd/{canonical.escape(key)}")
            else:
                self.problem("ilmd", "/ilmd", "ilmd must be an object")

    def see_extension(self, key: str, value: Any, at: str) -> None:
        prefix, colon, local = key.partition(":")
        if not colon and key not in self.names:
            self.flag("unknown-field", at, f"{_quoted(key)} is neither a field of EPCIS here nor defined in @context")
        elif colon and prefix not in self.names and not local.startswith("//") and prefix != "urn":
            self.flag("undefined-prefix", at, f"the prefix {_quoted(prefix)} is not defined in @context")
        self.see_free({key: value}, at.rpartition("/")[0])

    def see_free(self, value: Any, at: str) -> None:
        if isinstance(value, str):
            if hides_field(value):
                self.flag_ambiguous(value, at)
        elif isinstance(value, dict):
            for key, item in value.items():
                step = f"{at}/{canonical.escape(key)}"
                if hides_field(key) or "=" in key:
                    self.flag_ambiguous(key, step)
                self.see_free(item, step)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.see_free(item, f"{at}/{index}")

    def flag_ambiguous(self, value: str, at: str) -> None:
        self.flag(
            "ambiguous-hash",
            at,
            f"{_quoted(value)} contains what parts fields in the CBV event hash; no such hash is given for this event",
        )

    def see_times(self, now: int | None, tolerance: int) -> None:
        time = self.see_time(self.event, "eventTime", "", required=True)
        offset = self.event.get("eventTimeZoneOffset")
        if offset is None:
            self.problem(
                "missing-offset",
                "",
                "eventTimeZoneOffset is missing; give what clocks showed at the place of the event, such as +02:00",
            )
        elif not isinstance(offset, str) or not _OFFSET.fullmatch(offset):
            self.problem(
                "offset", "/eventTimeZoneOffset", f"{_quoted(offset)} is not an offset such as +02:00 or -14:00"
            )
        elif time is not None:
            written = self.event["eventTime"][-6:]
            if written[0] in "+-" and written != offset:
                self.flag(
                    "offset-conflict",
                    "/eventTimeZoneOffset",
                    f"eventTime is written in {written}, eventTimeZoneOffset says {offset}; eventTime counts",
                )
        record = self.see_time(self.event, "recordTime", "")
        if time is None:
            return
        if record is not None and record < time:
            self.flag(
                "recorded-before", "/recordTime", "recordTime lies before eventTime; one of the two clocks is wrong"
            )
        if now is not None and time > now + tolerance:
            ahead = (time - now + 999) // 1000
            self.problem(
                "future",
                "/eventTime",
                f"eventTime lies {ahead} s ahead of our clock ({tolerance // 1000} s are allowed); check the offset",
            )
        if now is not None and time < now - OLD_AFTER_DAYS * 86_400_000:
            self.flag("old", "/eventTime", "the event is more than ten years old; check the year")

    def see_time(self, owner: dict[str, Any], name: str, at: str, *, required: bool = False) -> int | None:
        value = owner.get(name)
        if value is None:
            if required:
                self.problem(
                    "missing", at, f"{name} is missing; give date, time and offset, such as 2026-09-01T10:00:00+02:00"
                )
            return None
        at = f"{at}/{name}"
        if not isinstance(value, str):
            self.problem("time", at, f"{name} must be text such as 2026-09-01T10:00:00+02:00")
            return None
        try:
            return instant(value)
        except (ValueError, OverflowError):
            code = "missing-offset" if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?", value) else "time"
            hint = (
                "has no offset; add Z or one such as +02:00"
                if code == "missing-offset"
                else "is not a date, time and offset"
            )
            self.problem(code, at, f"{name} {_quoted(value)} {hint}")
            return None

    def see_action(self, sort: str) -> None:
        action = self.event.get("action")
        if sort == "TransformationEvent":
            return  # see_names has refused an action here
        if action is None:
            self.problem("missing", "", f"action is missing; give one of {', '.join(ACTIONS)}")
        elif action not in ACTIONS:
            self.problem(
                "action", "/action", f"{_quoted(action)} is not an action; expected one of {', '.join(ACTIONS)}"
            )

    def see_things(self) -> None:
        parent = self.see_uri(self.event, "parentID", "")
        for name in EPC_LISTS:
            if name not in self.event:
                continue
            seen: dict[str, str] = {}
            for index, value in enumerate(self.see_list(name)):
                at = f"/{name}/{index}"
                key = self.see_identifier(value, at)
                if key is None:
                    continue
                if key in seen:
                    if value == seen[key]:
                        self.problem("duplicate", at, f"{_quoted(value)} comes twice in {name}; list each thing once")
                    else:
                        self.flag(
                            "duplicate", at, f"{_quoted(value)} and {_quoted(seen[key])} are one thing in two spellings"
                        )
                seen[key] = value
                if name == "childEPCs" and key == parent:
                    self.problem("own-parent", at, f"{_quoted(value)} is parent and child at once")
        for name in QUANTITY_LISTS:
            if name not in self.event:
                continue
            classes: set[str] = set()
            for index, element in enumerate(self.see_list(name)):
                key = self.see_quantity(element, f"/{name}/{index}")
                if key is not None and key in classes:
                    self.flag(
                        "duplicate",
                        f"/{name}/{index}",
                        "this class stands in the list before; quantities are not added up",
                    )
                if key is not None:
                    classes.add(key)
        self.see_uri(self.event, "transformationID", "")

    def see_list(self, name: str, owner: dict[str, Any] | None = None, at: str = "") -> list[Any]:
        value = (self.event if owner is None else owner).get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problem("not-a-list", f"{at}/{name}", f"{name} must be a list")
            return []
        return value

    def see_quantity(self, element: Any, at: str) -> str | None:
        if not isinstance(element, dict):
            self.problem("quantity", at, "expected an object with epcClass, quantity and uom")
            return None
        if "epcClass" not in element:
            self.problem("missing", at, "epcClass is missing; name the class of goods, such as urn:epc:class:lgtin:…")
        key = self.see_uri(element, "epcClass", at)
        sign = self.see_number(element, "quantity", at)
        if sign < 0:
            self.problem(
                "negative-quantity",
                f"{at}/quantity",
                f"{_quoted(element['quantity'])} is below zero; a quantity counts what is there",
            )
        elif sign == 0 and "quantity" in element:
            self.flag("zero-quantity", f"{at}/quantity", "the quantity is zero")
        elif element.get("uom", "H87") in PIECES and "." in str(element.get("quantity", "")):
            self.problem(
                "part-of-a-piece",
                f"{at}/quantity",
                f"{_quoted(element['quantity'])} of {element.get('uom', 'what has no uom')}: pieces are whole",
            )
        if "uom" in element:
            if "quantity" not in element:
                self.flag("unit-without-quantity", f"{at}/uom", "a unit of measure without a quantity")
            self.see_unit(element["uom"], f"{at}/uom")
        self.see_only(element, ("epcClass", "quantity", "uom"), at)
        return key

    def see_number(self, owner: dict[str, Any], name: str, at: str) -> int:
        """The sign of the number under `name`: -1, 0 or 1; 0 if there is none."""
        value = owner.get(name)
        if value is None:
            return 0
        if isinstance(value, int) and not isinstance(value, bool):
            return (value > 0) - (value < 0)
        match = _DECIMAL.fullmatch(value) if isinstance(value, str) else None
        if match is None or value == "-0":
            self.problem(
                "number", f"{at}/{name}", f"{_quoted(value)} is not a number; write it without quotes, such as 12.5"
            )
            return 0
        return 0 if value == "0" else -1 if match[1] else 1

    def see_unit(self, unit: Any, at: str) -> None:
        if not isinstance(unit, str) or not _UNIT.fullmatch(unit):
            self.problem("unit", at, f"{_quoted(unit)} is not a code of UN/ECE Recommendation 20, such as KGM or H87")
        elif unit in rec20.WITHDRAWN:
            self.flag(
                "withdrawn-unit", at, f"{unit} was withdrawn from UN/ECE Recommendation 20 (revision {rec20.REVISION})"
            )
        elif unit not in rec20.CODES:
            self.flag(
                "unknown-unit",
                at,
                f"{unit} is not in UN/ECE Recommendation 20, revision {rec20.REVISION}; compare it with the order",
            )

    def see_presence(self, sort: str) -> None:
        """What an event of this type must name at least (EPCIS 2.0, 7.4.2 to 7.4.6)."""
        event = self.event
        ends = event.get("action") == "DELETE"
        if sort == "ObjectEvent":
            sensed = event.get("sensorElementList") and event.get("readPoint")
            if "epcList" not in event and not event.get("quantityList") and not sensed:
                self.problem("nothing-named", "", "no epcList and no quantityList: say which things were seen")
        elif sort in ("AggregationEvent", "AssociationEvent"):
            if not event.get("parentID") and (sort == "AssociationEvent" or event.get("action") in ("ADD", "DELETE")):
                self.problem("missing", "", "parentID is missing; name what the children are packed into or fixed to")
            if not event.get("childEPCs") and not event.get("childQuantityList") and not ends:
                self.problem(
                    "nothing-named", "", "no childEPCs and no childQuantityList: say what belongs to the parent"
                )
        elif sort == "TransactionEvent":
            if not event.get("bizTransactionList"):
                self.problem("missing", "", "bizTransactionList is missing or empty; name the order or document")
            if not any(name in event for name in ("epcList", "quantityList", "parentID")) and not ends:
                self.problem(
                    "nothing-named", "", "no epcList and no quantityList: say which things the document is about"
                )
        else:
            inputs = event.get("inputEPCList") or event.get("inputQuantityList")
            outputs = event.get("outputEPCList") or event.get("outputQuantityList")
            joined = "transformationID" in event
            if not (inputs and outputs) and not (joined and (inputs or outputs)):
                self.problem(
                    "nothing-named",
                    "",
                    "a transformation needs inputs and outputs, or one of them and a transformationID",
                )

    def see_places_and_parties(self) -> None:
        for name in ("readPoint", "bizLocation"):
            place = self.event.get(name)
            if place is None:
                continue
            if not isinstance(place, dict) or "id" not in place:
                self.problem(
                    "place", f"/{name}", f'{name} must be an object with an id, such as {{"id": "urn:epc:id:sgln:…"}}'
                )
                continue
            self.see_uri(place, "id", f"/{name}")
            self.see_only(place, ("id",), f"/{name}")
        for name, thing, vocabulary in (
            ("bizTransactionList", "bizTransaction", "bizTransaction"),
            ("sourceList", "source", "party"),
            ("destinationList", "destination", "party"),
        ):
            for index, element in enumerate(self.see_list(name)):
                at = f"/{name}/{index}"
                if not isinstance(element, dict) or thing not in element:
                    self.problem("missing", at, f"expected an object with {thing}")
                    continue
                self.see_uri(element, thing, at)
                if "type" in element:
                    self.see_word(element["type"], vocabulary, f"{at}/type")
                elif vocabulary == "party":
                    self.problem("missing", at, "type is missing; give owning_party, possessing_party or location")
                self.see_only(element, (thing, "type"), at)
        information = self.event.get("certificationInfo")
        if information is not None:
            for index, value in enumerate(information if isinstance(information, list) else [information]):
                self.see_identifier(
                    value, f"/certificationInfo/{index}" if isinstance(information, list) else "/certificationInfo"
                )
        if "eventID" in self.event:
            self.see_uri(self.event, "eventID", "")

    def see_words(self) -> None:
        for name in ("bizStep", "disposition"):
            if name in self.event:
                self.see_word(self.event[name], name, f"/{name}")
        persistent = self.event.get("persistentDisposition")
        if persistent is None:
            return
        if not isinstance(persistent, dict) or not set(persistent) & {"set", "unset"}:
            self.problem(
                "persistent-disposition", "/persistentDisposition", "expected an object with the lists set or unset"
            )
            return
        for name in ("set", "unset"):
            for index, value in enumerate(self.see_list(name, persistent, "/persistentDisposition")):
                self.see_word(value, "disposition", f"/persistentDisposition/{name}/{index}")

    def see_word(self, value: Any, vocabulary: str, at: str) -> None:
        words, address = WORDS[vocabulary]
        if isinstance(value, str) and value in words:
            return
        if not isinstance(value, str) or not (_WORD.fullmatch(value) or _URI.fullmatch(value)):
            self.problem("word", at, f"{_quoted(value)} is neither a word of CBV 2.0 nor a URI")
        elif ":" not in value:
            self.flag(
                "unknown-word",
                at,
                f"{_quoted(value)} is not in CBV 2.0; a word of your own needs a URI ({address}{value} is not one)",
            )
        elif hides_field(value):
            self.flag_ambiguous(value, at)

    def see_sensors(self) -> None:
        for index, element in enumerate(self.see_list("sensorElementList")):
            at = f"/sensorElementList/{index}"
            if not isinstance(element, dict):
                self.problem("sensor", at, "expected an object with sensorReport")
                continue
            metadata = element.get("sensorMetadata", {})
            if isinstance(metadata, dict):
                self.see_sensor_fields(metadata, f"{at}/sensorMetadata", _METADATA_FIELDS)
            else:
                self.problem("sensor", f"{at}/sensorMetadata", "sensorMetadata must be an object")
            reports = self.see_list("sensorReport", element, at)
            if not reports:
                self.problem("missing", at, "sensorReport is missing or empty")
            for place, report in enumerate(reports):
                self.see_report(report, f"{at}/sensorReport/{place}")
            self.see_only(element, ("sensorMetadata", "sensorReport"), at)

    def see_report(self, report: Any, at: str) -> None:
        if not isinstance(report, dict):
            self.problem("sensor", at, "expected an object with type and value")
            return
        if "type" not in report and "exception" not in report:
            self.problem("missing", at, "type is missing; say what was measured, such as Temperature")
        for name, vocabulary in (("type", "measurement"), ("exception", "exception"), ("component", "component")):
            if name in report:
                self.see_word(report[name], vocabulary, f"{at}/{name}")
        for name in _REPORT_NUMBERS:
            self.see_number(report, name, at)
        if isinstance(report.get("uom"), str) and not _UNIT.fullmatch(report["uom"]):
            unit = _quoted(report["uom"])
            self.flag("unknown-unit", f"{at}/uom", f"{unit} is not a code of UN/ECE Recommendation 20")
            self.see_free(report["uom"], f"{at}/uom")
        elif "uom" in report:
            self.see_unit(report["uom"], f"{at}/uom")
        if not isinstance(report.get("booleanValue", False), bool):
            self.problem("boolean", f"{at}/booleanValue", "booleanValue must be true or false")
        if "stringValue" in report:
            self.see_free(report["stringValue"], f"{at}/stringValue")
        self.see_sensor_fields(report, at, _REPORT_FIELDS)

    def see_sensor_fields(self, owner: dict[str, Any], at: str, known: tuple[str, ...]) -> None:
        for name in ("time", "startTime", "endTime"):
            if name in known:
                self.see_time(owner, name, at)
        for name in _SENSOR_URIS:
            if name in owner and name in known:
                self.see_uri(owner, name, at)
        self.see_only(owner, known, at)

    def see_error_declaration(self) -> None:
        declaration = self.event.get("errorDeclaration")
        if declaration is None:
            return
        at = "/errorDeclaration"
        if not isinstance(declaration, dict):
            self.problem("error-declaration", at, "errorDeclaration must be an object with declarationTime and reason")
            return
        self.see_time(declaration, "declarationTime", at, required=True)
        if "reason" in declaration:
            self.see_word(declaration["reason"], "reason", f"{at}/reason")
        for index, value in enumerate(self.see_list("correctiveEventIDs", declaration, at)):
            self.see_identifier(value, f"{at}/correctiveEventIDs/{index}")
        if "eventID" not in self.event:
            self.flag("no-event-id", at, "an error declaration should repeat the eventID of the event it takes back")
        self.see_only(declaration, ("declarationTime", "reason", "correctiveEventIDs"), at)

    def see_only(self, owner: dict[str, Any], known: Sequence[str], at: str) -> None:
        """Fields beside the `known` ones are looked at as extensions of the event are."""
        for key, value in owner.items():
            if key not in known:
                self.see_extension(key, value, f"{at}/{canonical.escape(key)}")

    def see_uri(self, owner: dict[str, Any], name: str, at: str) -> str | None:
        if name not in owner:
            return None
        return self.see_identifier(owner[name], f"{at}/{name}")

    def see_identifier(self, value: Any, at: str) -> str | None:
        """The one key of the thing `value` names, None if it is refused."""
        if not isinstance(value, str) or not _URI.fullmatch(value):
            self.problem("uri", at, self.advice(value))
            return None
        try:
            identifier = identify(value)
        except WrongCheckDigit as error:
            self.problem("check-digit", at, error.what)
            return None
        except MalformedIdentifier as error:
            self.problem("identifier", at, error.what)
            return None
        if identifier is not None:
            return identifier.key
        if hides_field(value):
            self.flag_ambiguous(value, at)
        if value.startswith("urn:epc:"):
            self.flag(
                "unknown-scheme", at, f"{_quoted(value)} is of no EPC scheme that is known here; it is kept as it is"
            )
        elif not value.isascii():
            self.flag("not-ascii", at, f"{_quoted(value)} has characters that a URI writes with %")
        return value

    def advice(self, value: Any) -> str:
        if isinstance(value, str):
            if re.fullmatch(r"\d{8}|\d{12,14}|\d{18}", value):
                key = "00" if len(value) == 18 else "01"
                return f"{value} must be a URI; write https://id.gs1.org/{key}/{value}"
            if re.match(r"[1-6]?J[A-Z]{2}", value):
                address = value.replace("J", "J/", 1)
                return f"{_quoted(value)} must be a URI; write https://id.example.org/{address} with your own host"
            if "{" in value or "}" in value:
                return f"{_quoted(value)} is not a URI: braces have no place in one (RFC 3986)"
        return f"{_quoted(value)} is not a URI (RFC 3986)"


_SENSOR_URIS = (
    "deviceID",
    "deviceMetadata",
    "rawData",
    "dataProcessingMethod",
    "bizRules",
    "microorganism",
    "chemicalSubstance",
    "uriValue",
    "coordinateReferenceSystem",
)
_METADATA_FIELDS = (
    "time",
    "startTime",
    "endTime",
    "deviceID",
    "deviceMetadata",
    "rawData",
    "dataProcessingMethod",
    "bizRules",
)
_REPORT_NUMBERS = ("value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue")
_REPORT_FIELDS = (
    "type",
    "exception",
    "component",
    "deviceID",
    "deviceMetadata",
    "rawData",
    "dataProcessingMethod",
    "time",
    "microorganism",
    "chemicalSubstance",
    "stringValue",
    "booleanValue",
    "hexBinaryValue",
    "uriValue",
    "uom",
    "coordinateReferenceSystem",
    *_REPORT_NUMBERS,
)
