"""The pages as HTML: what was offered, how it stands, and the forms to answer it. Pure.

They work without scripts and load nothing but one style sheet of ours. Whatever others wrote is put in as text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from api.pages.answers import ARRIVED, FINE, MAX_DOCUMENT, MAX_REASON, MISSING, FilledIn, Mistake, Remark
from api.pages.languages import LANGUAGES, Words, words
from api.pages.markup import Child, Element, e
from api.texts import identifier, plain, quantity_text, shortened, time_text
from ledger_service.custody.kinds import PIECE_UNITS, Basis, Consignment, Despatch, Deviation, Line, Outcome
from ledger_service.keys import to_hex

_UNITS_OF_MEASURE = {
    "KGM": "kg",
    "GRM": "g",
    "TNE": "t",
    "MTR": "m",
    "LTR": "l",
    "MTK": "m²",
    "MTQ": "m³",
    "SET": "set",
}
_FAULTS = (FINE, Deviation.SHORT, Deviation.OVER, Deviation.DAMAGED, Deviation.WRONG_PART)


@dataclass(frozen=True, slots=True)
class Frame:
    """What all pages of one note have in common. `address` is the path of the page."""

    say: Words
    address: str
    style: str
    is_demo: bool

    def page(self, title: str, *children: Child | Sequence[Child]) -> str:
        say = self.say
        head = e(
            "head",
            e("meta", charset="utf-8"),
            e("meta", name="viewport", content="width=device-width, initial-scale=1"),
            e("meta", name="robots", content="noindex"),
            e("title", f"DEMO · {title}" if self.is_demo else title),
            e("link", rel="stylesheet", href=self.style),
        )
        body = e(
            "body",
            e("div", say("demo"), class_="demo", role="note") if self.is_demo else None,
            e("header", e("span", "TALLYSTICK", class_="mark"), self._languages()),
            e("main", e("h1", title), *children),
        )
        return f"<!doctype html>{e('html', head, body, lang=say.language)}"

    def here(self, path: str = "") -> str:
        """The address of this note's page, or of a form's target below it, in the reader's language."""
        return f"{self.address}{path}?lang={self.say.language}"

    def _languages(self) -> Element:
        say = self.say
        options = [
            e("option", words(one)("language"), value=one, lang=one, selected=one == say.language) for one in LANGUAGES
        ]
        return e(
            "form",
            e("label", say("choose_language"), for_="lang"),
            e("select", *options, id="lang", name="lang"),
            e("button", say("change"), class_="plain"),
            method="get",
            action=self.address,
            class_="language",
        )


@dataclass(frozen=True, slots=True)
class Offered:
    """The offer that a page is about, with the names of its sides."""

    id: bytes
    despatch: Despatch
    giver: str
    taker: str
    carrier_for: str


@dataclass(frozen=True, slots=True)
class Banner:
    """One sentence on how the offer stands. `tone` is good, fair, bad or nothing."""

    text: str
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """What the forms of a session carry: their token, and what was filled in before."""

    token: str
    fields: Mapping[str, str]
    mistakes: tuple[Mistake, ...] = ()

    def value(self, name: str) -> str:
        return self.fields.get(name, "")

    def is_wrong(self, name: str) -> bool:
        return any(one.field == name for one in self.mistakes)

    def hidden(self) -> Element:
        return e("input", type="hidden", name="form", value=self.token)


def message(frame: Frame, title: str, text: str, *, back: bool = False, tone: str = "fair") -> str:
    """A page that says one thing."""
    link = e("a", frame.say("open_again"), href=frame.here(), class_="button") if back else None
    return frame.page(title, e("div", text, class_=f"state {tone}", role="status"), link)


