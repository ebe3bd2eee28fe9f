"""Every spelling of a thing gives one key, and every wrong check digit is named."""

import random
import re
import string
from urllib.parse import quote

import pytest
import stdnum.ean
import stdnum.imo
import stdnum.iso6346
from hypothesis import given
from hypothesis import strategies as st

from ledger_service import identifiers
from ledger_service.identifiers import (
    MalformedIdentifier,
    WrongCheckDigit,
    check_digit,
    identify,
    licence_plate,
    member_unit,
    named,
)

GS1 = "https://id.gs1.org"

SPELLINGS: dict[str, tuple[str, str, list[str]]] = {
    "serialised trade item": (
        "sgtin",
        f"{GS1}/01/04012345111118/21/9876",
        [
            "urn:epc:id:sgtin:4012345.011111.9876",
            "https://id.gs1.org/01/04012345111118/21/9876",
            "https://id.gs1.org/gtin/4012345111118/ser/9876",
            "https://example.com/some/shop/01/4012345111118/21/9876?17=271231#top",
            "http://example.com/01/04012345111118/10/LOT1/21/9876",
            "https://example.com/01/04012345111118/22/2A/10/LOT1/21/9876/",
            "(01)04012345111118(21)9876",
            "(01)04012345111118(17)271231(10)LOT1(21)9876",
            "]C1010401234511111817271231219876",
            "]d20104012345111118" + "10LOT1\x1d" + "219876",
        ],
    ),
    "trade item class": (
        "gtin",
        f"{GS1}/01/04012345111118",
        ["urn:epc:idpat:sgtin:4012345.011111.*", "https://id.gs1.de/01/4012345111118", "(01)04012345111118"],
    ),
    "batch": (
        "lgtin",
        f"{GS1}/01/04012345111118/10/Lot%2F7",
        [
            "urn:epc:class:lgtin:4012345.011111.Lot%2F7",
            "https://x.org/01/04012345111118/10/Lot%2F7",
            "(01)04012345111118(10)Lot/7",
        ],
    ),
    "GTIN-8": ("gtin", f"{GS1}/01/00000012345670", ["https://x.org/01/12345670", "https://x.org/gtin/00000012345670"]),
    "GTIN-12": (
        "gtin",
        f"{GS1}/01/00614141999996",
        ["https://x.org/01/614141999996", "urn:epc:idpat:sgtin:0614141.099999.*"],
    ),
    "logistic unit": (
        "sscc",
        f"{GS1}/00/040123450000003338",
        [
            "urn:epc:id:sscc:4012345.0000000333",
            "https://x.org/sscc/040123450000003338",
            "(00)040123450000003338",
            "]C100040123450000003338",
        ],
    ),
    "place": (
        "gln",
        f"{GS1}/414/4012345000054",
        [
            "urn:epc:id:sgln:4012345.00005.0",
            "https://x.org/gln/4012345000054",
            "(414)4012345000054",
            "(414)4012345000054(7040)1ABC",
        ],
    ),
    "place within a place": (
        "sgln",
        f"{GS1}/414/4012345000054/254/122",
        ["urn:epc:id:sgln:4012345.00005.122", "https://x.org/414/4012345000054/254/122", "(414)4012345000054(254)122"],
    ),
    "party": (
        "pgln",
        f"{GS1}/417/4000001000005",
        ["urn:epc:id:pgln:4000001.00000", "https://x.org/party/4000001000005", "(417)4000001000005"],
    ),
    "party with a twelve-digit prefix": ("pgln", f"{GS1}/417/9999999999994", ["urn:epc:id:pgln:999999999999."]),
    "returnable asset": (
        "grai",
        f"{GS1}/8003/0401234566666387",
        ["urn:epc:id:grai:4012345.66666.87", "https://x.org/8003/0401234566666387", "(8003)0401234566666387"],
    ),
    "individual asset": (
        "giai",
        f"{GS1}/8004/4012345AAbb",
        ["urn:epc:id:giai:4012345.AAbb", "https://x.org/giai/4012345AAbb", "(8004)4012345AAbb"],
    ),
    "document": (
        "gdti",
        f"{GS1}/253/4012345000092PO-4711",
        ["urn:epc:id:gdti:4012345.00009.PO-4711", "(253)4012345000092PO-4711"],
    ),
    "service relation, recipient": (
        "gsrn",
        f"{GS1}/8018/401234598765400000",
        ["urn:epc:id:gsrn:4012345.9876540000", "(8018)401234598765400000"],
    ),
    "service relation, provider": (
        "gsrnp",
        f"{GS1}/8017/401234500000987658",
        ["urn:epc:id:gsrnp:4012345.0000098765", "(8017)401234500000987658"],
    ),
    "coupon": ("sgcn", f"{GS1}/255/401234599999044", ["urn:epc:id:sgcn:4012345.99999.44", "(255)401234599999044"]),
    "consignment": (
        "ginc",
        f"{GS1}/401/0614141xyz47%2F11",
        ["urn:epc:id:ginc:0614141.xyz47%2F11", "(401)0614141xyz47/11"],
    ),
    "shipment": (
        "gsin",
        f"{GS1}/402/40123459999876541",
        ["urn:epc:id:gsin:4012345.999987654", "(402)40123459999876541"],
    ),
    "component": (
        "cpi",
        f"{GS1}/8010/4012345ABC/8011/123",
        ["urn:epc:id:cpi:4012345.ABC.123", "https://x.org/8010/4012345ABC/8011/123", "(8010)4012345ABC(8011)123"],
    ),
    "piece of a trade item": (
        "itip",
        f"{GS1}/8006/040123451234560102/21/999",
        ["urn:epc:id:itip:4012345.012345.01.02.999", "(8006)040123451234560102(21)999"],
    ),
    "excise mark": (
        "upui",
        f"{GS1}/01/04012345123456/235/AB12",
        ["urn:epc:id:upui:4012345.012345.AB12", "(01)04012345123456(235)AB12"],
    ),
    "container": ("bic", "urn:epc:id:bic:CSQU3054383", ["urn:epc:id:bic:CSQU3054383"]),
    "licence plate with DUNS": (
        "licence-plate",
        "licence-plate:UN049505160A1B2C3",
        [
            "1JUN049505160A1B2C3",
            "5JUN049505160A1B2C3",
            "(6J)UN049505160A1B2C3",
            "JUN049505160A1B2C3",
            "https://x.org/1J/UN049505160A1B2C3",
        ],
    ),
    "licence plate with Odette code": (
        "licence-plate",
        "licence-plate:OD1A2B000123",
        ["1JOD1A2B000123", "https://x.org/labels/6J/OD1A2B000123"],
    ),
    "member's own serial": (
        "part-serial",
        "did:web:foundry.example.org/part/HX%2F12/serial/7",
        ["did:web:foundry.example.org/part/HX%2F12/serial/7", "did:web:foundry.example.org/part/HX%2f12/serial/7"],
    ),
    "member's own batch": (
        "part-batch",
        "did:web:foundry.example.org/part/HX-12/batch/B%201",
        ["did:web:foundry.example.org/part/HX-12/batch/B%201"],
    ),
}


