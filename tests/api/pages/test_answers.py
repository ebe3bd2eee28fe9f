"""What is filled in on the page, as the receipt that it says."""

from collections.abc import Mapping

import pytest

from api.pages.answers import read_answer, read_refusal
from ledger_service.custody.kinds import Outcome, Receipt
from ledger_service.identifiers import identify
from tests.api.pages.notes import PALLETS, parsed

ALL = (0, 1, 2)


def key(text: str) -> str:
    found = identify(text)
    assert found is not None
    return found.key


KEYS = [key(one) for one in PALLETS]
SHAFT = key("(01)09521004100011")
OTHER = key("(01)09521004100028")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"u1": "missing"}, [{"unit": KEYS[1], "what": "short"}]),
        (
            {"w0.0": "damaged", "q0.0": "3"},
            [{"unit": KEYS[0], "what": "damaged", "quantity": "3", "uom": "H87", "part": SHAFT}],
        ),
        (
            {"w2.0": "over", "q2.0": " 70 "},
            [{"unit": KEYS[2], "what": "over", "quantity": "70", "uom": "H87", "part": SHAFT}],
        ),
        (
            {"w0.0": "wrong-part", "q0.0": "60,0", "f0.0": "9521004100028"},
            [{"unit": KEYS[0], "what": "wrong-part", "quantity": "60", "uom": "H87", "part": SHAFT, "found": OTHER}],
        ),
        ({"u0": "missing", "w0.0": "damaged", "q0.0": "3"}, [{"unit": KEYS[0], "what": "short"}]),
        ({"extra": "395210040009260137\n\n(00)395210040009260106"},
         [{"unit": key("(00)395210040009260137"), "what": "over"}]),
        ({"w9.0": "damaged", "q9.0": "3", "w0.7": "short", "u9": "missing"}, []),
        ({"w0.0": "<script>", "u0": "gone"}, []),
    ],
)  # fmt: skip
def test_the_form_says_a_receipt(fields: Mapping[str, str], expected: list[dict[str, str]]) -> None:
    despatch = parsed()
    filled = read_answer({"basis": "scanned", **fields}, despatch, ALL)
    assert filled.mistakes == ()
    content = filled.content(b"\x11" * 32, despatch, [], "2026-09-22T04:21:00Z")
    assert content.get("discrepancies", []) == expected
    assert Receipt.parse(content).outcome is (Outcome.WITH_DISCREPANCIES if expected else Outcome.ACCEPTED)


@pytest.mark.parametrize(
    ("fields", "field", "error"),
    [
        ({"w0.0": "damaged"}, "q0.0", "error_quantity"),
        ({"w0.0": "damaged", "q0.0": "61"}, "q0.0", "error_quantity"),
        ({"w0.0": "short", "q0.0": "0"}, "q0.0", "error_quantity"),
        ({"w0.0": "short", "q0.0": "-3"}, "q0.0", "error_quantity"),
        ({"w0.0": "short", "q0.0": "1.5"}, "q0.0", "error_quantity"),
        ({"w0.0": "short", "q0.0": "1e1"}, "q0.0", "error_quantity"),
        ({"w0.0": "short", "q0.0": "٣"}, "q0.0", "error_quantity"),
        ({"w0.0": "over", "q0.0": "many"}, "q0.0", "error_over"),
        ({"w0.0": "wrong-part", "q0.0": "3"}, "f0.0", "error_found"),
        ({"w0.0": "wrong-part", "q0.0": "3", "f0.0": "9521004100029"}, "f0.0", "error_found"),
        ({"extra": "395210040009260176"}, "extra", "error_extra"),
        ({"document": "x" * 36}, "document", "error_document"),
        ({"basis": "guessed"}, "basis", "error_basis"),
        ({"basis": ""}, "basis", "error_basis"),
    ],
)
def test_a_mistake_is_named_by_its_field(fields: Mapping[str, str], field: str, error: str) -> None:
    filled = read_answer({"basis": "scanned", **fields}, parsed(), ALL)
    assert [(one.field, one.error) for one in filled.mistakes] == [(field, error)]


def test_only_units_that_nobody_has_answered_are_answered() -> None:
    filled = read_answer({"basis": "scanned", "u0": "missing"}, parsed(), (1,))
    assert filled.units == (KEYS[1],)
    assert filled.remarks == ()


@pytest.mark.parametrize(("reason", "is_good"), [("Wet boxes.", True), ("  \n ", False), ("x" * 501, False)])
def test_a_refusal_says_why(reason: str, is_good: bool) -> None:
    filled = read_refusal({"reason": reason}, KEYS)
    assert (filled.mistakes == ()) is is_good
    if is_good:
        content = filled.content(b"\x11" * 32, parsed(), [], "2026-09-22T04:21:00Z")
        assert (content["outcome"], content["reason"]) == ("refused", "Wet boxes.")
