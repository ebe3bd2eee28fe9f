"""The strict profile: what is canonical is RFC 8785, and whatever two readers might read differently is refused."""

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from ledger_service import canonical
from ledger_service.canonical import MAX_DEPTH, MAX_INTEGER, MalformedJson, decimal_text, dump, parse

KEYS = st.text(st.characters(max_codepoint=127), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=25
)
DOCUMENTS = st.lists(VALUES, max_size=4) | st.dictionaries(KEYS, VALUES, max_size=4)

# The published examples. Three lie outside our profile; what they are refused for, and where.
PUBLISHED: dict[str, tuple[str, str] | None] = {
    "arrays": None,
    "unicode": None,
    "french": ("the key 'péché' is not ASCII", ""),
    "structures": ("56.0 is a floating-point number; write it as a decimal string", "/1/\n"),
    "values": ("333333333.33333329 is a floating-point number; write it as a decimal string", "/numbers/0"),
    "weird": ("the key '€' is not ASCII", ""),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_each_published_example_comes_out_as_published_or_is_refused_with_its_reason(name: str, shared: Path) -> None:
    folder = shared / "vectors" / "jcs-rfc8785" / "testdata"
    refusal = PUBLISHED[name]
    data = (folder / "input" / f"{name}.json").read_bytes()
    if refusal is None:
        assert dump(parse(data)) == bytes.fromhex((folder / "outhex" / f"{name}.txt").read_text())
    else:
        with pytest.raises(MalformedJson) as caught:
            parse(data)
        assert (caught.value.what, caught.value.where) == refusal


def test_every_published_example_is_in_the_table(shared: Path) -> None:
    folder = shared / "vectors" / "jcs-rfc8785" / "testdata" / "input"
    assert {path.stem for path in folder.iterdir()} == PUBLISHED.keys()


@given(DOCUMENTS)
@example({"\x7f": "\x7f\x80\u2028\u2029", "": '\b\t\n\f\r\x00\x1f\\"/', "a": "𐀀\uffff", "Z": -MAX_INTEGER})
def test_canonical_bytes_are_those_of_another_author(value: Any) -> None:
    assert dump(value) == rfc8785.dumps(value)


@given(DOCUMENTS)
def test_parsing_what_was_written_gives_the_value_again(value: Any) -> None:
    assert parse(dump(value)) == value
    assert canonical.parse_canonical(dump(value)) == value


@given(DOCUMENTS, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_every_spelling_of_a_value_has_the_same_canonical_bytes(value: Any, indent: Any, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert dump(parse(text.encode())) == dump(value)


@given(
    st.binary(max_size=60) | st.text(st.sampled_from('{}[]":,\\u0d8e+-.19 \n\tantrufls')).map(str.encode), st.booleans()
)
@example(b"[" * 100_000, False)
@example(b"[" * 300 + b"]" * 300, False)
@example(b'{"a":' * 5_000 + b"1" + b"}" * 5_000, True)
@example(b"[1e99999999999999999999]", True)
@example(b"[" + b"9" * 10_000 + b"]", True)
@example(b"[0." + b"9" * 10_000 + b"]", True)
@example(b'"' + b"\\" * 9_999, False)
def test_whatever_the_bytes_the_answer_is_a_value_or_malformed_json(data: bytes, decimals: bool) -> None:
    try:
        value = parse(data, decimals=decimals)
    except MalformedJson:
        return
    assert dump(parse(dump(value))) == dump(value)


BAD: dict[str, tuple[bytes, str, str]] = {
    "a duplicate key": (b'{"a":1,"a":1}', "the key 'a' comes twice", ""),
    "a duplicate key deep down": (b'{"a":[0,{"b/c":{"k":1,"x":2,"k":3}}]}', "the key 'k' comes twice", "/a/1/b~1c"),
    "a duplicate key in another spelling": (b'{"a":1,"\\u0061":2}', "the key 'a' comes twice", ""),
    "NaN": (b'{"a":[NaN]}', "NaN is not JSON", "/a/0"),
    "Infinity": (b"[Infinity]", "Infinity is not JSON", "/0"),
    "minus Infinity": (b'{"~":-Infinity}', "-Infinity is not JSON", "/~0"),
    "a fraction": (b'{"kg":1.5}', "1.5 is a floating-point number", "/kg"),
    "a whole number with a fraction": (b"[1.0]", "1.0 is a floating-point number", "/0"),
    "an exponent": (b"[1e3]", "1e3 is a floating-point number", "/0"),
    "minus zero with a fraction": (b"[-0.0]", "-0.0 is a floating-point number", "/0"),
    "an exponent beyond every float": (b'{"a":{"b":1e400}}', "1e400 is a floating-point number", "/a/b"),
    "an exponent below every float": (b"[1e-400]", "1e-400 is a floating-point number", "/0"),
    "2^53": (b"[9007199254740992]", "outside ±(2^53 - 1)", "/0"),
    "-2^53": (b"[-9007199254740992]", "outside ±(2^53 - 1)", "/0"),
    "2^64": (b"[0,18446744073709551616]", "outside ±(2^53 - 1)", "/1"),
    "ten thousand digits": (b"[" + b"9" * 10_000 + b"]", "outside ±(2^53 - 1)", "/0"),
    "half a surrogate pair in a value": (b'{"a":"\\ud83d"}', "half of a surrogate pair", "/a"),
    "half a surrogate pair in a key": (b'{"\\ude02":1}', "is not ASCII", ""),
    "surrogates the wrong way round": (b'["\\ude02\\ud83d"]', "half of a surrogate pair", "/0"),
    "a key that is not ASCII": ('{"ok":{"münze":1}}'.encode(), "the key 'münze' is not ASCII", "/ok"),
    "nested one level too deep": (b"[" * 33 + b"]" * 33, "nested deeper than 32 levels", "/0" * 32),
    "nested 10,000 deep": (b"[" * 10_000 + b"]" * 10_000, "nested deeper than 32 levels", ""),
    "nested 10,000 deep in objects": (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "nested deeper than 32 levels", ""),
    "a byte order mark": (b"\xef\xbb\xbf{}", "not JSON", ""),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "not UTF-8: byte 0 is 0xff", ""),
    "UTF-16 without a mark": ('{"a":1}'.encode("utf-16-le"), "not JSON", ""),
    "UTF-32 without a mark": ('{"a":1}'.encode("utf-32-be"), "not JSON", ""),
    "a surrogate in UTF-8": (b'["\xed\xa0\x80"]', "not UTF-8: byte 2", ""),
    "an overlong slash": (b'["\xc0\xaf"]', "not UTF-8: byte 2 is 0xc0", ""),
    "a byte that starts nothing": (b'["\xff"]', "not UTF-8: byte 2 is 0xff", ""),
    "something after the end": (b'{"a":1} x', "not JSON", ""),
    "two documents": (b"{}{}", "not JSON", ""),
    "nothing": (b"", "not JSON", ""),
    "only blanks": (b" \n", "not JSON", ""),
    "an object without an end": (b'{"a":1', "not JSON", ""),
    "a comma at the end": (b"[1,]", "not JSON", ""),
    "a comment": (b"[1]//", "not JSON", ""),
    "single quotes": (b"{'a':1}", "not JSON", ""),
    "a leading zero": (b"[01]", "not JSON", ""),
    "a plus sign": (b"[+1]", "not JSON", ""),
    "hexadecimal": (b"[0x1]", "not JSON", ""),
    "a newline inside text": (b'["a\nb"]', "not JSON", ""),
    "a NUL inside text": (b'["a\x00b"]', "not JSON", ""),
    "an unknown escape": (b'["\\x41"]', "not JSON", ""),
    "other digits": ("[١]".encode(), "not JSON", ""),
}


@pytest.mark.parametrize(("data", "what", "where"), BAD.values(), ids=BAD.keys())
def test_what_two_readers_might_read_differently_is_refused_with_its_place(data: bytes, what: str, where: str) -> None:
    with pytest.raises(MalformedJson) as caught:
        parse(data)
    assert what in caught.value.what
    assert caught.value.where in {where, f"{where[:60]}…"}


@pytest.mark.parametrize("end", [b"", b"\\", b'"', b'" '])
def test_a_text_that_does_not_end_is_refused_in_one_reading(end: bytes) -> None:
    data = b"[" * 100 + b"{}," * 150 + b'"' + rb"\"" * 300_000 + end
    started = time.process_time()
    with pytest.raises(MalformedJson, match="not JSON"):
        parse(data)
    assert time.process_time() - started < 5


def test_the_deepest_that_is_allowed_is_read() -> None:
    data = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert dump(parse(data)) == data
    assert dump(parse(b" " + data)) == data


@pytest.mark.parametrize(
    "value",
    [
        {"a": 1.5},
        [float("nan")],
        {1: "a"},
        [{"ä": 1}],
        [2**53],
        ["\ud800"],
        [(1, 2)],
        [b"bytes"],
        [Decimal(1)],
        {"a": {1}},
    ],
    ids=repr,
)
def test_a_value_made_in_python_is_held_to_the_same_profile(value: Any) -> None:
    with pytest.raises(MalformedJson):
        canonical.check(value)


DECIMALS: dict[str, str] = {
    "1.50": "1.5",
    "1.0": "1",
    "-0.0": "0",
    "-0e0": "0",
    "0e400": "0",
    "2e3": "2000",
    "2E+3": "2000",
    "12.340e1": "123.4",
    "100e-2": "1",
    "100.00e-1": "10",
    "1e-6": "0.000001",
    "-1.5E-3": "-0.0015",
    "123456789012345678901234567890.5": "123456789012345678901234567890.5",
    "1.0000000000000000000000000000000000000000000000000": "1",
    "0.1": "0.1",
}


@pytest.mark.parametrize(("literal", "text"), DECIMALS.items())
def test_each_spelling_of_a_decimal_becomes_its_one_text(literal: str, text: str) -> None:
    assert parse(b'{"kg":%s}' % literal.encode(), decimals=True) == {"kg": text}
    assert decimal_text(text) == text


@pytest.mark.parametrize(
    "literal",
    [
        "1e400",
        "1e-400",
        "1e99999999999999999999",
        "-1e-99999999999999999999",
        "0.0e-99999999999999999999",
        "0." + "1" * 41,
        "1e41",
    ],
)
def test_a_decimal_of_too_many_digits_is_refused_with_its_place(literal: str) -> None:
    with pytest.raises(MalformedJson, match="has more than 40 digits") as caught:
        parse(b'{"a":[%s]}' % literal.encode(), decimals=True)
    assert caught.value.where == "/a/0"


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "9007199254740993"])
def test_decimals_make_nothing_else_good(literal: str) -> None:
    with pytest.raises(MalformedJson) as caught:
        parse(b"[%s]" % literal.encode(), decimals=True)
    assert caught.value.where == "/0"


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=9))
def test_a_decimal_keeps_its_value_and_has_one_text(number: Decimal) -> None:
    texts = {decimal_text(text) for text in (f"{number:f}", f"{number:e}", f"{number:f}000", f"{number:E}")}
    assert len(texts) == 1
    assert Decimal(texts.pop()) == number


@pytest.mark.parametrize(
    ("key", "step"), [("a", "a"), ("a/b", "a~1b"), ("~", "~0"), ("~1", "~01"), ("/~", "~1~0"), ("", "")]
)
def test_keys_are_escaped_as_rfc_6901_has_it(key: str, step: str) -> None:
    assert canonical.escape(key) == step
