"""Digests as eth-account makes them, field trees as they are defined, disclosures that show one field and no more."""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from random import Random
from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger_service import merkle
from ledger_service.canonical import MAX_INTEGER, MalformedJson
from ledger_service.errors import MalformedInput, ProofError
from ledger_service.keys import keccak
from ledger_service.statements import (
    MAX_CONTENT_DEPTH,
    MAX_FIELDS,
    DisclosedField,
    Domain,
    Header,
    UnknownKind,
    audience,
    content_root,
    disclose,
    field_hashes,
    fields_of,
    purpose_of,
)
from tests.reference import fields as reference

SECRET = sha256(b"secret").digest()
CONTENT = {
    "to": ["0x" + "11" * 32],
    "event": {
        "a": {"b": 1, "": "empty key"},
        "a-b": "sorts before /a/b, as - is before /",
        "a/b": "with a slash",
        "a~b": "with a tilde",
        "none": None,
        "no": False,
        "list": [1, [], {}, "x", [2]],
        "quantity": "12.5",
    },
    "context": [],
}
KEYS = st.text(st.characters(max_codepoint=127), max_size=6).filter(lambda key: not key.isdigit())
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)
CONTENTS = st.dictionaries(KEYS, VALUES, max_size=5)
SECRETS = st.binary(min_size=32, max_size=32)


def typed_digest(header: Header, domain: Domain) -> bytes:
    """The EIP-712 digest by eth-account."""
    typed = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Statement": [
                {"name": "issuer", "type": "bytes32"},
                {"name": "kind", "type": "string"},
                {"name": "stream", "type": "bytes32"},
                {"name": "sequence", "type": "uint64"},
                {"name": "issuedAt", "type": "uint64"},
                {"name": "contentRoot", "type": "bytes32"},
            ],
        },
        "primaryType": "Statement",
        "domain": {
            "name": "Tallystick",
            "version": "1",
            "chainId": domain.chain_id,
            "verifyingContract": "0x" + domain.registry.hex(),
        },
        "message": {
            "issuer": header.issuer,
            "kind": header.kind,
            "stream": header.stream,
            "sequence": header.sequence,
            "issuedAt": header.issued_at,
            "contentRoot": header.content_root,
        },
    }
    message = encode_typed_data(full_message=typed)
    return keccak(b"\x19" + message.version + message.header + message.body)


def random_header(random: Random) -> Header:
    def number() -> int:
        return random.choice([1, 2, random.getrandbits(8) + 1, random.getrandbits(40) + 1, MAX_INTEGER])

    def word() -> bytes:
        return random.choice([bytes(32), b"\xff" * 32, random.randbytes(32)])

    kind = random.choice(["epcis-event", "void", "a", "x" * 64, "kpi-result-2", "stock"])
    return Header(word(), kind, word(), number(), number(), word())


def compare_digests(seed: int, count: int) -> None:
    random = Random(seed)
    for _ in range(count):
        domain = Domain(random.choice([1, 131_277, 2**53 - 1, 2**64]), random.choice([bytes(20), random.randbytes(20)]))
        header = random_header(random)
        assert header.digest(domain) == typed_digest(header, domain), (header, domain)


def test_digests_are_those_of_eth_account() -> None:
    compare_digests(seed=1, count=300)


@pytest.mark.full
def test_ten_thousand_digests_are_those_of_eth_account() -> None:
    compare_digests(seed=2, count=10_000)


def test_every_part_of_a_header_and_of_the_domain_changes_the_digest() -> None:
    domain = Domain(131_277, b"\x01" * 20)
    header = Header(b"\1" * 32, "epcis-event", b"\2" * 32, 1, 2, b"\3" * 32)
    others = [
        replace(header, issuer=b"\4" * 32),
        replace(header, kind="void"),
        replace(header, stream=b"\4" * 32),
        replace(header, sequence=2),
        replace(header, issued_at=3),
        replace(header, content_root=b"\4" * 32),
        replace(header, sequence=2, issued_at=1),
        replace(header, issuer=header.stream, stream=header.issuer),
    ]
    digests = {one.digest(domain) for one in [header, *others]}
    digests |= {header.digest(Domain(131_278, b"\x01" * 20)), header.digest(Domain(131_277, b"\x02" * 20))}
    assert len(digests) == len(others) + 3


