"""The facts of a supply network as tables that people fill in: which sheets, which columns, in whose words. Pure.

A sheet is for one kind of fact, a row for one of them. Where a fact is a list (what goes into a part, what is on its
way) its rows repeat what it is about. Rows whose first cell begins with # explain something and are no facts.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from io import BytesIO
from typing import Any

from ledger_service.risk_kinds import SharingLevel

LANGUAGES = ("en", "de")
NOTE = "#"
EMPTY_ROWS = 500
"""For how many rows the sheets offer lists to choose from."""


class Sort(StrEnum):
    """How a cell is read."""

    TEXT = "text"
    PLACE = "place"
    PART = "part"
    PARTS = "parts"
    UNIT = "unit"
    NUMBER = "number"
    DEGREES = "degrees"
    SHARE = "share"
    SHARES = "shares"
    WORDS = "words"
    DAYS = "days"
    WHOLE = "whole"
    MONEY = "money"
    DAY = "day"
    DATES = "dates"
    TIME = "time"
    WEEKDAYS = "weekdays"
    YES = "yes"
    LEVEL = "level"
    LEVELS = "levels"
    TRIGGER = "trigger"
    MEMBER = "member"
    PORT = "port"
    CURRENCY = "currency"


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name, how its cells are read, and where in the content they go; `asks` in the page, too.

    What `is_key` says what the row is about. What `repeats` may differ between the rows of one fact.
    """

    name: str
    sort: Sort
    path: str
    example: str
    en: str
    de: str
    is_needed: bool = False
    is_key: bool = False
    repeats: bool = False
    asks: bool = False

    def title(self, language: str) -> str:
        return self.de if language == "de" else self.en


@dataclass(frozen=True, slots=True)
class Sheet:
    """One kind of fact as a table."""

    kind: str
    en: str
    de: str
    about_en: str
    about_de: str
    columns: tuple[Column, ...]
    more_example_rows: tuple[dict[str, str], ...] = ()

    def title(self, language: str) -> str:
        return self.de if language == "de" else self.en

    def about(self, language: str) -> str:
        return self.about_de if language == "de" else self.about_en

    def has(self, name: str) -> bool:
        return any(one.name == name for one in self.columns)

    def column(self, name: str) -> Column:
        return next(one for one in self.columns if one.name == name)


def _site(name: str, en: str, de: str, example: str = "9521002000016", path: str = "") -> Column:
    return Column(name, Sort.PLACE, path or f"/{name}", example, en, de, is_needed=True, is_key=True, asks=True)


def _part(en: str = "Part", de: str = "Teil", example: str = "09521004100011") -> Column:
    return Column("part", Sort.PART, "/part", example, en, de, is_needed=True, is_key=True, asks=True)


def _route(*, is_needed: bool = False) -> tuple[Column, ...]:
    return (
        Column("route_modes", Sort.WORDS, "/route/modes", "road, sea, road", "Route: by", "Weg: womit",
               is_needed=is_needed, is_key=is_needed),
        Column("route_from", Sort.PORT, "/route/from", "ESBIO", "Route: from port", "Weg: ab Hafen", is_key=is_needed),
        Column("route_to", Sort.PORT, "/route/to", "DEHAM", "Route: to port", "Weg: bis Hafen", is_key=is_needed),
        Column("route_passages", Sort.WORDS, "/route/passages", "", "Route: through", "Weg: durch"),
        Column("route_lane", Sort.TEXT, "/route/lane", "Biscay", "Route: its name", "Weg: sein Name"),
    )  # fmt: skip