def offer_page(
    frame: Frame,
    offered: Offered,
    banners: Sequence[Banner],
    forms: Sequence[Element],
    *,
    records: Sequence[str] = (),
    remarks: Sequence[Remark] = (),
) -> str:
    """The page of an offer: how it stands, what was noted, what can be done, and what was offered."""
    say = frame.say
    shown = [e("div", one.text, class_=f"state {one.tone}".strip(), role="status") for one in banners]
    closed = e(
        "details",
        e("summary", say("details")),
        e("p", say("offer_record"), ": ", e("span", shortened(to_hex(offered.id)), class_="hash")),
        [e("p", say("answer_record"), ": ", e("span", shortened(one), class_="hash")) for one in records],
    )
    return frame.page(
        say("title", number=plain(offered.despatch.document.number)),
        shown,
        _remarks(frame, remarks),
        _facts(frame, offered),
        forms,
        _units(frame, offered),
        e("p", say("only_a_signature"), class_="quiet"),
        closed,
    )


def pin_form(frame: Frame, offered: Offered, form: Form, problem: str = "") -> Element:
    """The form that asks for the PIN of the taker's site."""
    say = frame.say
    return e(
        "form",
        e("h2", say("pin_title", taker=offered.taker)),
        form.hidden(),
        e("label", say("pin_label"), for_="pin"),
        e("p", say("pin_hint"), class_="hint", id="pin-hint"),
        e("p", problem, class_="state bad", id="pin-problem", role="alert") if problem else None,
        e(
            "input",
            type="password",
            id="pin",
            name="pin",
            inputmode="numeric",
            autocomplete="off",
            required=True,
            maxlength="12",
            class_="wrong" if problem else False,
            aria_invalid="true" if problem else False,
            aria_describedby="pin-problem pin-hint" if problem else "pin-hint",
        ),
        e("button", say("pin_button")),
        method="post",
        action=frame.here("/pin"),
    )


def answer_forms(
    frame: Frame, offered: Offered, places: Sequence[int], form: Form, *, may_accept: bool
) -> list[Element]:
    """The forms by which the taker accepts, notes what is wrong, or refuses, and the one to sign out."""
    say = frame.say
    refusal = e(
        "form",
        form.hidden(),
        e("input", type="hidden", name="answer", value="refuse"),
        e("label", say("refuse_reason"), for_="reason"),
        e(
            "textarea",
            form.value("reason"),
            id="reason",
            name="reason",
            required=True,
            maxlength=str(MAX_REASON),
            class_="wrong" if form.is_wrong("reason") else False,
            aria_invalid="true" if form.is_wrong("reason") else False,
        ),
        e("button", say("to_refuse"), class_="no"),
        method="post",
        action=frame.here("/answer"),
    )
    refuse = e(
        "details",
        e("summary", say("refuse_title")),
        refusal,
        open=form.is_wrong("reason") or not may_accept,
    )
    leave = e(
        "form", form.hidden(), e("button", say("leave"), class_="plain"), method="post", action=frame.here("/leave")
    )
    parts: list[Element] = []
    if form.mistakes:
        parts.append(_mistakes(frame, form))
    if may_accept:
        parts.append(_acceptance(frame, offered, places, form))
    return [*parts, refuse, leave]


def review_page(
    frame: Frame, offered: Offered, filled: FilledIn, fields: Mapping[str, str], token: str, *, signs_here: bool
) -> str:
    """What is about to be signed, said once more; the form's fields travel along."""
    say = frame.say
    opening = {
        Outcome.ACCEPTED: "review_accepted",
        Outcome.WITH_DISCREPANCIES: "review_discrepancies",
        Outcome.REFUSED: "review_refused",
    }[filled.outcome]
    kept = [e("input", type="hidden", name=name, value=value) for name, value in fields.items() if name != "form"]
    refused = filled.outcome is Outcome.REFUSED
    return frame.page(
        say("review_title"),
        e("div", say(opening), class_="state bad" if refused else "state fair" if filled.remarks else "state good"),
        e("p", plain(filled.reason)) if refused else None,
        _remarks(frame, filled.remarks),
        e(
            "dl",
            e("dt", say("from")),
            e("dd", offered.giver),
            e("dt", say("to")),
            e("dd", offered.taker),
            *([] if refused else [e("dt", say("basis")), e("dd", say(filled.basis))]),
        ),
        e("p", say("units", count=str(len(filled.units)))),
        e(
            "form",
            e("input", type="hidden", name="form", value=token),
            kept,
            e("input", type="hidden", name="stage", value="sign"),
            e("button", say("sign" if signs_here else "send_to_gateway"), class_="no" if refused else False),
            method="post",
            action=frame.here("/answer"),
        ),
        e(
            "form",
            e("input", type="hidden", name="form", value=token),
            kept,
            e("input", type="hidden", name="stage", value="edit"),
            e("button", say("back"), class_="plain"),
            method="post",
            action=frame.here("/answer"),
        ),
    )


