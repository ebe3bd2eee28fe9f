"""The page of a request for facts as HTML: who asks what, for what, until when, and three ways to answer. Pure.

It works without scripts and loads nothing but one style sheet of ours. Whatever others wrote is put in as text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from api.impact.answering import Filled
from api.impact.requests import Question
from api.impact.template import NO, UNITS, YES, Column, Sort
from api.network import Member
from api.pages.languages import Words
from api.pages.markup import Element, e
from api.pages.questions import MAX_TEXT, Asked, asked_by_hand, is_filled_in
from api.pages.views import Banner, Form, Frame
from api.texts import identifier, plain, shortened
from ledger_service.keys import to_hex
from ledger_service.risk_kinds import AnswerOutcome, Refusal, SharingLevel


@dataclass(frozen=True, slots=True)
class Sides:
    """The names of both sides of a request."""

    asker: str
    asked: str


def question_page(
    frame: Frame, question: Question, sides: Sides, banners: Sequence[Banner], forms: Sequence[Element]
) -> str:
    """Who asks what, how it stands, and the forms that this reader may use."""
    say = frame.say
    return frame.page(
        say("ask_title", asker=sides.asker),
        [e("div", one.text, class_=f"state {one.tone}".strip(), role="status") for one in banners],
        e(
            "dl",
            e("dt", say("ask_from")),
            e("dd", sides.asker),
            e("dt", say("to")),
            e("dd", sides.asked),
            e("dt", say("ask_purpose")),
            e("dd", plain(question.said.purpose)),
            e("dt", say("ask_until")),
            e("dd", day_text(question.said.until, say)),
        ),
        e("h2", say("ask_wanted")),
        e("ul", [e("li", wanted_text(frame, one.kind, one.part, one.site)) for one in question.said.wanted],
          class_="units"),
        forms,
        e("p", say("ask_only_a_signature"), class_="quiet"),
        e(
            "details",
            e("summary", say("details")),
            e("p", say("ask_record"), ": ", e("span", shortened(to_hex(question.id)), class_="hash")),
            [
                e("p", say("answer_record"), ": ", e("span", shortened(to_hex(one.id)), class_="hash"))
                for one in question.answers
            ],
        ),
    )  # fmt: skip


def wanted_text(frame: Frame, kind: str, part: str | None, site: str | None) -> Element:
    """One thing that is wanted, in words."""
    about = [identifier(one) for one in (part, site) if one]
    return e(
        "span",
        e("strong", frame.say(f"kind_{kind}")),
        f": {', '.join(about)}" if about else "",
    )


def day_text(day: date, say: Words) -> str:
    return say("ask_day", day=str(day.day), month=str(day.month), name=f"{day:%b}", year=str(day.year))


def answer_form(
    frame: Frame, question: Question, sides: Sides, form: Form, *, asks_level: bool, is_opened: bool
) -> Element:
    """The fields for the facts, with units, and who may see how much of it."""
    say = frame.say
    asked = asked_by_hand(question)
    tables = [one.kind for one in question.said.wanted if one.kind not in {each.sheet.kind for each in asked}]
    return e(
        "details",
        e("summary", say("ask_answer_title")),
        e(
            "form",
            form.hidden(),
            e("input", type="hidden", name="answer", value="answer"),
            e("p", say("ask_what_you_know"), class_="hint"),
            e("p", say("ask_own_sites"), class_="hint"),
            [_fact_fields(frame, one, form, is_alone=len(asked) == 1) for one in asked],
            e("p", say("ask_by_table"), class_="hint") if tables else None,
            _levels(frame, question, sides, form) if asks_level else None,
            e("button", say("to_review")),
            method="post",
            action=frame.here("/answer"),
            id="answer",
        ),
        class_="way",
        open=is_opened,
    )


def _fact_fields(frame: Frame, asked: Asked, form: Form, *, is_alone: bool) -> Element:
    say, wanted, sheet = frame.say, asked.wanted, asked.sheet
    first = [one for one in asked.columns if not one.repeats]
    repeated = [one for one in asked.columns if one.repeats]
    parts: list[Element] = [_field(frame, asked, one, 0, form) for one in first]
    for row in range(asked.rows if repeated else 0):
        inside = [_field(frame, asked, one, row, form) for one in repeated]
        filled = any(form.value(asked.field(one.name, row)) for one in repeated if one.sort is not Sort.UNIT)
        is_first = row == 0 and sheet.kind == "bill-of-material"
        parts.append(
            e("div", inside)
            if is_first
            else e("details", e("summary", say(f"ask_more_{sheet.kind}")), inside, open=filled)
        )
    about = [identifier(one) for one in (wanted.part, wanted.site) if one]
    fields = e(
        "fieldset",
        e("legend", say(f"kind_{sheet.kind}")) if is_alone else None,
        e("p", ", ".join(about), class_="about") if about else None,
        e("p", say(f"about_{sheet.kind}"), class_="hint") if not about else None,
        parts,
    )
    if is_alone:
        return fields
    names = [asked.field(one.name, row) for one in asked.columns for row in range(asked.rows)]
    is_touched = any(form.is_wrong(one) or (form.value(one) and one.endswith(_SAYING)) for one in names)
    return e("details", e("summary", say(f"kind_{sheet.kind}")), fields, open=is_touched or asked.place == 0)


_SAYING = ("quantity", "planned", "share", "name", "needs_part", "price", "scope", "same_as", "region")
"""Fields in which something only stands where somebody wrote it."""


def _field(frame: Frame, asked: Asked, column: Column, row: int, form: Form) -> Element:
    say, name = frame.say, asked.field(column.name, row)
    label = e("label", _title(say, asked, column), for_=name)
    wrong = form.is_wrong(name)
    if column.sort in (Sort.UNIT, Sort.YES):
        choices = _choices(say, column.sort)
        chosen = form.value(name) or next(iter(choices))
        choice = e(
            "select", [e("option", text, value=one, selected=one == chosen) for one, text in choices.items()], id=name,
            name=name, class_="wrong" if wrong else False,
        )  # fmt: skip
        return e("div", label, choice)
    told = _hint(say, column)
    sort = {Sort.NUMBER: "decimal", Sort.SHARE: "decimal", Sort.DAYS: "numeric", Sort.MONEY: "decimal"}
    given = asked.filled_in if column.name == "supplier" and not form.fields else ""
    return e(
        "div",
        label,
        e("p", told, class_="hint", id=f"{name}-hint") if told else None,
        e(
            "input",
            type="date" if column.sort is Sort.DAY else "text",
            inputmode=sort.get(column.sort, False),
            id=name,
            name=name,
            maxlength="300",
            autocomplete="off",
            value=form.value(name) or given,
            aria_describedby=f"{name}-hint" if told else False,
            aria_invalid="true" if wrong else False,
            class_="wrong" if wrong else False,
        ),
    )


def _levels(frame: Frame, question: Question, sides: Sides, form: Form) -> Element:
    """Who will see what, one sentence for each level."""
    say = frame.say
    states_links = any(one.kind == "supply-link" for one in question.said.wanted)
    who = say("ask_others") if states_links else sides.asker
    chosen = form.value("level")  # what the asker suggests is not chosen for anybody
    choices = [
        e(
            "label",
            e("input", type="radio", name="level", value=str(one), id=f"level-{one}", required=True,
              checked=chosen == one),
            e("span", e("strong", say(f"level_{one}")), ": ", say(f"ask_level_{one}", who=who)),
            class_="choice level",
            for_=f"level-{one}",
        )
        for one in SharingLevel
    ]  # fmt: skip
    return e(
        "fieldset",
        e("legend", say("ask_level")),
        e("p", say("ask_level_suggested", asker=sides.asker, level=say(f"level_{question.said.level}")),
          class_="hint") if question.said.level else None,
        choices,
        class_="wrong" if form.is_wrong("level-tier") else False,
    )  # fmt: skip


def passing_on_form(
    frame: Frame, suppliers: Mapping[str, Member], until: date, form: Form, *, is_opened: bool
) -> Element:
    """The form for asking one tier up, in own words."""
    say = frame.say
    wrong = {name: form.is_wrong(name) for name in ("supplier", "part", "purpose", "until")}
    return e(
        "details",
        e("summary", say("ask_pass_on_title")),
        e(
            "form",
            form.hidden(),
            e("input", type="hidden", name="answer", value="forward"),
            e("p", say("ask_pass_on_hint"), class_="hint"),
            e("label", say("ask_supplier"), for_="supplier"),
            e(
                "select",
                e("option", say("ask_choose"), value=""),
                [
                    e("option", plain(one.name, 120), value=member, selected=form.value("supplier") == member)
                    for member, one in suppliers.items()
                ],
                id="supplier",
                name="supplier",
                required=True,
                class_="wrong" if wrong["supplier"] else False,
            ),
            e("label", say("ask_part"), for_="part"),
            e("p", say("ask_part_hint"), class_="hint", id="part-hint"),
            e("input", type="text", id="part", name="part", maxlength="300", autocomplete="off",
              value=form.value("part"), aria_describedby="part-hint", class_="wrong" if wrong["part"] else False),
            e("label", say("ask_purpose"), for_="purpose"),
            e("textarea", form.value("purpose") or say("ask_own_purpose"), id="purpose", name="purpose", required=True,
              maxlength=str(MAX_TEXT), class_="wrong" if wrong["purpose"] else False),
            e("label", say("ask_until"), for_="until"),
            e("input", type="date", id="until", name="until", required=True,
              value=form.value("until") or until.isoformat(), class_="wrong" if wrong["until"] else False),
            e("button", say("ask_to_pass_on"), class_="plain"),
            method="post",
            action=frame.here("/answer"),
            id="forward",
        ),
        class_="way",
        open=is_opened,
    )  # fmt: skip


def declining_form(frame: Frame, form: Form, *, is_opened: bool) -> Element:
    """The form for saying why not."""
    say = frame.say
    return e(
        "details",
        e("summary", say("ask_decline_title")),
        e(
            "form",
            form.hidden(),
            e("input", type="hidden", name="answer", value="decline"),
            e("label", say("ask_reason"), for_="reason"),
            e(
                "select",
                e("option", say("ask_choose"), value=""),
                [
                    e("option", say(f"ask_reason_{one}"), value=str(one), selected=form.value("reason") == one)
                    for one in Refusal
                ],
                id="reason",
                name="reason",
                required=True,
                class_="wrong" if form.is_wrong("reason") else False,
            ),
            e("label", say("ask_text"), for_="text"),
            e("textarea", form.value("text"), id="text", name="text", maxlength=str(MAX_TEXT),
              class_="wrong" if form.is_wrong("text") else False),
            e("button", say("ask_to_decline"), class_="no"),
            method="post",
            action=frame.here("/answer"),
            id="decline",
        ),
        class_="way",
        open=is_opened,
    )  # fmt: skip


def mistakes(frame: Frame, question: Question, form: Form) -> Element:
    """What to correct, each leading to its field."""
    say = frame.say
    fields = {
        asked.field(column.name, row): (asked, column)
        for asked in asked_by_hand(question)
        for column in asked.columns
        for row in range(asked.rows)
    }
    lines = []
    for one in dict.fromkeys((each.field, each.error, each.value) for each in form.mistakes):
        name, error, value = one
        if name not in fields:
            text = say(error)
        else:
            told, text = _hint(say, fields[name][1]), f"{_title(say, *fields[name])}: "
            text += say("ask_error_field", value=plain(value, 40)) if value else say("ask_error_empty")
            text += f" ({told})" if told and value else ""
        lines.append(e("li", e("a", text, href=f"#{name}")))
    return e("div", e("strong", say("please_correct")), e("ul", lines), class_="mistakes", role="alert", id="mistakes")


def pin_form(frame: Frame, sides: Sides, form: Form, problem: str = "") -> Element:
    """The form that asks for the PIN of whoever is asked."""
    say = frame.say
    return e(
        "form",
        e("h2", say("pin_title", taker=sides.asked)),
        form.hidden(),
        e("label", say("ask_pin_label"), for_="pin"),
        e("p", say("ask_pin_hint"), class_="hint", id="pin-hint"),
        e("p", problem, class_="state bad", id="pin-problem", role="alert") if problem else None,
        e("input", type="password", id="pin", name="pin", inputmode="numeric", autocomplete="off", required=True,
          maxlength="12", class_="wrong" if problem else False, aria_invalid="true" if problem else False,
          aria_describedby="pin-problem pin-hint" if problem else "pin-hint"),
        e("button", say("pin_button")),
        method="post",
        action=frame.here("/pin"),
    )  # fmt: skip


def review_page(
    frame: Frame,
    question: Question,
    sides: Sides,
    filled: Filled,
    fields: Mapping[str, str],
    token: str,
    suppliers: Mapping[str, Member],
    *,
    signs_here: bool,
) -> str:
    """What is about to be signed, said once more; the form's fields travel along."""
    say = frame.say
    kept = [e("input", type="hidden", name=name, value=value) for name, value in fields.items()]
    told: list[Element] = []
    if filled.outcome is AnswerOutcome.ANSWERED:
        said = [one for one in asked_by_hand(question) if is_filled_in(fields, one)]
        told = [_filled_in(frame, one, fields) for one in said]
        kinds = {one.sheet.kind for one in said}
        besides = [(kind, content) for kind, content in filled.facts if kind not in kinds]
        if besides:
            lines = [
                wanted_text(frame, kind, content.get("part"), content.get("customer") or content.get("site"))
                for kind, content in besides
            ]
            told += [e("h2", say("ask_besides")), e("ul", [e("li", one) for one in lines], class_="units")]
        if filled.level is not None:
            states_links = any(one.kind == "supply-link" for one in question.said.wanted)
            who = say("ask_others") if states_links else sides.asker
            level = e("strong", say(f"level_{filled.level}"))
            told.append(e("p", level, ": ", say(f"ask_level_{filled.level}", who=who)))
    elif filled.upward is not None:
        (to,) = filled.upward["to"]
        pairs = [
            (say("ask_supplier"), plain(suppliers[to].name, 120)),
            (say("ask_purpose"), plain(str(filled.upward["purpose"]))),
            (say("ask_until"), day_text(date.fromisoformat(str(filled.upward["until"])), say)),
        ]
        told = [
            e("p", say("ask_review_forward", asker=sides.asker)),
            e("dl", [part for name, value in pairs for part in (e("dt", name), e("dd", value))]),
            e("ul", [e("li", wanted_text(frame, one["kind"], one.get("part"), None)) for one in
                     filled.upward["wanted"]], class_="units"),
        ]  # fmt: skip
    elif filled.reason is not None:
        told = [e("p", say(f"ask_reason_{filled.reason}")), e("p", plain(filled.text or ""))]
    tone = {AnswerOutcome.ANSWERED: "good", AnswerOutcome.FORWARDED: "fair", AnswerOutcome.DECLINED: "bad"}
    return frame.page(
        say("review_title"),
        e("div", say(f"ask_review_{filled.outcome}", asker=sides.asker), class_=f"state {tone[filled.outcome]}"),
        told,
        e(
            "form",
            e("input", type="hidden", name="form", value=token),
            kept,
            e("input", type="hidden", name="stage", value="sign"),
            e("button", say("sign" if signs_here else "send_to_gateway")),
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


def _filled_in(frame: Frame, asked: Asked, fields: Mapping[str, str]) -> Element:
    say = frame.say
    pairs = [
        (_title(say, asked, column), _shown(say, column, fields.get(asked.field(column.name, row), "")))
        for row in range(asked.rows)
        for column in asked.columns
        if (column.repeats or not row) and fields.get(asked.field(column.name, row), "").strip()
    ]
    about = [identifier(one) for one in (asked.wanted.part, asked.wanted.site) if one]
    return e(
        "section",
        e("h2", say(f"kind_{asked.sheet.kind}")),
        e("p", ", ".join(about)) if about else None,
        e("dl", [part for name, value in pairs for part in (e("dt", name), e("dd", value))]),
    )


def _title(say: Words, asked: Asked, column: Column) -> str:
    return say(f"column_{asked.sheet.kind}_{column.name}")


def _hint(say: Words, column: Column) -> str:
    """What goes into a field, in a few words; empty where its title says it."""
    if column.name == "latitude":
        return say("ask_position")
    return say.texts.get(f"hint_{column.sort}", "")


def _choices(say: Words, sort: Sort) -> dict[str, str]:
    """What can be chosen: as tables have it, and in words."""
    if sort is Sort.UNIT:
        return {names[0]: say(f"unit_{code}") for code, names in UNITS.items()}
    return {NO[0]: say("ask_no"), YES[0]: say("ask_yes")}


def _shown(say: Words, column: Column, value: str) -> str:
    return (_choices(say, column.sort) if column.sort in (Sort.UNIT, Sort.YES) else {}).get(value, plain(value, 300))