_UNIT = Column("uom", Sort.UNIT, "/uom", "pcs", "Unit", "Einheit", is_needed=True, asks=True)
_STATED = (
    Column("as_of", Sort.TIME, "/asOf", "2026-10-01", "True as of", "Stand vom"),
    Column("document", Sort.TEXT, "/document", "ERP-2026-10", "Your document", "Ihr Beleg"),
)
SHEETS = (
    Sheet(
        "site", "Sites", "Standorte",
        "Your plants, warehouses and docks: where they are, when they work, how soon one is back after a stop.",
        "Ihre Werke, Lager und Rampen: wo sie sind, wann gearbeitet wird, wie bald sie nach einem Ausfall laufen.",
        (
            _site("site", "Site (GLN)", "Standort (GLN)"),
            Column("name", Sort.TEXT, "/name", "Göttingen", "Name", "Name", asks=True),
            Column("region", Sort.TEXT, "/region", "Central Europe", "Region", "Region", asks=True),
            Column("latitude", Sort.DEGREES, "/latitude", "51.53", "Latitude (degrees)", "Breite (Grad)", asks=True),
            Column("longitude", Sort.DEGREES, "/longitude", "9.93", "Longitude (degrees)", "Länge (Grad)", asks=True),
            Column("locode", Sort.PORT, "/locode", "DEGOT", "UN/LOCODE", "UN/LOCODE", asks=True),
            Column("weekdays", Sort.WEEKDAYS, "/weekdays", "Mon-Fri", "Works on", "Arbeitet am"),
            Column("holidays", Sort.DATES, "/holidays", "2026-12-24; 2026-12-25", "Closed on", "Geschlossen am"),
            Column("back_least", Sort.DAYS, "/recoveryDays/least", "28", "Back after days, at best",
                   "Wieder da nach Tagen, bestenfalls", asks=True),
            Column("back_likely", Sort.DAYS, "/recoveryDays/likely", "42", "Back after days, most likely",
                   "Wieder da nach Tagen, am ehesten", asks=True),
            Column("back_most", Sort.DAYS, "/recoveryDays/most", "63", "Back after days, at worst",
                   "Wieder da nach Tagen, schlimmstenfalls", asks=True),
            *_STATED,
        ),
    ),
    Sheet(
        "part", "Parts", "Teile",
        "What a part is counted in, and the numbers that others have for it: they count once those others say so, too.",
        "Worin ein Teil gezählt wird, und welche Nummern andere dafür haben: Sie gelten, sobald auch diese das sagen.",
        (
            _part("Part (GTIN, or number (owner's domain))", "Teil (GTIN, oder Nummer (Domain des Inhabers))"),
            _UNIT,
            Column("name", Sort.TEXT, "/name", "Pinion shaft", "Name", "Name", asks=True),
            Column("same_as", Sort.PARTS, "/sameAs", "HX-12 (nordrand.example.org)", "Numbers of others",
                   "Nummern anderer", asks=True),
            *_STATED,
        ),
    ),
    Sheet(
        "bill-of-material", "Bills of material", "Stücklisten",
        "What goes into one piece of what you make, one row for each thing.",
        "Was in ein Stück von dem geht, was Sie herstellen; eine Zeile für jedes.",
        (
            _site("site", "Made at (GLN)", "Hergestellt in (GLN)"),
            _part("What is made", "Was hergestellt wird", "AX-1 (nordrand.example.org)"),
            Column("needs_part", Sort.PART, "/needs", "09521004100011", "What goes into it", "Was hineingeht",
                   is_needed=True, repeats=True, asks=True),
            Column("needs_quantity", Sort.NUMBER, "/needs", "2", "How much of that for one", "Wie viel davon für eines",
                   is_needed=True, repeats=True, asks=True),
            Column("needs_uom", Sort.UNIT, "/needs", "pcs", "Unit of that", "Einheit davon", is_needed=True,
                   repeats=True, asks=True),
            Column("needs_essential", Sort.YES, "/needs", "", "Is nothing made without it?",
                   "Wird ohne es nichts gefertigt?", repeats=True),
            *_STATED,
        ),
    ),
    Sheet(
        "supply-link", "Supply links", "Lieferbeziehungen",
        "Who sends what to whom, and how much of that others may know. One end of each is a site of yours.",
        "Wer wem was schickt, und wie viel andere davon wissen dürfen. Ein Ende ist jeweils Ihr Standort.",
        (
            _site("supplier", "From (GLN)", "Von (GLN)", "9521004000014"),
            _site("customer", "To (GLN)", "An (GLN)"),
            _part(),
            _UNIT,
            Column("share", Sort.SHARE, "/share", "100 %", "Share of the need there, %", "Anteil am Bedarf dort, %",
                   is_needed=True, asks=True),
            Column("lead_days", Sort.DAYS, "/lead/days", "4", "Days on the way", "Tage unterwegs", is_needed=True,
                   asks=True),
            Column("lead_working", Sort.YES, "/lead/working", "no", "Are these working days?", "Sind das Arbeitstage?",
                   asks=True),
            Column("sails", Sort.WEEKDAYS, "/lead/sails", "", "Leaves on (if not daily)",
                   "Geht ab am (wenn nicht täglich)"),
            Column("most_per_day", Sort.NUMBER, "/mostPerDay", "960", "At most per day", "Höchstens am Tag", asks=True),
            Column("since", Sort.DAY, "/since", "2026-01-01", "Since", "Seit"),
            Column("level", Sort.LEVEL, "/level", "tier", "What others may know", "Was andere wissen dürfen",
                   is_needed=True),
            Column("levels", Sort.LEVELS, "/levels", "Havelmark: named", "Other levels for single members",
                   "Andere Stufen für einzelne"),
            *_route(),
            *_STATED,
        ),
    ),
    Sheet(
        "stock", "Stock", "Bestände",
        "What lies there and can be used. One more row for each delivery on its way, with the same site and part.",
        "Was dort liegt und verwendbar ist. Je Lieferung unterwegs eine Zeile mehr, mit demselben Standort und Teil.",
        (
            _site("site", "Site (GLN)", "Standort (GLN)"),
            _part(),
            Column("quantity", Sort.NUMBER, "/quantity", "1920", "In stock", "Bestand", asks=True),
            _UNIT,
            Column("coming_from", Sort.PLACE, "/onTheWay", "", "On its way from (GLN)", "Unterwegs von (GLN)",
                   repeats=True, asks=True),
            Column("coming_on", Sort.DAY, "/onTheWay", "", "Arrives on", "Kommt an am", repeats=True, asks=True),
            Column("coming_quantity", Sort.NUMBER, "/onTheWay", "", "How much of it is coming", "Wie viel davon kommt",
                   repeats=True, asks=True),
            *_STATED,
        ),
        ({"site": "9521002000016", "part": "09521004100011", "uom": "pcs", "coming_from": "9521004000014",
          "coming_on": "2026-10-13", "coming_quantity": "960"},),
    ),
    Sheet(
        "capacity", "Capacity", "Kapazitäten",
        "What a site makes on a working day: as planned, and at most.",
        "Was ein Standort an einem Arbeitstag herstellt: nach Plan, und höchstens.",
        (
            _site("site", "Site (GLN)", "Standort (GLN)", "9521004000014"),
            _part(),
            Column("planned", Sort.NUMBER, "/planned", "960", "Planned per day", "Geplant am Tag", is_needed=True,
                   asks=True),
            Column("most", Sort.NUMBER, "/most", "1200", "At most per day", "Höchstens am Tag", is_needed=True,
                   asks=True),
            _UNIT,
            Column("offered", Sort.YES, "/offered", "yes", "May the rest be suggested to others?",
                   "Darf der Rest anderen vorgeschlagen werden?", asks=True),
            *_STATED,
        ),
    ),
    Sheet(
        "qualification", "Qualifications", "Freigaben",
        "Who may stand in with you: suppliers that you have qualified for a part.",
        "Wer bei Ihnen einspringen darf: Lieferanten, die Sie für ein Teil freigegeben haben.",
        (
            _site("supplier", "Supplier's site (GLN)", "Standort des Lieferanten (GLN)", "9521004000014"),
            _part(),
            _site("customer", "Qualified for your site (GLN)", "Freigegeben für Ihren Standort (GLN)"),
            Column("scope", Sort.TEXT, "/scope", "all variants, line 2 only", "For what exactly", "Wofür genau",
                   is_needed=True, asks=True),
            Column("expires", Sort.DAY, "/expires", "2027-06-30", "Until", "Bis", is_needed=True, asks=True),
            Column("first_days", Sort.DAYS, "/firstArrivalDays", "35", "Days from order to first arrival",
                   "Tage von der Bestellung bis zur ersten Ankunft", is_needed=True, asks=True),
            Column("extra_cents", Sort.WHOLE, "/extraMinorUnits", "190", "Extra price of one, in cents",
                   "Aufpreis für eines, in Cent"),
            *_STATED,
        ),
    ),
    Sheet(
        "route-qualification", "Routes", "Wege",
        "Other ways by which you may get what a supplier sends you, an airlift for example.",
        "Andere Wege, auf denen Sie bekommen können, was ein Lieferant Ihnen schickt, etwa eine Luftbrücke.",
        (
            _site("supplier", "Supplier's site (GLN)", "Standort des Lieferanten (GLN)", "9521004000014"),
            _part(),
            _site("customer", "To your site (GLN)", "An Ihren Standort (GLN)"),
            *_route(is_needed=True),
            Column("scope", Sort.TEXT, "/scope", "airlift, full pallets", "For what exactly", "Wofür genau",
                   is_needed=True, asks=True),
            Column("expires", Sort.DAY, "/expires", "2027-06-30", "Until", "Bis", is_needed=True, asks=True),
            Column("most_a_week", Sort.NUMBER, "/mostAWeek", "4800", "At most a week", "Höchstens in der Woche",
                   is_needed=True, asks=True),
            _UNIT,
            Column("ramp", Sort.SHARES, "/ramp", "50 %; 75 %", "Shares of that in the first weeks, %",
                   "Anteile davon in den ersten Wochen, %"),
            Column("first_days", Sort.DAYS, "/firstDepartureDays", "3", "Days from order to first departure",
                   "Tage von der Bestellung bis zur ersten Abfahrt", is_needed=True, asks=True),
            Column("lead_days", Sort.DAYS, "/lead/days", "7", "Days on the way", "Tage unterwegs", is_needed=True,
                   asks=True),
            Column("sails", Sort.WEEKDAYS, "/lead/sails", "Mon", "Leaves on (if not daily)",
                   "Geht ab am (wenn nicht täglich)"),
            Column("loads", Sort.WHOLE, "/loads", "5", "Departures at most", "Höchstens so viele Abfahrten"),
            Column("extra_cents", Sort.WHOLE, "/extraMinorUnits", "12", "Extra price of one, in cents",
                   "Aufpreis für eines, in Cent"),
            *_STATED,
        ),
    ),
    Sheet(
        "product-price", "Prices", "Preise",
        "What one of a product is sold for. Only you see revenue in your report.",
        "Wofür ein Erzeugnis verkauft wird. Umsatz sehen nur Sie in Ihrem Bericht.",
        (
            _site("site", "Made at (GLN)", "Hergestellt in (GLN)"),
            _part("Product", "Erzeugnis", "09521004100011"),
            Column("price", Sort.MONEY, "/minorUnits", "32000.00", "Price of one", "Preis für eines", is_needed=True,
                   asks=True),
            Column("currency", Sort.CURRENCY, "/currency", "EUR", "Currency", "Währung", is_needed=True, asks=True),
            *_STATED,
        ),
    ),
    Sheet(
        "continuity-plan", "Continuity plans", "Notfallpläne",
        "Who does what when this happens. One row for each trigger or measure of a plan.",
        "Wer was tut, wenn das passiert. Eine Zeile für jeden Auslöser oder jede Maßnahme eines Plans.",
        (
            Column("document", Sort.TEXT, "/document", "BCP-3", "Your document", "Ihr Beleg", is_needed=True,
                   is_key=True),
            Column("name", Sort.TEXT, "/name", "Magnets from East Asia", "Plan", "Plan", is_needed=True, asks=True),
            Column("until", Sort.DAY, "/until", "2027-08-31", "Agreed until", "Vereinbart bis", is_needed=True),
            Column("trigger_kind", Sort.TRIGGER, "/triggers", "region", "Trigger: kind", "Auslöser: Art", repeats=True),
            Column("trigger_name", Sort.TEXT, "/triggers", "East Asia", "Trigger: which", "Auslöser: welcher",
                   repeats=True),
            Column("member", Sort.MEMBER, "/measures", "Oderland Spedition", "Who acts", "Wer handelt", repeats=True),
            Column("what", Sort.TEXT, "/measures", "Books the airlift", "What is done", "Was getan wird", repeats=True),
            Column("within_hours", Sort.WHOLE, "/measures", "24", "Within hours", "Binnen Stunden", repeats=True),
            Column("as_of", Sort.TIME, "/asOf", "2026-10-01", "True as of", "Stand vom"),
        ),
    ),
)  # fmt: skip
BY_KIND = {one.kind: one for one in SHEETS}