@pytest.mark.parametrize("thing", SPELLINGS)
def test_all_spellings_of_a_thing_give_one_key(thing: str) -> None:
    kind, key, spellings = SPELLINGS[thing]
    for spelling in [*spellings, key]:
        identifier = identify(spelling)
        assert identifier is not None, spelling
        assert (identifier.kind, identifier.key) == (kind, key), spelling


def test_bare_numbers_are_taken_with_their_name() -> None:
    assert named("gtin", "4012345111118", serial="9876").key == SPELLINGS["serialised trade item"][1]
    assert named("SSCC", "040123450000003338").key == SPELLINGS["logistic unit"][1]
    assert named("gln", "4012345000054", extension="122").key == SPELLINGS["place within a place"][1]
    with pytest.raises(MalformedIdentifier, match="not a GS1 key"):
        named("isbn", "9780345418913")


NO_IDENTIFIERS = [
    "geo:47.506694,11.104301",
    "http://transaction.acme.com/po/12345678",
    "https://example.com/2024/01/15",
    "https://example.com/00/about",
    "https://example.com/01/04012345111118/reviews",
    "https://example.com",
    "https://id.gs1.org/8013/1987654Ad4X4bL5ttr2310c2K",
    "https://id.gs1.org/about",
    "urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8",
    "urn:epcglobal:cbv:bt:4012345000009:ASN1099",
    "urn:epc:idpat:sgtin:4012345.*.*",
    "urn:epc:id:tomorrow:1.2.3",
    "did:web:foundry.example.org/people/7",
    "plain text",
    "",
]


@pytest.mark.parametrize("text", NO_IDENTIFIERS)
def test_what_claims_no_scheme_is_left_alone(text: str) -> None:
    assert identify(text) is None