def test_a_header_is_read_as_it_was_written() -> None:
    random = Random(3)
    for _ in range(50):
        header = random_header(random)
        assert Header.parse(header.as_json()) == header


HEADER = Header(b"\1" * 32, "epcis-event", b"\2" * 32, 1, 2, b"\3" * 32).as_json()
BAD_HEADERS: dict[str, tuple[Any, str]] = {
    "no object": ([], ""),
    "null": (None, ""),
    "a member missing": ({k: v for k, v in HEADER.items() if k != "kind"}, ""),
    "a member more": ({**HEADER, "nonce": 1}, ""),
    "a kind that is no text": ({**HEADER, "kind": 1}, "/kind"),
    "a kind in capitals": ({**HEADER, "kind": "EPCIS"}, "/kind"),
    "an empty kind": ({**HEADER, "kind": ""}, "/kind"),
    "a kind that ends in a hyphen": ({**HEADER, "kind": "epcis-"}, "/kind"),
    "a kind with a newline": ({**HEADER, "kind": "epcis\n"}, "/kind"),
    "a kind of 65 letters": ({**HEADER, "kind": "x" * 65}, "/kind"),
    "an issuer of 31 bytes": ({**HEADER, "issuer": "0x" + "11" * 31}, "/issuer"),
    "an issuer in capitals": ({**HEADER, "issuer": "0x" + "AA" * 32}, "/issuer"),
    "a stream without 0x": ({**HEADER, "stream": "22" * 33}, "/stream"),
    "a root that is a number": ({**HEADER, "contentRoot": 3}, "/contentRoot"),
    "number zero": ({**HEADER, "sequence": 0}, "/sequence"),
    "a negative number": ({**HEADER, "sequence": -1}, "/sequence"),
    "a number beyond 2^53": ({**HEADER, "sequence": 2**53}, "/sequence"),
    "a true number": ({**HEADER, "sequence": True}, "/sequence"),
    "a number in a float": ({**HEADER, "sequence": 1.0}, "/sequence"),
    "a number in text": ({**HEADER, "sequence": "1"}, "/sequence"),
    "the beginning of time": ({**HEADER, "issuedAt": 0}, "/issuedAt"),
}


@pytest.mark.parametrize(("value", "where"), BAD_HEADERS.values(), ids=BAD_HEADERS.keys())
def test_a_header_has_one_form(value: Any, where: str) -> None:
    with pytest.raises(MalformedInput) as caught:
        Header.parse(value, "/header")
    assert caught.value.where == f"/header{where}"


def test_each_kind_has_its_purpose_and_others_are_unknown() -> None:
    assert purpose_of("void") == purpose_of("epcis-event") == 1
    with pytest.raises(UnknownKind, match="knows epcis-event, void"):
        purpose_of("gossip")


@given(CONTENTS, SECRETS)
def test_content_roots_are_those_of_the_definition(content: dict[str, Any], secret: bytes) -> None:
    assert [(path.encode(), value) for path, value in fields_of(content)] == reference.leaves(content)
    assert content_root(content, secret) == reference.root(content, secret)


def test_fields_are_ordered_by_the_bytes_of_their_pointers() -> None:
    assert [path for path, _ in fields_of(CONTENT)] == [
        "/context",
        "/event/a-b",
        "/event/a/",
        "/event/a/b",
        "/event/a~0b",
        "/event/a~1b",
        "/event/list/0",
        "/event/list/1",
        "/event/list/2",
        "/event/list/3",
        "/event/list/4/0",
        "/event/no",
        "/event/none",
        "/event/quantity",
        "/to/0",
    ]


@given(CONTENTS, CONTENTS, SECRETS)
def test_different_contents_have_different_roots(one: dict[str, Any], other: dict[str, Any], secret: bytes) -> None:
    # True equals 1 in Python and not in JSON.
    assume(repr(fields_of(one)) != repr(fields_of(other)))
    assert content_root(one, secret) != content_root(other, secret)