def look_again(frame: Frame) -> Element:
    """The link that shows the page as it stands now."""
    return e("a", frame.say("look_again"), href=frame.here(), class_="button plain")


def remark_text(say: Words, one: Remark) -> str:
    """A remark in the reader's words."""
    unit = identifier(one.unit)
    if one.quantity is None:
        return f"{unit}: {say('missing')}" if one.what == Deviation.SHORT else f"{unit}: {say('extra')}"
    amount = f"{one.quantity} {_measure(say, one.uom or '')}"
    found = f" → {identifier(one.found)}" if one.found else ""
    return f"{unit}: {say(str(one.what))}: {say('line_of', quantity=amount, part=identifier(one.part or ''))}{found}"


def _remarks(frame: Frame, remarks: Sequence[Remark]) -> Element | None:
    if not remarks:
        return None
    return e("ul", [e("li", remark_text(frame.say, one)) for one in remarks], class_="units")


def _facts(frame: Frame, offered: Offered) -> Element:
    say, despatch = frame.say, offered.despatch
    pairs: list[tuple[str, str]] = [
        (say("from"), _with_place(offered.giver, despatch.ship_from)),
        (say("to"), _with_place(offered.taker, despatch.ship_to)),
        (say("despatched"), moment(despatch.despatched_at)),
        *([] if despatch.arrives is None else [(say("arrives"), despatch.arrives.isoformat())]),
        (say("answer_by"), moment(despatch.deadline)),
    ]
    if despatch.carrier is not None:
        carrier = plain(despatch.carrier)
        named = say("carrier_for", carrier=carrier, member=offered.carrier_for) if offered.carrier_for else carrier
        pairs.append((say("carrier"), named))
    if despatch.seal is not None:
        pairs.append((say("seal"), plain(despatch.seal)))
    return e("dl", [part for name, value in pairs for part in (e("dt", name), e("dd", value))])


def _units(frame: Frame, offered: Offered) -> list[Element]:
    units = offered.despatch.units
    return [
        e("h2", frame.say("units", count=str(len(units)))),
        e(
            "ul",
            [e("li", e("strong", identifier(one.id.key)), _lines(frame.say, one)) for one in units],
            class_="units",
        ),
    ]


def _lines(say: Words, unit: Consignment) -> Element | None:
    if not unit.contents:
        return None
    return e("ul", [e("li", line_text(say, one)) for one in unit.contents], class_="lines")


def line_text(say: Words, line: Line) -> str:
    """How much of what, in the reader's words."""
    amount = f"{quantity_text(line.quantity)} {_measure(say, line.uom)}"
    text = say("line_of", quantity=amount, part=identifier(line.part))
    return f"{text}, {say('batch', batch=plain(line.batch))}" if line.batch else text


def moment(time: int) -> str:
    """A time as everybody on the way reads it alike."""
    return f"{time_text(time)[:16]} UTC"


def _measure(say: Words, uom: str) -> str:
    return say("pieces") if uom in PIECE_UNITS - {"SET"} else _UNITS_OF_MEASURE.get(uom, uom)


def _with_place(name: str, place: str | None) -> str:
    return f"{name}, {identifier(place)}" if place else name


def _mistakes(frame: Frame, form: Form) -> Element:
    say = frame.say
    return e(
        "div",
        e("strong", say("please_correct")),
        e(
            "ul",
            [
                e("li", e("a", say(one.error, **({"value": one.value} if one.error == "error_extra" else {})),
                          href=f"#{_id_of(one.field)}"))
                for one in form.mistakes
            ],
        ),
        class_="mistakes",
        role="alert",
        id="mistakes",
    )  # fmt: skip


def _id_of(field: str) -> str:
    return "basis-scanned" if field == "basis" else field