UNITS = {
    "H87": ("pcs", "Stk"), "SET": ("sets", "Satz"), "KGM": ("kg", "kg"), "GRM": ("g", "g"), "TNE": ("t", "t"),
    "MTR": ("m", "m"), "MTK": ("m²", "m²"), "MTQ": ("m³", "m³"), "LTR": ("l", "l"),
}  # fmt: skip
"""Units by their codes, and what they are called in the lists."""
LEVELS = {
    SharingLevel.WITHHELD: ("withheld", "zurückgehalten"),
    SharingLevel.IMPACT_ONLY: ("impact-only", "nur Auswirkung"),
    SharingLevel.REGION_AND_CAUSE: ("region-and-cause", "Region und Ursache"),
    SharingLevel.TIER: ("tier", "Stufe"),
    SharingLevel.NAMED: ("named", "namentlich"),
}
YES, NO = ("yes", "ja"), ("no", "nein")
START = ("Start", "Anleitung")
_SORTS = {
    Sort.PLACE: ("a GLN (13 digits), a UN/LOCODE or a URI", "eine GLN (13 Ziffern), ein UN/LOCODE oder eine URI"),
    Sort.PART: ("a GTIN, or number (owner's domain)", "eine GTIN, oder Nummer (Domain des Inhabers)"),
    Sort.PARTS: ("several apart by ;", "mehrere durch ; getrennt"),
    Sort.NUMBER: ("not below 0, as 1920 or 12.5", "nicht unter 0, wie 1920 oder 12,5"),
    Sort.SHARE: ("0 to 100 %", "0 bis 100 %"),
    Sort.SHARES: ("as 50 %; 75 %", "wie 50 %; 75 %"),
    Sort.WORDS: ("several apart by ,", "mehrere durch , getrennt"),
    Sort.DAYS: ("whole days", "ganze Tage"),
    Sort.WHOLE: ("a whole number", "eine ganze Zahl"),
    Sort.MONEY: ("as 32000.00", "wie 32000,00"),
    Sort.DAY: ("a date", "ein Datum"),
    Sort.DATES: ("dates as 2026-12-24, apart by ;", "Tage wie 2026-12-24, durch ; getrennt"),
    Sort.TIME: ("a date, with a time if you like; empty: now", "ein Datum, auch mit Uhrzeit; leer: jetzt"),
    Sort.WEEKDAYS: ("as Mon-Fri, or Mon, Wed", "wie Mo-Fr, oder Mo, Mi"),
    Sort.DEGREES: ("degrees, as 51.53", "Grad, wie 51,53"),
    Sort.LEVELS: ("member: level, apart by ;", "Mitglied: Stufe, durch ; getrennt"),
    Sort.PORT: ("as CNNGB", "wie CNNGB"),
    Sort.CURRENCY: ("as EUR", "wie EUR"),
}  # fmt: skip
_STARTING = {
    "en": (
        "Facts of your supply network",
        "Fill in the sheets that you can say something about; leave the others empty.",
        "Rows that begin with # are explanations and examples: they say nothing, and you may delete them.",
        "Columns with * must be filled in. Numbers and dates as Excel has them; no formulas, no merged cells.",
        "Identifiers (GLN, GTIN) are text: leading noughts count.",
        "Send it by `tallystick risk import FILE`. A changed row replaces what you said before.",
        "What others may know of a supply link:",
        "withheld: nobody but you and the other end. It is missing from everybody else's picture.",
        "impact-only: others further down see that something above them stops, what it does to them, and no more.",
        "region-and-cause: they see besides in which region, and why.",
        "tier: they see besides how many steps up it is.",
        "named: they see your name and site.",
    ),
    "de": (
        "Fakten Ihres Liefernetzes",
        "Füllen Sie die Blätter aus, zu denen Sie etwas sagen können; lassen Sie die anderen leer.",
        "Zeilen, die mit # beginnen, sind Erklärungen und Beispiele: Sie sagen nichts aus und dürfen weg.",
        "Spalten mit * sind auszufüllen. Zahlen und Tage, wie Excel sie hat; keine Formeln, keine verbundenen Zellen.",
        "Kennungen (GLN, GTIN) sind Text: Führende Nullen zählen.",
        "Senden: `tallystick risk import DATEI`. Eine geänderte Zeile ersetzt, was Sie vorher sagten.",
        "Was andere von einer Lieferbeziehung wissen dürfen:",
        "zurückgehalten: niemand außer Ihnen und dem anderen Ende. Im Bild aller anderen fehlt sie.",
        "nur Auswirkung: Andere weiter unten sehen, dass oberhalb etwas ausfällt und was das bewirkt, sonst nichts.",
        "Region und Ursache: Sie sehen außerdem, in welcher Region und warum.",
        "Stufe: Sie sehen außerdem, wie viele Stufen weiter oben.",
        "namentlich: Sie sehen Ihren Namen und Standort.",
    ),
}
_HEADINGS = {"en": ("What to fill in", "Example"), "de": ("Was hineingehört", "Beispiel")}