LOOKALIKES = [
    ({"a": 1}, {"a": True}),
    ({"a": 1}, {"a": "1"}),
    ({"a": None}, {"a": "null"}),
    ({"a": {}}, {"a": []}),
    ({"a": []}, {}),
    ({"a": [[]]}, {"a": []}),
    ({"a": {"b": 1}}, {"a/b": 1}),
    ({"a~1b": 1}, {"a/b": 1}),
    ({"": {"": 1}}, {"": 1}),
    ({"a": ["x", "y"]}, {"a": ["y", "x"]}),
    ({"a": "x", "b": "y"}, {"a": "y", "b": "x"}),
    ({"a": "é"}, {"a": "e\u0301"}),
]


@pytest.mark.parametrize(("one", "other"), LOOKALIKES, ids=str)
def test_contents_that_look_alike_have_different_roots(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert content_root(one, SECRET) != content_root(other, SECRET)


@pytest.mark.parametrize("key", ["0", "1", "00", "42"])
def test_an_object_cannot_pass_for_a_list(key: str) -> None:
    """`{"0": "x"}` and `["x"]` have the same pointers, so the signature on one would be one on the other."""
    with pytest.raises(MalformedJson, match="which only places in a list are") as caught:
        content_root({"a": {key: "x"}}, SECRET, "/content")
    assert caught.value.where == "/content/a"


BAD_CONTENTS: dict[str, tuple[Any, str, str]] = {
    "a float": ({"a": [1.5]}, "/content/a/0", "write it as a decimal string"),
    "an integer beyond 2^53": ({"a": 2**53}, "/content/a", "outside"),
    "a key that is not ASCII": ({"a": {"ä": 1}}, "/content/a", "not ASCII"),
    "what no JSON has": ({"a": (1,)}, "/content/a", "can be signed"),
    "more fields than allowed": ({"a": list(range(MAX_FIELDS + 1))}, "/content", "at most 4096 fields"),
}


@pytest.mark.parametrize(("content", "where", "what"), BAD_CONTENTS.values(), ids=BAD_CONTENTS.keys())
def test_content_outside_the_profile_is_refused_with_its_place(content: Any, where: str, what: str) -> None:
    with pytest.raises(MalformedJson, match=what) as caught:
        content_root(content, SECRET, "/content")
    assert caught.value.where == where


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}], ids=["lists", "objects"])
def test_content_nests_so_deep_and_no_deeper(wrap: Callable[[Any], Any]) -> None:
    value: Any = 1
    for _ in range(MAX_CONTENT_DEPTH - 1):
        value = wrap(value)
    assert len(fields_of({"a": value})) == 1
    with pytest.raises(MalformedJson, match="nested deeper than"):
        fields_of({"a": wrap(value)})


def test_the_same_content_under_another_secret_has_another_root() -> None:
    assert content_root(CONTENT, SECRET) != content_root(CONTENT, bytes(32))


def test_who_knows_everything_but_one_digit_still_cannot_guess_it_from_the_root() -> None:
    root = content_root({"kg": "7"}, SECRET)
    guesses = {content_root({"kg": str(digit)}, secret) for digit in range(10) for secret in (b"", bytes(32))}
    assert root not in guesses
    (shown,) = disclose({"kg": "7", "price": "3"}, SECRET, ["/kg"])
    # With the salt of one field, no other field's leaf can be tried out.
    leaves = {sha256(b"\0" + shown.salt + b'["/price","%d"]' % digit).digest() for digit in range(10)}
    assert not leaves & set(shown.proof)


def test_every_field_has_a_salt_of_its_own() -> None:
    shown = disclose(CONTENT, SECRET, [path for path, _ in fields_of(CONTENT)])
    assert len({one.salt for one in shown}) == len(shown) == len(fields_of(CONTENT))


def test_each_field_can_be_shown_alone_and_proven() -> None:
    root = content_root(CONTENT, SECRET)
    for path, value in fields_of(CONTENT):
        shown = disclose(CONTENT, SECRET, [path])
        assert [(one.path, one.value) for one in shown if one.path == path] == [(path, value)]
        for one in shown:
            one.verify(root)
            assert DisclosedField.parse(one.as_json()) == one