WRONG = [
    ("urn:epc:id:sgtin:4012345.11111.9876", "13 digits together"),
    ("urn:epc:id:sgtin:4012345.011111", "3 parts"),
    ("urn:epc:id:sscc:40123.000000000333", "6 to 12 digits"),
    ("urn:epc:id:sgtin:4012345.011111.", "is empty"),
    ("urn:epc:id:sgtin:4012345.011111." + "9" * 21, "no value for"),
    ("urn:epc:id:grai:4012345.66666." + "9" * 17, "too long"),
    ("urn:epc:id:cpi:4012345.abc.123", "characters"),
    ("urn:epc:id:itip:4012345.012345.03.02.9", "piece and total"),
    ("https://id.gs1.org/01/401234511111", "check digit|digits"),
    ("https://id.gs1.org/01/abc", "on id.gs1.org"),
    ("(00)12345", "18 digits"),
    ("(8003)1401234566666387", "first digit must be 0|check digit"),
    ("1JUN12345X", "DUNS number of 9 digits"),
    ("1JOD12AB", "Odette code"),
    ("https://x.org/1J/UN12345", "DUNS"),
    ("urn:epc:id:bic:CSQU305438", "4 letters and 7 digits"),
    ("urn:epc:id:imovn:917618", "7 digits"),
    ("did:web:foundry.example.org/part/HX%FF/serial/7", "not UTF-8"),
]


@pytest.mark.parametrize(("text", "complaint"), WRONG)
def test_what_claims_a_scheme_and_breaks_its_rules_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(MalformedIdentifier, match=complaint) as refusal:
        identify(text, "/epcList/0")
    assert refusal.value.where == "/epcList/0"


def test_a_wrong_check_digit_is_named_with_its_place_and_the_right_one() -> None:
    with pytest.raises(WrongCheckDigit) as refusal:
        identify("https://example.com/01/4012345111119/21/7", "/epcList/3")
    error = refusal.value
    assert (error.found, error.right, error.position, error.where) == ("9", "8", 13, "/epcList/3")
    assert str(error) == (
        "the check digit of GTIN 4012345111119 (digit 13) is 9 but its other digits ask for 8; "
        "compare the number with the label (at /epcList/3)"
    )


NUMBERS = random.Random(952)


def _some(digits: int, count: int) -> list[str]:
    return ["".join(NUMBERS.choices(string.digits, k=digits)) for _ in range(count)]