@lru_cache(maxsize=len(LANGUAGES))
def workbook(language: str) -> bytes:
    """The template as .xlsx in one of LANGUAGES: a sheet for each kind, with examples and lists to choose from."""
    from openpyxl import Workbook
    from openpyxl.styles import Alignment, Font, PatternFill

    at = LANGUAGES.index(language)
    book: Any = Workbook()
    start = book.active
    start.title = START[at]
    start.column_dimensions["A"].width = 120
    for number, line in enumerate(_STARTING[language], 1):
        cell = start.cell(number, 1, line)
        cell.font = Font(bold=number in (1, 7), size=16 if number == 1 else 11)
        cell.alignment = Alignment(wrap_text=True, vertical="top")
    grey, head = Font(italic=True, color="5A6572"), PatternFill("solid", fgColor="E4ECF4")
    for sheet in SHEETS:
        page = book.create_sheet(sheet.title(language))
        page.append(explaining_rows(sheet, language)[0])
        page.append(["", *(f"{one.title(language)}{' *' if one.is_needed else ''}" for one in sheet.columns)])
        for row in explaining_rows(sheet, language)[1:]:
            page.append(row)
        last = 4 + len(sheet.more_example_rows)
        page["A1"].font = Font(bold=True)
        page.column_dimensions["A"].width = 16
        for number, column in enumerate(sheet.columns, 2):
            letter = page.cell(2, number).column_letter
            page.column_dimensions[letter].width = 24
            for row_number in range(2, last + 1):
                cell = page.cell(row_number, number)
                cell.alignment = Alignment(wrap_text=True, vertical="top")
                cell.font = Font(bold=True) if row_number == 2 else grey
            page.cell(2, number).fill = head
            if column.sort in (Sort.PLACE, Sort.PART, Sort.PARTS, Sort.TEXT, Sort.WEEKDAYS, Sort.DATES):
                page.column_dimensions[letter].number_format = "@"  # or Excel takes leading noughts away
            _offer_choices(page, column, letter, last, at)
        for row_number in range(3, last + 1):
            page.cell(row_number, 1).font = grey
        page.freeze_panes = page.cell(3, 2)
    out = BytesIO()
    book.save(out)
    return out.getvalue()


