"""One key per thing, whatever way its identifier is written.

GS1 keys come as EPC URN (`urn:epc:id:sgtin:4012345.011111.9876`), as GS1 Digital Link on any host
(`https://example.com/01/04012345111118/21/9876`), as element string (`(01)04012345111118(21)9876`) or as bare number
with its name (`named("gtin", "4012345111118")`). The key is the constrained canonical Digital Link on id.gs1.org that
the CBV 2.0 event hash uses (rules 17 and 18): primary key and the finest qualifier, nothing else. Check digits are
verified where the spelling carries one; an EPC URN carries none.

Two kinds of units need no GS1 prefix: ISO/IEC 15459 licence plates as on VDA 4994 and Odette LL08 labels
(`1JUN049505160A1B2C3`, or as web address `https://example.com/1J/UN049505160A1B2C3`), and a member's own numbers,
written as a path below its DID (`did:web:foundry.example.org/part/HX-12/serial/000123`).

Sources: GS1 EPC Tag Data Standard 2.0 section 6, GS1 Digital Link 1.2 section 4, GS1 Syntax Dictionary, ISO 6346,
ISO/IEC 15459-1.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import unquote

from ledger_service.errors import MalformedInput

MAX_LENGTH = 1000
"""A longer text is taken for no identifier: no key comes near, and what is looked at must stay small."""


class MalformedIdentifier(MalformedInput):
    """An identifier that breaks the rules of the scheme it claims."""


class WrongCheckDigit(MalformedIdentifier):
    """A number whose check digit does not fit its other digits.

    `position` counts from 1 within the number as written; one digit was probably misread or typed wrong.
    """

    def __init__(self, name: str, number: str, position: int, right: str, where: str = "") -> None:
        found = number[position - 1]
        super().__init__(
            f"the check digit of {name} {number} (digit {position}) is {found} but its other digits ask for {right}; "
            "compare the number with the label",
            where,
        )
        self.name = name
        self.number = number
        self.position = position
        self.found = found
        self.right = right


@dataclass(frozen=True, slots=True)
class Identifier:
    """A thing, a class of things, a place or a party, under the one key all its spellings share.

    `kind` is the name of the EPC scheme (`sgtin`, `lgtin`, `gtin`, `sscc`, `sgln`, `gln`, `pgln`, ...),
    `licence-plate`, `part-serial` or `part-batch`. `key` is text; equal keys mean the same thing.
    """

    kind: str
    key: str


def identify(text: str, where: str = "") -> Identifier | None:
    """What `text` names, or None if it follows none of the schemes known here (a private URI, a `geo:` place).

    Raises MalformedIdentifier, with `where`, if it claims a scheme and breaks its rules.

    >>> identify("urn:epc:id:sscc:4012345.0000000333")
    Identifier(kind='sscc', key='https://id.gs1.org/00/040123450000003338')
    >>> identify("https://example.com/gtin/09780345418913/21/765tz?abc=1").key
    'https://id.gs1.org/01/09780345418913/21/765tz'
    """
    if len(text) > MAX_LENGTH:
        return None
    # Single pallets and pieces are most of what comes in and seldom come twice: quick to read, useless to remember.
    piece = _PIECE.fullmatch(text)
    if piece is not None:
        scheme, prefix, first, more, serial = piece.groups()
        body = first + prefix + more
        if scheme == "sscc" and len(body) == 17 and serial is None:
            return Identifier("sscc", f"https://id.gs1.org/00/{body}{check_digit(body)}")
        if scheme == "sgtin" and len(body) == 13 and serial is not None:
            return Identifier("sgtin", f"https://id.gs1.org/01/{body}{check_digit(body)}/21/{serial}")
    if not where:
        return _identify(text)
    try:
        return _identify(text)
    except WrongCheckDigit as error:
        raise WrongCheckDigit(error.name, error.number, error.position, error.right, where) from None
    except MalformedIdentifier as error:
        raise MalformedIdentifier(error.what, where) from None


def named(name: str, number: str, *, serial: str = "", batch: str = "", extension: str = "") -> Identifier:
    """The key called `name` (`gtin`, `sscc`, `gln`, `pgln`, ...) with the bare `number`.

    >>> named("gtin", "4012345111118", serial="9876").key
    'https://id.gs1.org/01/04012345111118/21/9876'
    """
    ai = _NAMES.get(name.lower())
    if ai is None:
        raise MalformedIdentifier(f"{name!r} is not a GS1 key; known are {', '.join(sorted(_NAMES))}")
    qualifiers = {"21": serial, "10": batch, "254": extension}
    return _gs1(ai, number, {qualifier: value for qualifier, value in qualifiers.items() if value})


def member_unit(did: str, part: str, *, serial: str = "", batch: str = "") -> Identifier:
    """The unit that the member `did` calls by its own part number and serial, or batch.

    >>> member_unit("did:web:foundry.example.org", "HX-12", serial="7").key
    'did:web:foundry.example.org/part/HX-12/serial/7'
    """
    if not _DID.fullmatch(did):
        raise MalformedIdentifier(f"{did!r} is not a DID such as did:web:foundry.example.org")
    if not part or bool(serial) == bool(batch):
        raise MalformedIdentifier("a unit needs a part number and either a serial or a batch")
    last = f"serial/{_quote(serial)}" if serial else f"batch/{_quote(batch)}"
    return Identifier("part-serial" if serial else "part-batch", f"{did}/part/{_quote(part)}/{last}")


def licence_plate(plate: str) -> Identifier:
    """The transport unit with the ISO/IEC 15459 licence plate `plate`, without its data identifier.

    The agency code comes first: `UN` is followed by a DUNS number (9 digits), `OD` by an Odette code (4 characters).
    Whether the label says 1J, 5J or 6J is about the packing, not about which plate it is, so it is not part of the
    key.

    >>> licence_plate("UN049505160A1B2C3").key
    'licence-plate:UN049505160A1B2C3'
    """
    if not _PLATE.fullmatch(plate):
        raise MalformedIdentifier(
            f"licence plate {plate!r}: expected 2 letters of the issuing agency, a company code and a serial, "
            "at most 35 digits and capital letters"
        )
    if plate.startswith("UN") and not re.match(r"UN\d{9}.", plate):
        raise MalformedIdentifier(
            f"licence plate {plate!r}: UN must be followed by a DUNS number of 9 digits and a serial"
        )
    if plate.startswith("OD") and len(plate) < 7:
        raise MalformedIdentifier(
            f"licence plate {plate!r}: OD must be followed by an Odette code of 4 characters and a serial"
        )
    return Identifier("licence-plate", f"licence-plate:{plate}")


def check_digit(digits: str) -> str:
    """The GS1 mod-10 check digit that belongs behind `digits` (GS1 General Specifications 7.9.1).

    It sees every single wrong digit. It does not see two neighbours swapped that differ by 5 (05, 16, 27, 38, 49): 10
    of the 90 ordered pairs of unlike digits.

    >>> check_digit("401234511111")
    '8'
    """
    codes = digits.encode()
    # The code of a digit is 48 more than the digit.
    total = 3 * sum(codes[::-2]) + sum(codes[-2::-2]) - 48 * (2 * len(codes) + len(codes) % 2)
    return str(-total % 10)


@dataclass(frozen=True, slots=True)
class _Key:
    """How one GS1 key is built: `digits` digits, the last checked, then `tail`; qualifiers in order of fineness."""

    name: str
    digits: int
    tail: str = ""
    after_check: int = 0
    """Digits between the check digit and the tail (piece and total of an ITIP)."""
    qualifiers: tuple[str, ...] = ()
    """Those that make the thing finer, finest first: only the first that is present stays in the key."""
    dropped: tuple[str, ...] = ()


_X = r"[!\"%-?A-Z_a-z]"
_KEYS: dict[str, _Key] = {
    "00": _Key("SSCC", 18),
    "01": _Key("GTIN", 14, qualifiers=("21", "235", "10"), dropped=("22",)),
    "253": _Key("GDTI", 13, tail=_X + "{0,17}"),
    "255": _Key("GCN", 13, tail=r"\d{0,12}"),
    "401": _Key("GINC", 0, tail=r"\d{4}" + _X + "{0,26}"),
    "402": _Key("GSIN", 17),
    "414": _Key("GLN", 13, qualifiers=("254",), dropped=("7040",)),
    "417": _Key("PGLN", 13, dropped=("7040",)),
    "8003": _Key("GRAI", 14, tail=_X + "{0,16}"),
    "8004": _Key("GIAI", 0, tail=r"\d{4}" + _X + "{0,26}", dropped=("7040",)),
    "8006": _Key("ITIP", 14, after_check=4, qualifiers=("21", "10"), dropped=("22",)),
    "8010": _Key("CPID", 0, tail=r"\d{4}[#\-/0-9A-Z]{0,26}", qualifiers=("8011",)),
    "8017": _Key("GSRN", 18, dropped=("8019",)),
    "8018": _Key("GSRN", 18, dropped=("8019",)),
}
_TAILS = {ai: re.compile(key.tail) for ai, key in _KEYS.items()}
_QUALIFIERS = {
    "10": re.compile(_X + "{1,20}"),
    "21": re.compile(_X + "{1,20}"),
    "22": re.compile(_X + "{1,20}"),
    "235": re.compile(_X + "{1,28}"),
    "254": re.compile(_X + "{1,20}"),
    "7040": re.compile(r"\d.{3}"),
    "8011": re.compile(r"[1-9]\d{0,11}|0"),
    "8019": re.compile(r"\d{1,10}"),
}
_KINDS = {
    ("01", "21"): "sgtin",
    ("01", "10"): "lgtin",
    ("01", "235"): "upui",
    ("01", ""): "gtin",
    ("414", "254"): "sgln",
    ("414", ""): "gln",
    ("417", ""): "pgln",
    ("8017", ""): "gsrnp",
    ("8018", ""): "gsrn",
    ("8010", "8011"): "cpi",
    ("8010", ""): "cpid",
    ("255", ""): "sgcn",
}
_NAMES = {
    "sscc": "00",
    "gtin": "01",
    "gdti": "253",
    "gcn": "255",
    "ginc": "401",
    "gsin": "402",
    "gln": "414",
    "pgln": "417",
    "party": "417",
    "grai": "8003",
    "giai": "8004",
    "itip": "8006",
    "cpid": "8010",
    "gsrnp": "8017",
    "gsrn": "8018",
}
# Words for application identifiers in web addresses, withdrawn since Digital Link 1.2 but still met.
_WORDS = _NAMES | {"cpv": "22", "lot": "10", "ser": "21", "tpx": "235", "glnx": "254", "cpsn": "8011", "srin": "8019"}

_DID = re.compile(r"did:[a-z0-9]+:[A-Za-z0-9._:%-]+")
_PLATE = re.compile(r"[A-Z]{2}[0-9A-Z]{3,33}")
_LABEL = re.compile(r"\(?[1-6]?J\)?([A-Z]{2}[0-9A-Z]*)")
_WEB = re.compile(r"https?://([^/?#]+)(/[^?#]*)?", re.IGNORECASE)
# Only what needs neither quoting nor a second look; all else goes the long way, which gives the same for these.
_PIECE = re.compile(r"urn:epc:id:(sscc|sgtin):(\d{6,12})\.(\d)(\d*)(?:\.([0-9A-Za-z]{1,20}))?", re.ASCII)
_PREFIX = re.compile(r"\d{6,12}", re.ASCII)
_DIGITS = re.compile(r"\d*", re.ASCII)
_URN = re.compile(r"urn:epc:(id|class|idpat):([a-z]+):(.+)")
_MEMBER = re.compile(r"(did:[^/?#]+)/part/([^/?#]+)/(serial|batch)/([^/?#]+)")


@lru_cache(maxsize=8192)
def _identify(text: str) -> Identifier | None:
    if text.startswith("urn:epc:"):
        return _urn(text)
    if text[:4].lower() == "http":
        return _web_address(text)
    if text.startswith("did:"):
        unit = _MEMBER.fullmatch(text)
        if unit is None:
            return None
        did, part, sort, number = unit.groups()
        try:
            part, number = unquote(part, errors="strict"), unquote(number, errors="strict")
        except UnicodeDecodeError:
            raise MalformedIdentifier(f"{text!r}: what is written with % is not UTF-8") from None
        return member_unit(did, part, **{sort: number})
    if text.startswith("licence-plate:"):
        return licence_plate(text.removeprefix("licence-plate:"))
    label = _LABEL.fullmatch(text)
    if label is not None:
        return licence_plate(label[1])
    if re.match(r"\(\d{2,4}\)|\][CdQe]\d", text):
        return _element_string(text)
    return None


def _gs1(ai: str, value: str, qualifiers: dict[str, str]) -> Identifier:
    """The key of `value` under the application identifier `ai`; all checks are made here."""
    key = _KEYS[ai]
    number = value[: len(value) if ai == "01" else key.digits]
    if key.digits:
        if (
            not number.isascii()
            or not number.isdigit()
            or len(number) not in ((8, 12, 13, 14) if ai == "01" else (key.digits,))
        ):
            expected = "8, 12, 13 or 14" if ai == "01" else str(key.digits)
            raise MalformedIdentifier(f"{key.name} {value!r}: expected {expected} digits")
        right = check_digit(number[:-1])
        if number[-1] != right:
            raise WrongCheckDigit(key.name, number, len(number), right)
        if ai == "8003" and number[0] != "0":
            raise MalformedIdentifier(f"GRAI {value!r}: the first digit must be 0")
    return _built(ai, value, len(number), qualifiers)


def _built(ai: str, value: str, digits: int, qualifiers: dict[str, str]) -> Identifier:
    """The key of `value`, whose first `digits` characters are known to be the right digits."""
    key = _KEYS[ai]
    rest = value[digits:]
    if key.after_check:
        pieces = rest[: key.after_check]
        if not re.fullmatch(r"\d{4}", pieces) or not "00" < pieces[:2] <= pieces[2:]:
            raise MalformedIdentifier(f"{key.name} {value!r}: expected piece and total, such as 0102, behind the GTIN")
        rest = rest[key.after_check :]
    if not _TAILS[ai].fullmatch(rest):
        raise MalformedIdentifier(
            f"{key.name} {value!r}: {rest!r} is too long or has characters that the key does not allow"
        )
    for qualifier, text in qualifiers.items():
        if not _QUALIFIERS[qualifier].fullmatch(text):
            raise MalformedIdentifier(f"{key.name} {value!r}: {text!r} is no value for ({qualifier})")

    canonical = value.zfill(14) if ai == "01" else value
    finest = next((qualifier for qualifier in key.qualifiers if qualifier in qualifiers), "") if qualifiers else ""
    uri = f"https://id.gs1.org/{ai}/{_quote(canonical)}"
    if finest:
        uri += f"/{finest}/{_quote(qualifiers[finest])}"
    return Identifier(_KINDS.get((ai, finest)) or key.name.lower(), uri)


def _quote(text: str) -> str:
    """`text` as one step of a web address; bare stays what the vectors of the event hash leave bare."""
    if text.isalnum() and text.isascii():
        return text
    return _NOT_BARE.sub(lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode()), text)


_NOT_BARE = re.compile(r"[^A-Za-z0-9._~';=-]")


def _web_address(text: str) -> Identifier | None:
    """A GS1 Digital Link or licence plate on any host, else None.

    Only a path whose values have the shape of the key counts as one, so that https://example.com/2024/01/15 stays the
    address it is; on
    id.gs1.org a path that begins like a key must be one.
    """
    address = _WEB.match(text)
    if address is None or address[2] is None:
        return None
    steps = [unquote(step) for step in address[2].split("/")[1:]]
    if steps and not steps[-1]:
        steps.pop()
    for at in range(len(steps) - 1):
        if _LABEL.fullmatch(steps[at] + steps[at + 1]) and re.fullmatch("[1-6]?J", steps[at]) and at == len(steps) - 2:
            return licence_plate(steps[at + 1])
        ai = _WORDS.get(steps[at], steps[at])
        key = _KEYS.get(ai)
        if key is None or (len(steps) - at) % 2:
            continue
        names = [_WORDS.get(step, step) for step in steps[at + 2 :: 2]]
        if not all(name in key.qualifiers + key.dropped for name in names):
            continue
        if _has_shape(ai, key, steps[at + 1]):
            return _gs1(ai, steps[at + 1], dict(zip(names, steps[at + 3 :: 2], strict=True)))
    if address[1].lower() == "id.gs1.org" and steps and _WORDS.get(steps[0], steps[0]) in _KEYS:
        raise MalformedIdentifier(f"{text[:120]!r} is on id.gs1.org but is not a GS1 key with the digits it needs")
    return None


def _has_shape(ai: str, key: _Key, value: str) -> bool:
    if ai == "01":
        return bool(re.fullmatch(r"\d{8}|\d{12,14}", value))
    digits = key.digits + key.after_check
    return bool(re.match(rf"\d{{{digits or 4}}}", value)) and (bool(key.tail) or len(value) == digits)


def _element_string(text: str) -> Identifier | None:
    """The key in a scanned or printed element string; fields that are no part of it are passed over."""
    fields = dict(_bracketed(text) if text.startswith("(") else _scanned(text[3:]))
    for ai, key in _KEYS.items():
        if ai in fields:
            return _gs1(ai, fields[ai], {name: fields[name] for name in key.qualifiers + key.dropped if name in fields})
    return None


def _bracketed(text: str) -> list[tuple[str, str]]:
    steps = re.split(r"(?<!\\)\((\d{2,4})\)", text)
    return [(ai, value.replace("\\(", "(")) for ai, value in zip(steps[1::2], steps[2::2], strict=True)]


# GS1 General Specifications 7.8.4: fields that begin so need no separator; lengths include the identifier.
_FIXED = {"00": 20, "01": 16, "02": 16, "03": 16, "04": 18, "20": 4, "41": 16}
_FIXED |= {f"1{n}": 8 for n in range(1, 10)} | {f"3{n}": 10 for n in range(1, 7)}
_FOUR_DIGITS = re.compile(r"3[1-69]|43|7[02]|8[0-2]")
_THREE_DIGITS = re.compile(r"2[345]|4[0-2]|71")


def _scanned(text: str) -> list[tuple[str, str]]:
    fields = []
    while text:
        start = text[:2]
        digits = 4 if _FOUR_DIGITS.match(start) else 3 if _THREE_DIGITS.match(start) else 2
        end = _FIXED.get(start) or (text.find("\x1d") if "\x1d" in text else len(text))
        fields.append((text[:digits], text[digits:end]))
        text = text[end:].removeprefix("\x1d")
    return fields


def _urn(text: str) -> Identifier | None:
    urn = _URN.fullmatch(text)
    if urn is None:
        return None
    form, scheme, body = urn.groups()
    if scheme in _OTHER_SCHEMES:
        _OTHER_SCHEMES[scheme](body)
        return Identifier(scheme, text)
    rule = _SCHEMES.get(scheme)
    if rule is None:
        return None
    parts = body.split(".", rule.parts - 1)
    if len(parts) != rule.parts:
        raise MalformedIdentifier(f"{text!r}: expected {rule.parts} parts between dots behind {scheme}:")
    pattern = form == "idpat"
    if pattern and "*" in parts[:-1]:
        return None  # a pattern over many classes names nothing by itself
    prefix, reference = parts[0], parts[1]
    if not _PREFIX.fullmatch(prefix):
        raise MalformedIdentifier(f"{text!r}: the GS1 company prefix must have 6 to 12 digits, not {prefix!r}")
    if rule.digits and (len(prefix) + len(reference) != rule.digits or not _DIGITS.fullmatch(reference)):
        raise MalformedIdentifier(
            f"{text!r}: company prefix {prefix} and reference {reference} must be {rule.digits} digits together"
        )
    any_serial = pattern and parts[-1] == "*"
    if any_serial and rule.parts == 2:
        return None
    if not parts[-1] and (rule.parts > 2 or not rule.digits):
        raise MalformedIdentifier(f"{text!r}: the last part, behind the dot, is empty")
    tail = "" if any_serial else unquote(parts[-1])
    return rule.build(prefix, reference, tail, parts)


@dataclass(frozen=True, slots=True)
class _Scheme:
    """An EPC scheme: how many parts, digits of prefix and reference together (0: free text), and its GS1 key.

    `build` gets company prefix, reference, last part (empty if a pattern leaves it open) and all parts.
    """

    parts: int
    digits: int
    build: Callable[[str, str, str, list[str]], Identifier]


def _checked(ai: str, body: str, rest: str, qualifiers: dict[str, str]) -> Identifier:
    """The key of the digits `body`, to which an EPC URN carries no check digit, and of what follows them."""
    return _built(ai, body + check_digit(body) + rest, len(body) + 1, qualifiers)


def _indicator_first(prefix: str, reference: str) -> str:
    return reference[:1] + prefix + reference[1:]


def _trade_item(qualifier: Literal["21", "10", "235"]) -> Callable[[str, str, str, list[str]], Identifier]:
    return lambda prefix, reference, tail, _: _checked(
        "01", _indicator_first(prefix, reference), "", {qualifier: tail} if tail else {}
    )


def _location(prefix: str, reference: str, tail: str, _: list[str]) -> Identifier:
    # TDS 6.3.3: extension 0 means that there is none
    return _checked("414", prefix + reference, "", {} if tail in ("", "0") else {"254": tail})


def _pieces(prefix: str, reference: str, tail: str, parts: list[str]) -> Identifier:
    return _checked("8006", _indicator_first(prefix, reference), parts[2] + parts[3], {"21": tail} if tail else {})


_SCHEMES: dict[str, _Scheme] = {
    "sgtin": _Scheme(3, 13, _trade_item("21")),
    "lgtin": _Scheme(3, 13, _trade_item("10")),
    "upui": _Scheme(3, 13, _trade_item("235")),
    "itip": _Scheme(5, 13, _pieces),
    "sscc": _Scheme(
        2, 17, lambda prefix, reference, _, __: _checked("00", _indicator_first(prefix, reference), "", {})
    ),
    "sgln": _Scheme(3, 12, _location),
    "pgln": _Scheme(2, 12, lambda prefix, reference, _, __: _checked("417", prefix + reference, "", {})),
    "grai": _Scheme(3, 12, lambda prefix, reference, tail, _: _checked("8003", "0" + prefix + reference, tail, {})),
    "gdti": _Scheme(3, 12, lambda prefix, reference, tail, _: _checked("253", prefix + reference, tail, {})),
    "sgcn": _Scheme(3, 12, lambda prefix, reference, tail, _: _checked("255", prefix + reference, tail, {})),
    "gsin": _Scheme(2, 16, lambda prefix, reference, _, __: _checked("402", prefix + reference, "", {})),
    "gsrn": _Scheme(2, 17, lambda prefix, reference, _, __: _checked("8018", prefix + reference, "", {})),
    "gsrnp": _Scheme(2, 17, lambda prefix, reference, _, __: _checked("8017", prefix + reference, "", {})),
    "giai": _Scheme(2, 0, lambda prefix, _, tail, __: _gs1("8004", prefix + tail, {})),
    "ginc": _Scheme(2, 0, lambda prefix, _, tail, __: _gs1("401", prefix + tail, {})),
    "cpi": _Scheme(
        3,
        0,
        lambda prefix, reference, tail, _: _gs1("8010", prefix + unquote(reference), {"8011": tail} if tail else {}),
    ),
}


def _check_container(number: str) -> None:
    """ISO 6346: owner code, category, serial and a check digit mod 11."""
    if not re.fullmatch(r"[A-Z]{3}[JUZ]\d{7}", number):
        raise MalformedIdentifier(f"container {number!r}: expected 4 letters and 7 digits, such as CSQU3054383")
    # letters count from 10 upwards, leaving out the multiples of 11
    plain = [int(sign, 36) for sign in number[:10]]
    values = [value + (value > 10) + (value > 20) + (value > 30) for value in plain]
    right = str(sum(value << place for place, value in enumerate(values)) % 11 % 10)
    if number[10] != right:
        raise WrongCheckDigit("container", number, 11, right)


def _check_vessel(number: str) -> None:
    """IMO ship number: six digits weighted 7 to 2, the last digit of the sum behind."""
    if not re.fullmatch(r"\d{7}", number):
        raise MalformedIdentifier(f"IMO number {number!r}: expected 7 digits")
    right = str(sum(int(digit) * weight for digit, weight in zip(number, range(7, 1, -1), strict=False)) % 10)
    if number[6] != right:
        raise WrongCheckDigit("IMO number", number, 7, right)


# EPC schemes that are no GS1 keys keep their URN as key.
_OTHER_SCHEMES: dict[str, Callable[[str], None]] = {
    "bic": _check_container,
    "imovn": _check_vessel,
    "gid": lambda _: None,
    "adi": lambda _: None,
    "usdod": lambda _: None,
}