@pytest.mark.parametrize(
    ("name", "digits"),
    [
        ("gtin", 8),
        ("gtin", 12),
        ("gtin", 13),
        ("gtin", 14),
        ("gln", 13),
        ("pgln", 13),
        ("sscc", 18),
        ("gsin", 17),
        ("gsrn", 18),
    ],
)
def test_all_nine_wrong_check_digits_of_a_thousand_numbers_are_seen(name: str, digits: int) -> None:
    for body in _some(digits - 1, 1000 // 9):
        right = check_digit(body)
        named(name, body + right)
        for wrong in set(string.digits) - {right}:
            with pytest.raises(WrongCheckDigit) as refusal:
                named(name, body + wrong)
            assert refusal.value.right == right
            assert refusal.value.position == digits


def test_every_single_wrong_digit_is_seen() -> None:
    for body in _some(13, 30):
        number = body + check_digit(body)
        for place, digit in enumerate(number):
            for wrong in set(string.digits) - {digit}:
                with pytest.raises(WrongCheckDigit):
                    named("gtin", number[:place] + wrong + number[place + 1 :])


def test_swapped_neighbours_are_seen_unless_they_differ_by_five() -> None:
    unseen: set[str] = set()
    for body in _some(13, 300):
        number = body + check_digit(body)
        for place in range(13):
            pair = number[place : place + 2]
            if pair[0] == pair[1]:
                continue
            try:
                named("gtin", number[:place] + pair[::-1] + number[place + 2 :])
            except WrongCheckDigit:
                assert abs(int(pair[0]) - int(pair[1])) != 5
            else:
                unseen.add("".join(sorted(pair)))
    assert unseen == {"05", "16", "27", "38", "49"}


@given(st.text(string.digits, min_size=1, max_size=17))
def test_check_digits_agree_with_python_stdnum(digits: str) -> None:
    assert check_digit(digits) == stdnum.ean.calc_check_digit(digits)


@given(st.sampled_from([8, 12, 13, 14]).flatmap(lambda size: st.text(string.digits, min_size=size, max_size=size)))
def test_trade_item_numbers_are_taken_exactly_when_python_stdnum_takes_them(number: str) -> None:
    try:
        named("gtin", number)
    except WrongCheckDigit:
        assert not stdnum.ean.is_valid(number)
    else:
        assert stdnum.ean.is_valid(number)


@given(
    st.text(string.ascii_uppercase, min_size=3, max_size=3),
    st.sampled_from("JUZ"),
    st.text(string.digits, min_size=7, max_size=7),
)
def test_containers_are_taken_exactly_when_python_stdnum_takes_them(owner: str, category: str, digits: str) -> None:
    number = owner + category + digits
    for last in string.digits:
        try:
            identify(f"urn:epc:id:bic:{number[:-1]}{last}")
        except WrongCheckDigit:
            assert not stdnum.iso6346.is_valid(number[:-1] + last)
        else:
            assert stdnum.iso6346.is_valid(number[:-1] + last)


@given(st.text(string.digits, min_size=7, max_size=7))
def test_vessels_are_taken_exactly_when_python_stdnum_takes_them(number: str) -> None:
    try:
        identify(f"urn:epc:id:imovn:{number}")
    except WrongCheckDigit:
        assert not stdnum.imo.is_valid(number)
    else:
        assert stdnum.imo.is_valid(number)


SIGNS = "!\"%&'()*+,-./" + string.digits + ":;<=>?" + string.ascii_uppercase + "_" + string.ascii_lowercase
BARE_IN_URN = "!'()*+,-.:;=_"
TAGS = st.text(SIGNS, min_size=1, max_size=20)


@given(st.integers(6, 12), st.text(string.digits, min_size=13, max_size=13), TAGS, st.sampled_from(["21", "10", "235"]))
def test_urn_web_address_and_element_string_agree_for_any_trade_item(
    prefix_digits: int, digits: str, tag: str, qualifier: str
) -> None:
    indicator, item = digits[0], digits[1:]
    number = digits + check_digit(digits)
    prefix, reference = item[:prefix_digits], indicator + item[prefix_digits:]
    scheme = {"21": "id:sgtin", "10": "class:lgtin", "235": "id:upui"}[qualifier]
    urn = f"urn:epc:{scheme}:{prefix}.{reference}.{quote(tag, safe=BARE_IN_URN)}"
    spellings = [
        urn,
        f"https://example.com/01/{number}/{qualifier}/{quote(tag, safe='')}?4=5",
        f"(01){number}({qualifier}){tag.replace('(', chr(92) + '(')}",
        f"]C101{number}{qualifier}{tag}",
    ]
    keys = {spelling: identifier.key for spelling in spellings if (identifier := identify(spelling)) is not None}
    assert set(keys) == set(spellings)
    assert len(set(keys.values())) == 1, keys
    key = keys[urn]
    again = identify(key)
    assert again is not None
    assert again.key == key


@given(
    st.sampled_from(["UN", "OD", "LE", "LA"]),
    st.text(string.digits, min_size=9, max_size=9),
    st.text(string.digits + string.ascii_uppercase, min_size=1, max_size=20),
)
def test_a_licence_plate_is_the_same_under_each_data_identifier(agency: str, company: str, serial: str) -> None:
    plate = agency + company + serial
    key = licence_plate(plate).key
    spellings = [f"{di}{plate}" for di in ("J", "1J", "2J", "5J", "6J")]
    for spelling in [*spellings, f"https://labels.example.org/6J/{plate}", key]:
        identifier = identify(spelling)
        assert identifier is not None
        assert identifier.key == key


@given(st.text(min_size=1, max_size=30).filter(lambda text: text.isprintable()), st.text(min_size=1, max_size=30))
def test_a_members_own_number_may_hold_any_sign(part: str, serial: str) -> None:
    try:
        (part + serial).encode()
    except UnicodeEncodeError:
        return
    unit = member_unit("did:web:foundry.example.org", part, serial=serial)
    assert identify(unit.key) == unit


def test_a_members_own_number_needs_a_serial_or_a_batch_but_not_both() -> None:
    for wrong in ({}, {"serial": "1", "batch": "2"}):
        with pytest.raises(MalformedIdentifier, match="either a serial or a batch"):
            member_unit("did:web:foundry.example.org", "HX-12", **wrong)
    with pytest.raises(MalformedIdentifier, match="not a DID"):
        member_unit("foundry", "HX-12", serial="1")


@given(
    st.sampled_from(["sscc", "sgtin"]),
    st.text(string.digits, min_size=5, max_size=13),
    st.integers(0, 13),
    st.from_regex(r"(?:\.[0-9A-Za-z*%./-]{0,22})?", fullmatch=True),
    st.data(),
)
def test_the_quick_way_for_pallets_and_pieces_gives_what_the_long_way_gives(
    scheme: str, prefix: str, length: int, rest: str, data: st.DataObject
) -> None:
    length = data.draw(st.sampled_from([length, max((17 if scheme == "sscc" else 13) - len(prefix), 0)]))
    text = f"urn:epc:id:{scheme}:{prefix}.{'7' * length}{rest}"
    try:
        expected = identifiers._identify(text)
    except MalformedIdentifier as refused:
        with pytest.raises(type(refused), match=re.escape(str(refused))):
            identify(text)
    else:
        assert identify(text) == expected