def explaining_rows(sheet: Sheet, language: str) -> list[list[str]]:
    """The rows of a sheet that begin with #: what it is for, what goes into each column, and examples."""
    at = LANGUAGES.index(language)
    what, example = _HEADINGS[language]
    examples = [{one.name: one.example for one in sheet.columns}, *sheet.more_example_rows]
    return [
        [f"{NOTE} {sheet.about(language)}"],
        [f"{NOTE} {what}", *(_hint(one, at) for one in sheet.columns)],
        *(
            [f"{NOTE} {example}", *(_shown(one, row.get(one.name, ""), at) for one in sheet.columns)]
            for row in examples
        ),
    ]


def texts(language: str) -> dict[str, str]:
    """What the template says in one of LANGUAGES, by the names that pages have for it."""
    at = LANGUAGES.index(language)
    said = {f"unit_{code}": names[at] for code, names in UNITS.items()}
    said |= {f"level_{level}": names[at] for level, names in LEVELS.items()}
    said |= {f"hint_{sort}": names[at] for sort, names in _SORTS.items()}
    for sheet in SHEETS:
        said |= {f"kind_{sheet.kind}": sheet.title(language), f"about_{sheet.kind}": sheet.about(language)}
        said |= {f"column_{sheet.kind}_{one.name}": one.title(language) for one in sheet.columns}
    return said