def test_what_lies_below_a_pointer_is_shown_with_it_and_what_begins_alike_is_not() -> None:
    assert [one.path for one in disclose(CONTENT, SECRET, ["/event/a"])] == ["/event/a/", "/event/a/b"]
    assert [one.path for one in disclose(CONTENT, SECRET, ["/to", "/event/a/b"])] == ["/event/a/b", "/to/0"]
    with pytest.raises(MalformedInput, match="has no field '/event/lis'"):
        disclose(CONTENT, SECRET, ["/event/lis"])


def test_no_bent_disclosure_of_a_field_is_taken_for_another_word() -> None:
    root = content_root(CONTENT, SECRET)
    for shown in disclose(CONTENT, SECRET, [path for path, _ in fields_of(CONTENT)]):
        bent = [
            replace(shown, path=shown.path + "/0"),
            replace(shown, path=shown.path[1:]),
            replace(shown, value="another"),
            replace(shown, value=[shown.value]),
            replace(shown, salt=bytes(32)),
            replace(shown, proof=shown.proof[:-1]),
            replace(shown, proof=(*shown.proof, bytes(32))),
            replace(shown, proof=tuple(reversed(shown.proof)) if len(shown.proof) > 1 else ()),
            *(replace(shown, index=index) for index in range(shown.fields + 1) if index != shown.index),
            replace(shown, fields=0),
            replace(shown, fields=shown.index),
        ]
        for one in bent:
            with pytest.raises(ProofError, match=r"is not part of the signed content|is no field"):
                one.verify(root)
        with pytest.raises(ProofError):
            shown.verify(content_root(CONTENT, bytes(32)))


def test_a_node_of_the_tree_is_no_field() -> None:
    hashes = field_hashes(fields_of(CONTENT), SECRET)
    root = merkle.root(hashes)
    inner = merkle.nodes_of(hashes)(1, 0)
    with pytest.raises(ProofError):
        merkle.verify_inclusion(merkle.leaf_hash(inner), 0, len(hashes), [], root)


def test_a_container_with_something_in_it_is_no_field_even_if_its_issuer_made_it_one() -> None:
    value = {"hidden": [1, 2]}
    leaf = sha256(b"\0" + bytes(32) + b'["/a",{"hidden":[1,2]}]').digest()
    with pytest.raises(ProofError, match="is no field"):
        DisclosedField("/a", value, bytes(32), 0, 1, ()).verify(leaf)


BAD_DISCLOSURES: dict[str, tuple[dict[str, Any], str]] = {
    "a path that is no text": ({"path": 1}, ""),
    "a proof that is no list": ({"proof": "0x"}, ""),
    "a negative index": ({"index": -1}, "/index"),
    "a true index": ({"index": True}, "/index"),
    "too many fields": ({"fields": MAX_FIELDS + 1}, "/fields"),
    "a short salt": ({"salt": "0x00"}, "/salt"),
    "a hash in capitals": ({"proof": ["0x" + "AA" * 32]}, "/proof/0"),
    "a member more": ({"more": 1}, ""),
}


@pytest.mark.parametrize(("changes", "where"), BAD_DISCLOSURES.values(), ids=BAD_DISCLOSURES.keys())
def test_a_disclosed_field_has_one_form(changes: dict[str, Any], where: str) -> None:
    (shown,) = disclose(CONTENT, SECRET, ["/event/no"])
    with pytest.raises(MalformedInput) as caught:
        DisclosedField.parse({**shown.as_json(), **changes}, "/here")
    assert caught.value.where == f"/here{where}"


A, B = "0x" + "aa" * 32, "0x" + "bb" * 32


def test_an_audience_is_a_sorted_list_of_members() -> None:
    assert audience({"to": [A, B]}) == [b"\xaa" * 32, b"\xbb" * 32]
    assert audience({"to": []}) == []


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ({}, "/content/to"),
        ({"to": A}, "/content/to"),
        ({"to": [B, A]}, "/content/to"),
        ({"to": [A, A]}, "/content/to"),
        ({"to": ["did:web:example.org"]}, "/content/to/0"),
        ({"to": [A, None]}, "/content/to/1"),
        ({"to": [A] * 257}, "/content/to"),
    ],
)
def test_an_audience_has_one_form(content: dict[str, Any], where: str) -> None:
    with pytest.raises(MalformedInput) as caught:
        audience(content, "/content")
    assert caught.value.where == where