def _acceptance(frame: Frame, offered: Offered, places: Sequence[int], form: Form) -> Element:
    say = frame.say
    ways = [
        e(
            "label",
            e(
                "input",
                type="radio",
                name="basis",
                value=str(one),
                id=f"basis-{one}",
                required=True,
                checked=form.value("basis") == one,
            ),
            e("span", say(str(one))),
            class_="choice",
            for_=f"basis-{one}",
        )
        for one in Basis
    ]
    return e(
        "form",
        e("h2", say("answer_title")),
        form.hidden(),
        e("input", type="hidden", name="answer", value="accept"),
        e("p", say("all_as_announced")),
        e(
            "details",
            e("summary", say("note_difference")),
            [_unit_fields(frame, offered.despatch.units[place], place, form) for place in places],
            open=_is_marked(form),
        ),
        e(
            "details",
            e("summary", say("extra")),
            e("label", say("extra"), for_="extra"),
            e("p", say("extra_hint"), class_="hint", id="extra-hint"),
            e("textarea", form.value("extra"), id="extra", name="extra", aria_describedby="extra-hint",
              class_="wrong" if form.is_wrong("extra") else False),
            open=bool(form.value("extra")),
        ),
        e("fieldset", e("legend", say("basis")), ways, class_="wrong" if form.is_wrong("basis") else False),
        e("label", say("document"), for_="document"),
        e("p", say("document_hint"), class_="hint", id="document-hint"),
        e(
            "input",
            type="text",
            id="document",
            name="document",
            maxlength=str(MAX_DOCUMENT),
            value=form.value("document"),
            autocomplete="off",
            aria_describedby="document-hint",
            class_="wrong" if form.is_wrong("document") else False,
        ),
        e("button", say("to_review")),
        method="post",
        action=frame.here("/answer"),
        id="answer",
    )  # fmt: skip


def _is_marked(form: Form) -> bool:
    """Whether something was noted of a unit or a line before."""
    return any(name[0] in "uw" and value not in ("", ARRIVED, FINE) for name, value in form.fields.items() if name)


def _unit_fields(frame: Frame, unit: Consignment, place: int, form: Form) -> Element:
    say, name = frame.say, f"u{place}"
    stands = form.value(name) or ARRIVED
    lines = [_line_fields(say, line, f"{place}.{number}", form) for number, line in enumerate(unit.contents)]
    touched = any(form.value(f"w{place}.{number}") not in ("", FINE) for number in range(len(lines)))
    return e(
        "fieldset",
        e("legend", identifier(unit.id.key)),
        _lines(say, unit),
        e("label", say("unit_label"), for_=name),
        e(
            "select",
            [e("option", say(one), value=one, selected=one == stands) for one in (ARRIVED, MISSING)],
            id=name,
            name=name,
        ),
        e("details", e("summary", say("what_is_wrong")), lines, open=touched) if lines else None,
    )


def _line_fields(say: Words, line: Line, place: str, form: Form) -> Element:
    fault, many, found = f"w{place}", f"q{place}", f"f{place}"
    chosen = form.value(fault) or FINE
    wrong = {one: form.is_wrong(one) for one in (many, found)}
    return e(
        "fieldset",
        e("legend", line_text(say, line)),
        e("label", say("what_is_wrong"), for_=fault),
        e(
            "select",
            [e("option", say(str(one)), value=str(one), selected=one == chosen) for one in _FAULTS],
            id=fault,
            name=fault,
        ),
        e("label", say("how_many"), for_=many),
        e(
            "input",
            type="text",
            inputmode="decimal",
            id=many,
            name=many,
            maxlength="40",
            autocomplete="off",
            value=form.value(many),
            class_="wrong" if wrong[many] else False,
            aria_invalid="true" if wrong[many] else False,
        ),
        e("label", say("found"), for_=found),
        e("p", say("found_hint"), class_="hint", id=f"{found}-hint"),
        e(
            "input",
            type="text",
            id=found,
            name=found,
            maxlength="300",
            autocomplete="off",
            value=form.value(found),
            aria_describedby=f"{found}-hint",
            class_="wrong" if wrong[found] else False,
            aria_invalid="true" if wrong[found] else False,
        ),
    )