def _offer_choices(page: Any, column: Column, letter: str, last: int, at: int) -> None:
    from openpyxl.worksheet.datavalidation import DataValidation

    choices = {
        Sort.UNIT: [names[at] for names in UNITS.values()],
        Sort.LEVEL: [names[at] for names in LEVELS.values()],
        Sort.YES: [YES[at], NO[at]],
        Sort.TRIGGER: ["region", "site", "port", "lane", "part"],
    }.get(column.sort)
    if choices is None:
        return
    # Other units than those in the list are good, too: the list helps and does not refuse.
    offered = DataValidation(type="list", formula1=f'"{",".join(choices)}"', allow_blank=True,
                             showErrorMessage=column.sort is not Sort.UNIT)  # fmt: skip
    page.add_data_validation(offered)
    offered.add(f"{letter}{last + 1}:{letter}{last + EMPTY_ROWS}")


def _hint(column: Column, at: int) -> str:
    if column.sort is Sort.UNIT:
        return ", ".join(names[at] for names in UNITS.values())
    if column.sort is Sort.LEVEL:
        return ", ".join(names[at] for names in LEVELS.values())
    if column.sort is Sort.YES:
        return f"{YES[at]} / {NO[at]}"
    return _SORTS.get(column.sort, ("", ""))[at]


def _shown(column: Column, example: str, at: int) -> str:
    """An example as somebody who speaks that language would type it."""
    if not example or at == 0:
        return example
    if column.sort is Sort.UNIT:
        return next(names[at] for names in UNITS.values() if names[0] == example)
    if column.sort is Sort.LEVEL:
        return LEVELS[SharingLevel(example)][at]
    if column.sort is Sort.YES:
        return YES[at] if example == YES[0] else NO[at]
    if column.sort is Sort.WEEKDAYS:
        return example.replace("Mon", "Mo").replace("Fri", "Fr").replace("Wed", "Mi")
    if column.sort is Sort.LEVELS:
        member, _, level = example.partition(": ")
        return f"{member}: {LEVELS[SharingLevel(level)][at]}"
    return example.replace(".", ",") if column.sort in (Sort.DEGREES, Sort.MONEY) else example
