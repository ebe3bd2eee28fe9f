#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check a Tallystick audit bundle or receipt with nothing but Python.

    python3 tallystick-verify.py bundle.json --trust trust.json [--min-witnesses K] [--json]

Exit 0: it holds, and a record of custody in it is whole, with or without reservations. 1: it does not hold, and each
record that fails is named with the reason. 2: the question was wrong. 3: it holds, and the record of custody that it
proves is broken or cannot be told.

This is the second verifier. It was written from docs/formats.md, whose section numbers stand at the head of each part
below, and from the standards that the page cites; it shares no line with `tallystick verify`, and a test holds the two
to the same verdict. It needs Python 3.9 or later and its standard library, asks nothing of the network, looks at no
clock and writes nothing. Every byte of it can be read before it is believed: nothing else has to be.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import io
import json
import re
import sys
from base64 import b64decode, b64encode
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from functools import partial
from typing import Any, NamedTuple, NoReturn
from urllib.parse import quote, unquote_to_bytes

Json = Any
"""A value of the strict profile: object, list, string, integer, true, false or null."""


class Refused(Exception):
    """Something does not hold, in words for a person."""


class Malformed(Refused):
    """Something is not in the one form in which it may be written."""


def refuse(reason: str) -> NoReturn:
    raise Refused(reason)


# ======================================================================================================================
# Section 1. JSON that may be signed, and bytes in it
# ======================================================================================================================

MAX_INTEGER = 2**53 - 1
MAX_LEVELS = 32
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
_ESCAPED = re.compile(r'["\\\x00-\x1f]')
_OUTSIDE_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def read_json(data: bytes) -> Json:
    """The value that `data` spells in the strict profile; Malformed for everything else."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"not UTF-8: {error.reason} at byte {error.start}") from None
    levels = 0
    for bracket in re.findall(r"[\[{}\]]", _OUTSIDE_STRINGS.sub("", text)):
        levels += 1 if bracket in "[{" else -1
        if levels > MAX_LEVELS:
            raise Malformed(f"nested more than {MAX_LEVELS} levels deep")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_no_number,
            parse_constant=_no_number,
        )
    except Malformed:
        raise
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from None
    _check_strings(value)
    return value


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, value in pairs:
        if name in found:
            raise Malformed(f"key {name!r} comes twice in one object")
        if not name.isascii():
            raise Malformed(f"key {name!r} is not ASCII")
        found[name] = value
    return found


def _integer(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
        raise Malformed(f"number {text[:40]} is beyond 2^53 - 1")
    if text == "-0":
        raise Malformed("-0 is no integer")
    return int(text)


def _no_number(text: str) -> NoReturn:
    raise Malformed(f"{text[:40]} is no integer: a decimal is written as a string")


def _check_strings(value: Json) -> None:
    if isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise Malformed("half of a surrogate pair in a string")
    elif isinstance(value, list):
        for item in value:
            _check_strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            _check_strings(item)


def canonical(value: Json) -> bytes:
    """RFC 8785 for the strict profile: with ASCII keys and integers alone, sorting and printing are plain."""
    return _spell(value).encode("utf-8")


def _spell(value: Json) -> str:
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + _ESCAPED.sub(lambda m: _ESCAPES.get(m[0]) or f"\\u{ord(m[0]):04x}", value) + '"'
    if isinstance(value, list):
        return "[" + ",".join(map(_spell, value)) + "]"
    return "{" + ",".join(f"{_spell(name)}:{_spell(value[name])}" for name in sorted(value)) + "}"


class Reader:
    """An object read strictly: members are asked for by name and type, and what nobody asked for is refused."""

    def __init__(self, value: Json, where: str) -> None:
        if not isinstance(value, dict):
            raise Malformed(f"{where}: expected an object")
        self.value: dict[str, Json] = value
        self.where = where
        self._asked: set[str] = set()

    def has(self, name: str) -> bool:
        self._asked.add(name)
        return name in self.value

    def any(self, name: str) -> Json:
        if not self.has(name):
            raise Malformed(f"{self.where}: {name} is missing")
        return self.value[name]

    def text(self, name: str) -> str:
        value = self.any(name)
        if not isinstance(value, str):
            raise Malformed(f"{self.where}: {name} must be text")
        return value

    def items(self, name: str) -> list[Json]:
        value = self.any(name)
        if not isinstance(value, list):
            raise Malformed(f"{self.where}: {name} must be a list")
        return value

    def integer(self, name: str, least: int = 0) -> int:
        value = self.any(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise Malformed(f"{self.where}: {name} must be an integer from {least} on")
        return value

    def data(self, name: str, length: int | None = None) -> bytes:
        return read_hex(self.any(name), f"{self.where}: {name}", length)

    def object(self, name: str) -> Reader:
        return Reader(self.any(name), f"{self.where}/{name}")

    def objects(self, name: str) -> list[Reader]:
        return [Reader(item, f"{self.where}/{name}/{at}") for at, item in enumerate(self.items(name))]

    def hashes(self, name: str) -> list[bytes]:
        return [read_base64(item, f"{self.where}: {name}", 32) for item in self.items(name)]

    def end(self) -> None:
        strange = sorted(set(self.value) - self._asked)
        if strange:
            raise Malformed(f"{self.where}: nothing is known of {', '.join(strange)[:200]}")


_HEX = re.compile(r"0x(?:[0-9a-f]{2})*\Z")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z")


def read_hex(value: Json, where: str, length: int | None = None) -> bytes:
    if not isinstance(value, str) or not _HEX.match(value):
        raise Malformed(f"{where} must be 0x and lower-case hexadecimal digits, two for each byte")
    found = bytes.fromhex(value[2:])
    if length is not None and len(found) != length:
        raise Malformed(f"{where} must have {length} bytes, it has {len(found)}")
    return found


def read_base64(value: Json, where: str, length: int | None = None) -> bytes:
    """Standard Base64 with padding, in its only spelling: bits beyond the last byte are zero."""
    if not isinstance(value, str) or not _BASE64.match(value):
        raise Malformed(f"{where} must be Base64 with padding")
    found = b64decode(value)
    if b64encode(found).decode() != value:
        raise Malformed(f"{where} has stray bits in its Base64")
    if length is not None and len(found) != length:
        raise Malformed(f"{where} must have {length} bytes, it has {len(found)}")
    return found


def to_hex(data: bytes) -> str:
    return "0x" + data.hex()


# ======================================================================================================================
# Hashes. SHA-256 is Python's own; Keccak-256 is here (FIPS 202's permutation, with the padding of before the standard)
# ======================================================================================================================


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


_ROUND_CONSTANTS = (
    0x0000000000000001, 0x0000000000008082, 0x800000000000808A, 0x8000000080008000, 0x000000000000808B,
    0x0000000080000001, 0x8000000080008081, 0x8000000000008009, 0x000000000000008A, 0x0000000000000088,
    0x0000000080008009, 0x000000008000000A, 0x000000008000808B, 0x800000000000008B, 0x8000000000008089,
    0x8000000000008003, 0x8000000000008002, 0x8000000000000080, 0x000000000000800A, 0x800000008000000A,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
)  # fmt: skip
_LANE = (1 << 64) - 1


def _steps_of_rho_and_pi() -> tuple[tuple[int, int, int], ...]:
    """Where each lane comes from and how far it is turned: (source, left, right) in the order of the targets."""
    found = {0: (0, 0, 64)}
    x, y = 1, 0
    for t in range(24):
        turn = (t + 1) * (t + 2) // 2 % 64
        found[y + 5 * ((2 * x + 3 * y) % 5)] = (x + 5 * y, turn, 64 - turn)
        x, y = y, (2 * x + 3 * y) % 5
    return tuple(found[at] for at in range(25))


_RHO_PI = _steps_of_rho_and_pi()


def _permute(a: list[int]) -> list[int]:
    for constant in _ROUND_CONSTANTS:
        c0, c1, c2, c3, c4 = (a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5))
        d = (
            c4 ^ (c1 << 1 & _LANE | c1 >> 63),
            c0 ^ (c2 << 1 & _LANE | c2 >> 63),
            c1 ^ (c3 << 1 & _LANE | c3 >> 63),
            c2 ^ (c4 << 1 & _LANE | c4 >> 63),
            c3 ^ (c0 << 1 & _LANE | c0 >> 63),
        ) * 5
        b = []
        for source, left, right in _RHO_PI:
            lane = a[source] ^ d[source]
            b.append(lane << left & _LANE | lane >> right)
        a = []
        for y in (0, 5, 10, 15, 20):
            b0, b1, b2, b3, b4 = b[y : y + 5]
            a += (b0 ^ ~b1 & b2, b1 ^ ~b2 & b3, b2 ^ ~b3 & b4, b3 ^ ~b4 & b0, b4 ^ ~b0 & b1)
        a[0] ^= constant
    return a


def keccak(*parts: bytes) -> bytes:
    """The Keccak-256 of Ethereum.

    >>> keccak().hex()
    'c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470'
    """
    data = b"".join(parts)
    data += b"\x01" + bytes(-(len(data) + 1) % 136)
    data = data[:-1] + bytes([data[-1] | 0x80])
    state = [0] * 25
    for start in range(0, len(data), 136):
        for lane in range(17):
            state[lane] ^= int.from_bytes(data[start + 8 * lane : start + 8 * lane + 8], "little")
        state = _permute(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])


# ======================================================================================================================
# Section 2, signatures. Recovery of the signer over secp256k1 (SEC 1, 4.1.6)
# ======================================================================================================================

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)
Affine = tuple[int, int]
Jacobian = tuple[int, int, int]
INFINITY: Jacobian = (1, 1, 0)


def _double(point: Jacobian) -> Jacobian:
    x, y, z = point
    if not z or not y:
        return INFINITY
    yy = y * y % P
    s = 4 * x * yy % P
    m = 3 * x * x % P
    x3 = (m * m - 2 * s) % P
    return x3, (m * (s - x3) - 8 * yy * yy) % P, 2 * y * z % P


def _add(one: Jacobian, other: Affine) -> Jacobian:
    x1, y1, z1 = one
    x2, y2 = other
    if not z1:
        return x2, y2, 1
    zz = z1 * z1 % P
    h = (x2 * zz - x1) % P
    r = (y2 * zz * z1 - y1) % P
    if not h:
        return INFINITY if r else _double(one)
    hh = h * h % P
    hhh = h * hh % P
    v = x1 * hh % P
    x3 = (r * r - hhh - 2 * v) % P
    return x3, (r * (v - x3) - y1 * hhh) % P, h * z1 % P


def _affine(points: Sequence[Jacobian]) -> list[Affine]:
    """Points other than infinity, with one inversion for all of them (Montgomery's trick)."""
    products = [1]
    for _, _, z in points:
        products.append(products[-1] * z % P)
    inverse = pow(products[-1], -1, P)
    found: list[Affine] = []
    for (x, y, z), before in zip(reversed(points), reversed(products[:-1])):
        one = inverse * before % P
        inverse = inverse * z % P
        square = one * one % P
        found.append((x * square % P, y * square * one % P))
    return found[::-1]


_WINDOW = 5
_base: list[list[Affine]] = []


def _base_table() -> list[list[Affine]]:
    """For each window of the scalar, the multiples 1 to 31 of 32^window times G; made at the first use."""
    if not _base:
        points: list[Jacobian] = []
        (start,) = [G]
        for _ in range(-(-256 // _WINDOW)):
            step: Jacobian = (*start, 1)
            points.append(step)
            for _ in range(2**_WINDOW - 2):
                step = _add(step, start)
                points.append(step)
            (start,) = _affine([_add(step, start)])
        flat = _affine(points)
        width = 2**_WINDOW - 1
        _base.extend(flat[at : at + width] for at in range(0, len(flat), width))
    return _base


def _digits(scalar: int) -> list[int]:
    """The non-adjacent form of width 5, lowest digit first: odd digits within ±15, four zeros after each."""
    found = []
    while scalar:
        digit = 0
        if scalar & 1:
            digit = scalar & 31
            if digit > 15:
                digit -= 32
            scalar -= digit
        found.append(digit)
        scalar >>= 1
    return found


def _combine(base_scalar: int, scalar: int, point: Affine) -> Jacobian:
    """`base_scalar` G + `scalar` `point`."""
    twice = _affine([_double((*point, 1))])[0]
    odd: list[Jacobian] = [(*point, 1)]
    for _ in range(7):
        odd.append(_add(odd[-1], twice))
    multiples = _affine(odd)
    sum_: Jacobian = INFINITY
    for digit in reversed(_digits(scalar)):
        sum_ = _double(sum_)
        if digit > 0:
            sum_ = _add(sum_, multiples[digit >> 1])
        elif digit < 0:
            x, y = multiples[-digit >> 1]
            sum_ = _add(sum_, (x, P - y))
    for row in _base_table():
        digit = base_scalar & (2**_WINDOW - 1)
        base_scalar >>= _WINDOW
        if digit:
            sum_ = _add(sum_, row[digit - 1])
    return sum_


def recover(digest: bytes, signature: bytes) -> bytes:
    """The address whose key signed `digest`; Refused for a signature in any but the one accepted form."""
    if len(signature) != 65:
        refuse(f"a signature has 65 bytes, this one {len(signature)}")
    r, s, v = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big"), signature[64]
    if v not in (27, 28):
        refuse(f"v of the signature is {v}, not 27 or 28")
    if not 0 < r < N or not 0 < s < N:
        refuse("r or s of the signature is outside the group")
    if s > N // 2:
        refuse("s of the signature lies in the upper half: it is the malleable twin of another")
    y = pow((r * r * r + 7) % P, (P + 1) // 4, P)
    if (y * y - r * r * r - 7) % P:
        refuse("r of the signature is no point of the curve")
    if y & 1 != v - 27:
        y = P - y
    inverse = pow(r, -1, N)
    key = _combine(-int.from_bytes(digest, "big") * inverse % N, s * inverse % N, (r, y))
    if not key[2]:
        refuse("the signature recovers to no key")
    ((x, y),) = _affine([key])
    return keccak(x.to_bytes(32, "big"), y.to_bytes(32, "big"))[12:]


# ======================================================================================================================
# Ed25519, verification alone (RFC 8032, 5.1.7), for checkpoints and cosignatures
# ======================================================================================================================

Q = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, Q) % Q
Extended = tuple[int, int, int, int]
_B_Y = 4 * pow(5, -1, Q) % Q


def _edwards_add(one: Extended, other: Extended) -> Extended:
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = other
    a, b = (y1 - x1) * (y2 - x2) % Q, (y1 + x1) * (y2 + x2) % Q
    c, d = 2 * t1 * t2 * D % Q, 2 * z1 * z2 % Q
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % Q, g * h % Q, f * g % Q, e * h % Q


def _edwards_times(scalar: int, point: Extended) -> Extended:
    sum_: Extended = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            sum_ = _edwards_add(sum_, point)
        point = _edwards_add(point, point)
        scalar >>= 1
    return sum_


def _edwards_point(data: bytes) -> Extended | None:
    """The point that 32 bytes spell in their only spelling, or None (RFC 8032, 5.1.3)."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= Q:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, Q) % Q
    x = pow(square, (Q + 3) // 8, Q)
    if (x * x - square) % Q:
        x = x * pow(2, (Q - 1) // 4, Q) % Q
    if (x * x - square) % Q or (not x and sign):
        return None
    if x & 1 != sign:
        x = Q - x
    return x, y, 1, x * y % Q


_B = _edwards_point(_B_Y.to_bytes(32, "little"))


def ed25519_holds(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` is that of `message` by `key`: S below the group order, [S]B = R + [k]A without cofactor."""
    point = _edwards_point(key)
    s = int.from_bytes(signature[32:], "little")
    if point is None or _B is None or len(signature) != 64 or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    x, y, z, t = point
    x, y, z, _ = _edwards_add(_edwards_times(s, _B), _edwards_times(k, (Q - x, y, z, Q - t)))
    inverse = pow(z, -1, Q)
    x, y = x * inverse % Q, y * inverse % Q
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# ======================================================================================================================
# Section 4. The log: RFC 9162 trees, signed notes, checkpoints
# ======================================================================================================================


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00", data)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01", left, right)


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162 2.1.1, over leaf hashes."""
    if not leaves:
        return sha256()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(tree_root(leaves[:split]), tree_root(leaves[split:]))


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """RFC 9162 2.1.3.2."""
    if not 0 <= index < size:
        refuse(f"index {index} is outside a tree of {size} leaves")
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            refuse("the path is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        refuse("the path is too short")
    if r != root:
        refuse(f"the path leads to root {r.hex()}, not to {root.hex()}")


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]) -> None:
    """RFC 9162 2.1.4.2; trees of one size have one root and an empty path."""
    if not 0 < first <= second:
        refuse(f"a tree of {first} leaves is no beginning of one of {second}")
    if first == second:
        if path:
            refuse("the consistency path is too long")
        if first_root != second_root:
            refuse("two roots of one size")
        return
    if not path:
        refuse("the consistency path is too short")
    nodes = list(path)
    if first & (first - 1) == 0:
        nodes.insert(0, first_root)
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = nodes[0]
    for c in nodes[1:]:
        if sn == 0:
            refuse("the consistency path is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        refuse("the consistency path is too short")
    if fr != first_root or sr != second_root:
        refuse("the consistency path does not lead from the one root to the other")


LOG_KEY, WITNESS_KEY = 1, 4
MAX_SIGNATURES = 64


class NoteKey(NamedTuple):
    """A C2SP verifier key: `name+key id+Base64(type ‖ key)`."""

    name: str
    key_id: bytes
    type: int
    key: bytes

    @classmethod
    def parse(cls, text: Json, where: str) -> NoteKey:
        parts = text.split("+", 2) if isinstance(text, str) else []
        if len(parts) != 3:
            raise Malformed(f"{where} must be a verifier key: name+id+key")
        name, key_id, rest = parts[0], read_hex("0x" + parts[1], where, 4), read_base64(parts[2], where, 33)
        _check_key_name(name, where)
        if sha256(name.encode(), b"\n", rest)[:4] != key_id:
            raise Malformed(f"{where}: the key id does not fit name and key")
        return cls(name, key_id, rest[0], rest[1:])

    def signed(self, text: str, signature: bytes) -> bool:
        """Whether `signature` is this key's of the note `text`, alone or as a timed cosignature."""
        message = text.encode()
        if self.type == WITNESS_KEY:
            time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            message = f"cosignature/v1\ntime {time}\n".encode() + message
        return ed25519_holds(self.key, message, signature)


def _check_key_name(name: str, where: str) -> None:
    if not name or "+" in name or any(letter.isspace() or not letter.isprintable() for letter in name):
        raise Malformed(f"{where}: {name!r} is no name of a key")


class NoteSignature(NamedTuple):
    """A line under a note: whose it says it is, and the signature."""

    name: str
    key_id: bytes
    signature: bytes


class Note(NamedTuple):
    """A C2SP signed note: a text of lines, and who signed it."""

    text: str
    signatures: tuple[NoteSignature, ...]

    @classmethod
    def parse(cls, note: str) -> Note:
        if any(letter < " " and letter != "\n" for letter in note):
            raise Malformed("head: a control character in a signed note")
        at = note.rfind("\n\n")
        if at < 0 or not note.endswith("\n"):
            raise Malformed("head: a signed note is a text, an empty line and signatures")
        lines = note[at + 2 : -1].split("\n")
        if len(lines) > MAX_SIGNATURES:
            raise Malformed(f"head: a note has at most {MAX_SIGNATURES} signatures")
        return cls(note[: at + 1], tuple(map(cls._line, lines)))

    @staticmethod
    def _line(line: str) -> NoteSignature:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "—":
            raise Malformed("head: a line of signature is a dash, a name and Base64")
        _check_key_name(parts[1], "head")
        data = read_base64(parts[2], "head: a signature")
        if len(data) < 5:
            raise Malformed("head: a signature is too short")
        return NoteSignature(parts[1], data[:4], data[4:])

    def by(self, key: NoteKey) -> bool:
        """Whether `key` signed; Refused where a signature in its name and under its id does not fit the text."""
        found = [one for one in self.signatures if (one.name, one.key_id) == (key.name, key.key_id)]
        for one in found:
            if not key.signed(self.text, one.signature):
                refuse(f"the signature of {key.name} does not fit the text")
        return bool(found)


class Checkpoint(NamedTuple):
    """Origin, size and root of a log, and the list of membership changes that it knew: how many, and their head."""

    origin: str
    size: int
    root: bytes
    registry: tuple[int, bytes] | None

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        lines = text[:-1].split("\n")
        if len(lines) not in (3, 4) or not lines[0]:
            raise Malformed("head: a checkpoint has the lines origin, size, root and registry")
        registry = None
        if len(lines) == 4:
            words = lines[3].split(" ")
            if len(words) != 3 or words[0] != "registry":
                raise Malformed("head: the fourth line of a checkpoint is `registry <count> <head>`")
            registry = _decimal(words[1]), read_base64(words[2], "head: the registry's head", 32)
        return cls(lines[0], _decimal(lines[1]), read_base64(lines[2], "head: the root", 32), registry)


def _decimal(text: str) -> int:
    if not re.match(r"(?:0|[1-9][0-9]{0,18})\Z", text):
        raise Malformed(f"head: {text[:40]!r} is no number in its only spelling")
    return int(text)


# ======================================================================================================================
# Section 2. Statements: the tree of fields, the header and its digest
# ======================================================================================================================

MAX_FIELDS = 4096
_KIND = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*\Z")


def words(*values: Any) -> bytes:
    """abi.encode of integers, addresses and 32-byte words: 32 bytes each."""
    return b"".join(value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0") for value in values)


def typed_domain(chain_id: int, contract: bytes) -> bytes:
    """The EIP-712 domain separator of `contract`."""
    return keccak(
        words(
            keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
            keccak(b"Tallystick"),
            keccak(b"1"),
            chain_id,
            contract,
        )
    )


def typed_digest(domain: bytes, struct: bytes) -> bytes:
    return keccak(b"\x19\x01", domain, struct)


_STATEMENT = keccak(
    b"Statement(bytes32 issuer,string kind,bytes32 stream,uint64 sequence,uint64 issuedAt,bytes32 contentRoot)"
)


class Header(NamedTuple):
    """What an issuer signs."""

    issuer: bytes
    kind: str
    stream: bytes
    sequence: int
    issued_at: int
    content_root: bytes

    @classmethod
    def parse(cls, reader: Reader) -> Header:
        kind = reader.text("kind")
        if len(kind) > 64 or not _KIND.match(kind):
            raise Malformed(f"{reader.where}: a kind is lower-case words joined by hyphens, at most 64 characters")
        found = cls(
            reader.data("issuer", 32),
            kind,
            reader.data("stream", 32),
            reader.integer("sequence", 1),
            reader.integer("issuedAt", 1),
            reader.data("contentRoot", 32),
        )
        reader.end()
        return found

    def digest(self, domain: bytes) -> bytes:
        struct = words(
            _STATEMENT,
            self.issuer,
            keccak(self.kind.encode()),
            self.stream,
            self.sequence,
            self.issued_at,
            self.content_root,
        )
        return typed_digest(domain, keccak(struct))


def fields_of(content: Json) -> list[tuple[str, Json]]:
    """The scalars and empty containers of `content` with their RFC 6901 pointers, in the order of the pointers."""
    found: list[tuple[str, Json]] = []
    waiting: list[tuple[str, Json]] = [("", content)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict) and value:
            for name, item in value.items():
                waiting.append((f"{path}/{name.replace('~', '~0').replace('/', '~1')}", item))
        elif isinstance(value, list) and value:
            waiting += ((f"{path}/{at}", item) for at, item in enumerate(value))
        else:
            found.append((path, value))
    return sorted(found, key=lambda one: one[0].encode())


def levels_of(value: Json) -> int:
    if isinstance(value, dict):
        return 1 + max(map(levels_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(levels_of, value), default=0)
    return 0


def check_content(content: Json) -> None:
    """Refused unless `content` may be the content of a statement, whatever its kind."""
    if levels_of(content) > 24:
        refuse("its content is nested more than 24 levels deep")
    waiting: list[Json] = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for name in value:
                if name.isdigit():
                    refuse(f"key {name!r} of its content consists of digits alone")
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def field_leaf(path: str, value: Json, salt: bytes) -> bytes:
    return sha256(b"\x00", salt, canonical([path, value]))


def content_root(content: Json, secret: bytes) -> bytes:
    check_content(content)
    found = fields_of(content)
    if len(found) > MAX_FIELDS:
        refuse(f"its content has {len(found)} fields, more than {MAX_FIELDS}")
    return tree_root(
        [field_leaf(path, value, hmac.new(secret, path.encode(), hashlib.sha256).digest()) for path, value in found]
    )


@dataclass(frozen=True)
class Disclosed:
    """One field with its proof."""

    path: str
    value: Json
    salt: bytes
    index: int
    fields: int
    proof: tuple[bytes, ...]

    @classmethod
    def parse(cls, reader: Reader) -> Disclosed:
        value = reader.any("value")
        if isinstance(value, (dict, list)) and value:
            raise Malformed(f"{reader.where}: a field is a scalar or an empty container")
        found = cls(
            reader.text("path"),
            value,
            reader.data("salt", 32),
            _small(reader.integer("index"), reader.where),
            _small(reader.integer("fields", 1), reader.where),
            tuple(read_hex(one, f"{reader.where}: proof", 32) for one in reader.items("proof")),
        )
        reader.end()
        return found


def _small(value: int, where: str) -> int:
    if value > MAX_FIELDS:
        raise Malformed(f"{where}: no statement has as many fields")
    return value


def verify_disclosed(fields: Sequence[Disclosed], root: bytes) -> None:
    """Refused unless each field is in the tree of `root`, and all are of one tree, in order and once."""
    for one in fields:
        verify_inclusion(field_leaf(one.path, one.value, one.salt), one.index, one.fields, one.proof, root)
    for one, other in zip(fields, fields[1:]):
        ascending = one.index < other.index and one.path.encode() < other.path.encode()
        if one.fields != other.fields or not ascending:
            refuse("its disclosed fields are not of one tree, in order and each once")


# ======================================================================================================================
# Section 5. The chain: RLP, blocks, receipts (Ethereum yellow paper, appendices B and D)
# ======================================================================================================================

Rlp = Any
"""bytes or a list of Rlp."""


def read_rlp(data: bytes) -> Rlp:
    """The item that `data` spells in its only spelling."""
    try:
        item, end = _rlp_item(data, 0, 0)
    except IndexError:
        raise Malformed("RLP ends too early") from None
    if end != len(data):
        raise Malformed("RLP goes on after its end")
    return item


def _rlp_item(data: bytes, at: int, depth: int) -> tuple[Rlp, int]:
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    start, length = at + 1, (first - 0x80) % 0x40
    if length > 55:
        start, width = start + length - 55, length - 55
        if data[at + 1] == 0:
            raise Malformed("a length in RLP with leading zeros")
        length = int.from_bytes(data[at + 1 : start], "big")
        if length <= 55 or len(data) < at + 1 + width:
            raise Malformed("a length in RLP in a longer form than it needs")
    end = start + length
    if end > len(data):
        raise Malformed("RLP ends too early")
    if first < 0xC0:
        if length == 1 and data[start] < 0x80:
            raise Malformed("a byte in RLP in a longer form than it needs")
        return data[start:end], end
    if depth > 16:
        raise Malformed("RLP nested too deep")
    items: list[Rlp] = []
    while start < end:
        item, start = _rlp_item(data, start, depth + 1)
        items.append(item)
    if start != end:
        raise Malformed("a list in RLP that ends inside an item")
    return items, end


def write_rlp(item: Rlp) -> bytes:
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _rlp_prefix(0x80, len(item)) + item
    body = b"".join(map(write_rlp, item))
    return _rlp_prefix(0xC0, len(body)) + body


def _rlp_prefix(offset: int, length: int) -> bytes:
    if length <= 55:
        return bytes([offset + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(size)]) + size


def rlp_integer(item: Rlp, where: str) -> int:
    if not isinstance(item, bytes) or len(item) > 32 or item[:1] == b"\0":
        raise Malformed(f"{where} is no integer")
    return int.from_bytes(item, "big")


def write_integer(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


_HEADER_SIZES = {0: 32, 1: 32, 2: 20, 3: 32, 4: 32, 5: 32, 6: 256, 13: 32, 14: 8, 16: 32, 19: 32, 20: 32}
_HEADER_NUMBERS = {7, 9, 10, 15, 17, 18}
"""Fields of a header by their place: hashes, addresses, the bloom filter; and integers in as few bytes as they need."""


@dataclass(frozen=True)
class Block:
    """What a block header says that is used here; on a QBFT chain its hash leaves the seals and the round out."""

    hash: bytes
    parent: bytes
    receipts_root: bytes
    number: int
    time: int
    fields: tuple[Rlp, ...]

    @classmethod
    def parse(cls, raw: bytes, qbft: bool) -> Block:
        fields = read_rlp(raw)
        if not isinstance(fields, list) or len(fields) not in (15, 16, 17, 20, 21):
            raise Malformed("no block header: it has 15, 16, 17, 20 or 21 fields")
        for at, one in enumerate(fields):
            size = _HEADER_SIZES.get(at)
            if not isinstance(one, bytes) or (size is not None and len(one) != size):
                raise Malformed(f"no block header: field {at} cannot be {one!r}"[:200])
            if at in _HEADER_NUMBERS and (len(one) > 32 or one[:1] == b"\0"):
                raise Malformed(f"no block header: field {at} is no integer")
        number, time = rlp_integer(fields[8], "a block's number"), rlp_integer(fields[11], "a block's time")
        hashed = raw
        if qbft:
            vanity, validators, votes, _, _ = _qbft_extra(fields[12])
            hashed = write_rlp([*fields[:12], write_rlp([vanity, validators, votes, b"", []]), *fields[13:]])
        return cls(keccak(hashed), fields[0], fields[5], number, time, tuple(fields))

    def sealers(self) -> list[bytes]:
        """Who signed the commit seals: over the header with its round, without the seals."""
        vanity, validators, votes, round_, seals = _qbft_extra(self.fields[12])
        extra = write_rlp([vanity, validators, votes, round_, []])
        digest = keccak(write_rlp([*self.fields[:12], extra, *self.fields[13:]]))
        found = []
        for seal in seals:
            if not isinstance(seal, bytes) or len(seal) != 65 or seal[64] > 1:
                refuse(f"a seal of block {self.number} is no signature")
            found.append(recover(digest, seal[:64] + bytes([seal[64] + 27])))
        return found


def _qbft_extra(data: bytes) -> list[Rlp]:
    extra = read_rlp(data)
    if (
        not isinstance(extra, list)
        or len(extra) != 5
        or not isinstance(extra[1], list)
        or not isinstance(extra[4], list)
    ):
        raise Malformed("no QBFT extra data: vanity, validators, vote, round and seals")
    return extra


class Log(NamedTuple):
    """An event that a contract emitted."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


def receipt_logs(root: bytes, index: int, proof: Sequence[bytes]) -> list[Log]:
    """The events of the receipt that `proof` shows at `index` of the trie under `root`; Refused if it failed."""
    raw = _trie_value(root, write_rlp(write_integer(index)), proof)
    if raw[:1] and raw[0] < 0xC0:
        if raw[0] not in (1, 2, 3, 4):  # EIP-2930, 1559, 4844, 7702
            refuse(f"{raw[0]} is no type of a transaction (EIP-2718)")
        raw = raw[1:]
    receipt = read_rlp(raw)
    if not isinstance(receipt, list) or len(receipt) != 4 or not isinstance(receipt[3], list):
        raise Malformed("no receipt: status, gas, bloom and logs")
    if receipt[0] != b"\x01":
        refuse("the transaction failed")
    logs = []
    for one in receipt[3]:
        if not isinstance(one, list) or len(one) != 3 or not isinstance(one[1], list):
            raise Malformed("no log: address, topics and data")
        if not isinstance(one[0], bytes) or len(one[0]) != 20 or not isinstance(one[2], bytes) or len(one[1]) > 4:
            raise Malformed("no log: an address, up to four topics, and data")
        if not all(isinstance(topic, bytes) and len(topic) == 32 for topic in one[1]):
            raise Malformed("no log: a topic has 32 bytes")
        logs.append(Log(one[0], tuple(one[1]), one[2]))
    return logs


def _trie_value(root: bytes, key: bytes, proof: Sequence[bytes]) -> bytes:
    """The value at `key` of the Merkle-Patricia trie under `root`; each node of the proof is used."""
    path = [half for byte in key for half in (byte >> 4, byte & 15)]
    nodes = list(proof)
    wanted: Rlp = root
    while True:
        if isinstance(wanted, list):
            node: Rlp = wanted  # a node of less than 32 bytes stands inside its parent
        else:
            if not isinstance(wanted, bytes) or len(wanted) != 32:
                refuse("the receipt proof leads nowhere")
            if not nodes:
                refuse("the receipt proof is too short")
            raw = nodes.pop(0)
            if keccak(raw) != wanted:
                refuse(f"the receipt proof leads to {keccak(raw).hex()}, not to {wanted.hex()}")
            node = read_rlp(raw)
        if not isinstance(node, list) or len(node) not in (2, 17):
            refuse("no node of a trie")
        if len(node) == 17:
            if not path:
                return _trie_end(node[16], nodes)
            wanted, path = node[path[0]], path[1:]
            continue
        if not isinstance(node[0], bytes) or not node[0] or node[0][0] >> 4 > 3:
            refuse("no node of a trie")
        halves = [half for byte in node[0] for half in (byte >> 4, byte & 15)]
        is_leaf, odd = halves[0] >> 1, halves[0] & 1
        if not odd and halves[1]:
            refuse("no node of a trie")
        piece = halves[1 if odd else 2 :]
        if path[: len(piece)] != piece:
            refuse("the receipt proof leads elsewhere")
        path = path[len(piece) :]
        if is_leaf:
            if path:
                refuse("the receipt proof ends too early")
            return _trie_end(node[1], nodes)
        wanted = node[1]


def _trie_end(value: Rlp, nodes: Sequence[bytes]) -> bytes:
    if nodes:
        refuse("the receipt proof is too long")
    if not isinstance(value, bytes) or not value:
        refuse("there is no such receipt")
    return value


def attestation_digest(block: bytes, chain_id: int) -> bytes:
    return keccak(b"tallystick header v1", chain_id.to_bytes(32, "big"), block)


_ANCHORED = keccak(b"CheckpointAnchored(bytes32,uint64,bytes32,uint64,uint64,bytes32,uint64)")


class Anchored(NamedTuple):
    """What the event of an anchor says."""

    size: int
    root: bytes
    previous_size: int
    previous_time: int
    registry_head: bytes
    registry_changes: int


def the_anchor(logs: Iterable[Log], contract: bytes, origin: str) -> Anchored:
    topics = (_ANCHORED, keccak(origin.encode()))
    found = [one for one in logs if one.address == contract and one.topics == topics]
    if len(found) != 1:
        refuse(f"its transaction has {len(found)} anchors of {origin}, not one")
    size, root, previous, time, head, changes = abi_words(found[0].data, 6)
    return Anchored(abi_uint(size, 64), root, abi_uint(previous, 64), abi_uint(time, 64), head, abi_uint(changes, 64))


def abi_words(data: bytes, count: int) -> list[bytes]:
    if len(data) != 32 * count:
        refuse(f"{len(data)} bytes are not {count} words")
    return [data[at : at + 32] for at in range(0, len(data), 32)]


def abi_uint(word: bytes, bits: int) -> int:
    value = int.from_bytes(word, "big")
    if value >> bits:
        refuse(f"{value} does not fit into {bits} bits")
    return value


def abi_address(word: bytes) -> bytes:
    if any(word[:12]):
        refuse(f"{word.hex()} is no address")
    return word[12:]


# ======================================================================================================================
# Section 5. Members and keys: the fold of all changes, and whether a signature counts
# ======================================================================================================================

EVENTS, REPORT = 1, 16
REPORTS = {"impact-report", "stress-report"}
"""The kinds of statement that the service issues, the member whose key may anchor; it issues no other."""
ACTIVE, SUSPENDED, EXPELLED = "active", "suspended", "expelled"
CHANGE_SHAPES: dict[int, str] = {
    1: "wawf", 2: "w", 3: "w", 4: "w", 5: "wa8f", 6: "wa6", 7: "wa6", 8: "waw", 9: "a", 10: "a", 11: "wa", 12: "22",
    13: "w",
}  # fmt: skip
"""Per kind of change its words: w 32 bytes, a address, f flag, and 8, 6, 2 for uint8, uint64 and uint16."""


@dataclass(frozen=True)
class Change:
    """A change of members or keys, as the registry recorded it."""

    index: int
    block: int
    time: int
    kind: int
    data: bytes

    @classmethod
    def parse(cls, reader: Reader) -> Change:
        found = cls(
            reader.integer("index"),
            reader.integer("blockNumber"),
            reader.integer("blockTime"),
            reader.integer("kind"),
            reader.data("data"),
        )
        reader.end()
        return found

    def values(self) -> list[Any]:
        shape = CHANGE_SHAPES.get(self.kind)
        if shape is None:
            refuse(f"change {self.index} is of a kind that does not exist: {self.kind}")
        found: list[Any] = []
        for letter, word in zip(shape, abi_words(self.data, len(shape))):
            if letter == "w":
                found.append(word)
            elif letter == "a":
                found.append(abi_address(word))
            else:
                found.append(abi_uint(word, {"f": 1, "8": 8, "6": 64, "2": 16}[letter]))
        return found


@dataclass
class Key:
    """A signing key and what became of it."""

    member: bytes
    purposes: int
    custodial: bool
    index: int
    added: int
    retired: int | None = None
    revoked: int | None = None
    compromised_since: int | None = None


@dataclass
class Registry:
    """Members and keys after all changes, with the block of each; and the running head after each change."""

    heads: list[bytes] = field(default_factory=lambda: [bytes(32)])
    keys: dict[bytes, Key] = field(default_factory=dict)
    standing: dict[bytes, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    addresses: set[bytes] = field(default_factory=set)
    relayers: set[bytes] = field(default_factory=set)
    operators: dict[bytes, list[tuple[int, bytes]]] = field(default_factory=lambda: defaultdict(list))
    approvals: list[tuple[Change, bytes]] = field(default_factory=list)
    block: int = 0
    time: int = 0

    def fold(self, change: Change) -> None:
        if change.index != len(self.heads):
            refuse(f"change {len(self.heads)} is expected where {change.index} stands: one is missing")
        if change.block < self.block or change.time < self.time:
            refuse(f"change {change.index} is of an earlier block than the one before it")
        self.block, self.time = change.block, change.time
        values = change.values()
        wrong = self._wrong(change, values)
        if wrong is not None:
            refuse(f"change {change.index} is none that the registry could have recorded: {wrong}")
        payload = words(change.index, change.block, change.time, change.kind, 160, len(change.data))
        padded = change.data + bytes(-len(change.data) % 32)
        self.heads.append(keccak(self.heads[-1], payload, padded))
        if change.kind == 1:
            self.standing[values[0]].append((change.block, ACTIVE))
            self.addresses.add(values[1])
        elif change.kind in (2, 3, 4):
            self.standing[values[0]].append((change.block, {2: SUSPENDED, 3: ACTIVE, 4: EXPELLED}[change.kind]))
        elif change.kind == 5:
            member, address, purposes, custodial = values
            self.keys[address] = Key(member, purposes, bool(custodial), change.index, change.block)
            self.addresses.add(address)
        elif change.kind == 6:
            self.keys[values[1]].retired = values[2]
        elif change.kind == 7:
            self.keys[values[1]].revoked, self.keys[values[1]].compromised_since = change.block, values[2]
        elif change.kind == 8:
            self.addresses.add(values[1])
        elif change.kind in (9, 10):
            self.relayers ^= {values[0]}
        elif change.kind == 11:
            self.operators[values[0]].append((change.block, values[1]))
        elif change.kind == 13:
            self.approvals.append((change, values[0]))

    def _wrong(self, change: Change, values: list[Any]) -> str | None:
        """Why the registry could not have recorded a change where it stands, or None."""
        kind = change.kind
        if kind in (9, 10):
            if not any(values[0]) or (values[0] in self.relayers) != (kind == 10):
                return "a relayer already, or none"
            return None
        if kind == 12:
            numerator, denominator = values
            return None if denominator < 2 * numerator <= 2 * denominator else "not more than half and at most all"
        if kind > 8:
            return None
        standing = self.standing[values[0]][-1][1] if self.standing.get(values[0]) else None
        allowed: dict[int, tuple[str | None, ...]] = {1: (None,), 2: (ACTIVE,), 3: (SUSPENDED,), 5: (ACTIVE,)}
        if standing not in allowed.get(kind, (ACTIVE, SUSPENDED, EXPELLED) if kind == 7 else (ACTIVE, SUSPENDED)):
            return f"its member is {standing or 'not admitted'}"
        if kind == 1 and not any(values[0]):
            return "a member without an id"
        if kind in (1, 5, 8) and (values[1] in self.addresses or not any(values[1])):
            return "its address is taken or zero"
        if kind == 5 and not 1 <= values[2] <= 63:
            return "a key without a purpose"
        if kind not in (6, 7):
            return None
        key = self.keys.get(values[1])
        if key is None or key.member != values[0]:
            return "its member has no such key"
        if key.revoked is not None or (kind == 6 and key.retired is not None):
            return "its key has an end already"
        if kind == 6:
            return "a retirement in the past" if values[2] < change.block else None
        return "compromised in the future" if values[2] > change.time else None

    @property
    def count(self) -> int:
        return len(self.heads) - 1

    def is_active(self, member: bytes, block: int) -> bool:
        """Whether `member` was admitted and neither suspended nor expelled when `block` ended."""
        found = ""
        for when, standing in self.standing.get(member, ()):
            if when <= block:
                found = standing
        return found == ACTIVE

    def members(self) -> int:
        """How many were ever admitted."""
        return len(self.standing)

    def service(self, origin: str, block: int) -> bytes | None:
        """The member whose key might anchor `origin` when `block` ended."""
        address = b""
        for when, operator in self.operators.get(keccak(origin.encode()), ()):
            if when <= block:
                address = operator
        return self.keys[address].member if address in self.keys else None

    def why_void(self, signer: bytes, issuer: bytes, kind: str, origin: str, block: int, stated: int) -> str | None:
        """None if a statement of `issuer` signed by `signer` counts in `block`, else why it is void.

        Refused where it never could: no such key among the first `stated` changes, another member's, without purpose;
        a report that is not the service's, or another statement that is.
        """
        key = self.keys.get(signer)
        if key is None or key.added > block:
            refuse(f"its signer {to_hex(signer)} was no key of this network in block {block}")
        if key.index > stated:
            refuse(f"its signer {to_hex(signer)} is not in the registry that the head checkpoint states")
        if key.member != issuer:
            refuse(f"its signer {to_hex(signer)} is a key of another member")
        if not key.purposes & (REPORT if kind in REPORTS else EVENTS):
            refuse(f"its signer {to_hex(signer)} is no key for statements of kind {kind}")
        ends = [(key.revoked, "key revoked before anchor"), (key.retired, "key retired before anchor")]
        ended = [(when, why) for when, why in ends if when is not None and when <= block]
        if ended:
            return min(ended, key=lambda one: one[0])[1]  # the earlier end; in one block the revocation
        if not self.is_active(issuer, block):
            return "member not active at anchor"
        if (kind in REPORTS) != (issuer == self.service(origin, block)):
            refuse(f"a statement of kind {kind} is not its issuer's to make: reports are the service's, and only they")
        return None


# ======================================================================================================================
# Section 9.2. One spelling of an identifier
# ======================================================================================================================

CHARACTERS = re.compile(r"""[!"%&'()*+,\-./0-9:;<=>?A-Z_a-z]+\Z""")
_QUALIFIERS = {"01": ("21", "235", "10"), "414": ("254",), "8006": ("21", "10"), "8010": ("8011",)}
_KINDS = {
    "00": "sscc", "01": "gtin", "01/21": "sgtin", "01/235": "upui", "01/10": "lgtin", "414": "gln", "414/254": "sgln",
    "417": "pgln", "8003": "grai", "8004": "giai", "8006": "itip", "8006/21": "itip", "8006/10": "itip", "8010": "cpid",
    "8010/8011": "cpi", "253": "gdti", "402": "gsin", "401": "ginc", "8018": "gsrn", "8017": "gsrnp", "255": "gcn",
}  # fmt: skip
_NAMES = {
    "gtin": "01", "sscc": "00", "lot": "10", "ser": "21", "gln": "414", "party": "417", "grai": "8003", "giai": "8004",
    "itip": "8006", "cpid": "8010", "gdti": "253", "gsin": "402", "ginc": "401", "gsrn": "8018", "gsrnp": "8017",
    "gcn": "255", "cpsn": "8011", "tpx": "235", "cpv": "22",
}  # fmt: skip
_SHAPES = {
    "00": r"[0-9]{18}", "01": r"[0-9]{8}|[0-9]{12,14}", "414": r"[0-9]{13}", "417": r"[0-9]{13}",
    "8003": r"0[0-9]{13}.{0,16}", "8004": r"[0-9]{4}.{0,26}", "8006": r"[0-9]{18}",
    "8010": r"[0-9]{4}[#\-/0-9A-Z]{0,26}",
    "253": r"[0-9]{13}.{0,17}", "402": r"[0-9]{17}", "401": r"[0-9]{4}.{0,26}", "8018": r"[0-9]{18}",
    "8017": r"[0-9]{18}", "255": r"[0-9]{13}[0-9]{0,12}",
}  # fmt: skip
_CHECKED = {
    "00": 18, "01": 14, "414": 13, "417": 13, "8003": 14, "8006": 14, "253": 13, "402": 17, "8018": 18, "8017": 18,
    "255": 13,
}  # fmt: skip
_URN_LENGTH = {
    "sscc": 17, "sgtin": 13, "upui": 13, "lgtin": 13, "itip": 13, "sgln": 12, "pgln": 12, "grai": 12, "gdti": 12,
    "sgcn": 12, "gsrn": 17, "gsrnp": 17, "gsin": 16, "giai": None, "cpi": None, "ginc": None,
}  # fmt: skip
SINGLE = {"sscc", "sgtin", "grai", "giai", "itip", "cpi", "licence-plate", "part-serial"}
UNIT_KINDS = SINGLE | {"lgtin", "part-batch"}
_DID = re.compile(r"(did:[a-z0-9]+:[A-Za-z0-9._:%-]+)/part/([^/?#]+)/(serial|batch)/([^/?#]+)\Z")
_LABEL = re.compile(r"(?:licence-plate:|[1-6]?J|\([1-6]?J\))([A-Z]{2}[0-9A-Z]{3,33})\Z")
_FIXED_AI = {"00": 18, "01": 14, "02": 14, "03": 14, "04": 16, "20": 2}
_FIXED_AI.update({f"1{digit}": 6 for digit in range(1, 10)})
_FIXED_AI.update({f"3{digit}": 6 for digit in range(1, 7)})


class Identifier(NamedTuple):
    """What kind of thing a text names, and the key that all its spellings share."""

    kind: str
    key: str


def check_digit(digits: str) -> str:
    """The digit that makes the sum of all, the last times 1, the one before times 3, then 1, …, a multiple of 10."""
    total = sum(int(digit) * (3 if at % 2 == 0 else 1) for at, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def quoted(text: str) -> str:
    return quote(text, safe="._~';=-")


def unquoted(text: str) -> str:
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise Malformed(f"{text!r} has a stray %")
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed(f"{text!r} is no UTF-8") from None


def identify(text: str) -> Identifier | None:
    """What `text` identifies, None if it is no identifier; Malformed if it breaks the rules of what it wants to be."""
    if text.startswith("urn:epc:"):
        return _of_urn(text)
    web = re.match(r"https?://([^/?#]+)(/[^?#]*)?", text, re.IGNORECASE)
    if web:
        return _of_web(web[1].lower(), web[2] or "")
    did = _DID.match(text)
    if did:
        part, number = quoted(unquoted(did[2])), quoted(unquoted(did[4]))
        return Identifier(f"part-{did[3]}", f"{did[1]}/part/{part}/{did[3]}/{number}")
    label = _LABEL.match(text)
    if label:
        return _plate(label[1])
    if text[:3] in ("]C1", "]d2", "]Q3", "]e0"):
        return _of_pairs(_scanned(text[3:]))
    if re.match(r"\([0-9]{2,4}\)", text):
        parts = re.split(r"\(([0-9]{2,4})\)", text)[1:]
        return _of_pairs(list(zip(parts[::2], parts[1::2])))
    return None


def _plate(plate: str) -> Identifier:
    wanted = {"UN": r"UN[0-9]{9}[0-9A-Z]+", "OD": r"OD[0-9A-Z]{5,}"}.get(plate[:2])
    if wanted and not re.fullmatch(wanted, plate):
        raise Malformed(f"{plate} is no licence plate of its agency")
    return Identifier("licence-plate", f"licence-plate:{plate}")


def _scanned(data: str) -> list[tuple[str, str]]:
    pairs = []
    for group in data.split("\x1d"):
        rest = group
        while rest:
            ai = _ai_of(rest)
            length = 13 if ai[:2] == "41" else _FIXED_AI.get(ai[:2])
            end = len(rest) if length is None else len(ai) + length
            pairs.append((ai, rest[len(ai) : end]))
            rest = rest[end:]
    return pairs


def _ai_of(text: str) -> str:
    first = text[:2]
    if first in ("23", "24", "25", "40", "41", "42", "71"):
        return text[:3]
    if first in ("31", "32", "33", "34", "35", "36", "39", "43", "70", "72", "80", "81", "82"):
        return text[:4]
    return first


def _of_pairs(pairs: Sequence[tuple[str, str]]) -> Identifier | None:
    primary = next((ai for ai, _ in pairs if ai in _SHAPES), None)
    if primary is None:
        return None
    found = dict(reversed(list(pairs)))
    for qualifier in _QUALIFIERS.get(primary, ()):
        if qualifier in found:
            return _gs1(primary, found[primary], qualifier, found[qualifier])
    return _gs1(primary, found[primary])


def _gs1(ai: str, value: str, qualifier: str = "", serial: str = "") -> Identifier:
    if not re.fullmatch(_SHAPES[ai], value) or (ai != "8010" and not CHARACTERS.match(value)):
        raise Malformed(f"{value!r} is no value of ({ai})")
    if ai == "01":
        value = value.rjust(14, "0")
    length = _CHECKED.get(ai)
    if length and check_digit(value[: length - 1]) != value[length - 1]:
        raise Malformed(f"{value} has a wrong check digit")
    if ai == "8006" and not "01" <= value[14:16] <= value[16:]:
        raise Malformed(f"{value} is no piece of a whole")
    kind, key = _KINDS[ai], f"https://id.gs1.org/{ai}/{quoted(value)}"
    if ai == "255" and len(value) > 13:
        kind = "sgcn"
    if qualifier:
        longest = 12 if qualifier == "8011" else 28 if qualifier == "235" else 20
        if not 1 <= len(serial) <= longest or not CHARACTERS.match(serial):
            raise Malformed(f"{serial!r} is no value of ({qualifier})")
        if qualifier == "8011" and not re.fullmatch("[0-9]+", serial):
            raise Malformed(f"{serial!r} is no value of (8011)")
        kind, key = _KINDS[f"{ai}/{qualifier}"], f"{key}/{qualifier}/{quoted(serial)}"
    return Identifier(kind, key)


def _of_web(host: str, path: str) -> Identifier | None:
    steps = path.split("/")[1:]
    if steps and not steps[-1]:
        steps.pop()
    if len(steps) >= 2 and re.fullmatch("[1-6]?J", steps[-2]):
        plate = unquoted(steps[-1])
        if re.fullmatch("[A-Z]{2}[0-9A-Z]{3,33}", plate):
            return _plate(plate)
    for at in range(len(steps) - 2, -1, -2):
        ai = _NAMES.get(steps[at], steps[at])
        if ai in _SHAPES:
            values = [unquoted(one) for one in steps[at + 1 :: 2]]
            if host != "id.gs1.org" and not re.fullmatch(_SHAPES[ai], values[0]):
                return None
            return _of_pairs(list(zip((_NAMES.get(one, one) for one in steps[at::2]), values)))
        if not re.fullmatch("[0-9]{2,4}", ai):
            return None
    return None


def _of_urn(text: str) -> Identifier | None:
    match = re.match(r"urn:epc:(id|class|idpat):([a-z]+):(.*)\Z", text, re.DOTALL)
    if not match:
        return None
    form, scheme, body = match.groups()
    if form == "id" and scheme in ("bic", "imovn", "gid", "adi", "usdod"):
        if (scheme == "bic" and not _is_container(body)) or (scheme == "imovn" and not _is_vessel(body)):
            raise Malformed(f"{text} is no {scheme}")
        return Identifier(scheme, text)
    if scheme not in _URN_LENGTH or (form == "class") != (scheme == "lgtin"):
        return None
    parts = body.split(
        ".", {"itip": 4}.get(scheme, 1 if scheme in ("sscc", "pgln", "gsrn", "gsrnp", "gsin", "giai", "ginc") else 2)
    )
    is_pattern_of_one = len(parts) == 3 and parts[2] == "*" and "*" not in parts[1]
    if form == "idpat" and (scheme not in ("sgtin", "upui") or not is_pattern_of_one):
        return None
    prefix = parts[0]
    if len(parts) < 2 or not re.fullmatch("[0-9]{6,12}", prefix):
        raise Malformed(f"{text} has no company prefix of 6 to 12 digits")
    reference, length = parts[1], _URN_LENGTH[scheme]
    serial = unquoted(parts[-1]) if len(parts) > 2 else ""
    if length is not None and not re.fullmatch(f"[0-9]{{{length - len(prefix)}}}", reference):
        raise Malformed(f"{text} has {len(prefix) + len(reference)} digits, not {length}")

    def filled(digits: str) -> str:
        return digits + check_digit(digits)

    if scheme in ("sgtin", "upui", "lgtin", "itip"):
        gtin = filled(reference[0] + prefix + reference[1:])
        if form == "idpat":
            return _gs1("01", gtin)
        if scheme == "itip":
            if len(parts) != 5 or not re.fullmatch("[0-9]{2}", parts[2]) or not re.fullmatch("[0-9]{2}", parts[3]):
                raise Malformed(f"{text} is no itip")
            return _gs1("8006", gtin + parts[2] + parts[3], "21", serial)
        return _gs1("01", gtin, {"sgtin": "21", "upui": "235", "lgtin": "10"}[scheme], serial)
    if scheme == "sscc":
        return _gs1("00", filled(reference[0] + prefix + reference[1:]))
    if scheme in ("grai", "gdti", "sgcn", "sgln", "cpi") and len(parts) != 3:
        raise Malformed(f"{text} has no serial")
    if scheme == "sgln":
        gln = filled(prefix + reference)
        return _gs1("414", gln) if serial == "0" else _gs1("414", gln, "254", serial)
    if scheme == "cpi":
        return _gs1("8010", prefix + unquoted(reference), "8011", serial)
    if scheme in ("giai", "ginc"):
        return _gs1({"giai": "8004", "ginc": "401"}[scheme], prefix + unquoted(reference))
    ai = {"pgln": "417", "grai": "8003", "gdti": "253", "sgcn": "255", "gsrn": "8018", "gsrnp": "8017", "gsin": "402"}[
        scheme
    ]
    return _gs1(ai, ("0" if scheme == "grai" else "") + filled(prefix + reference) + serial)


def _is_container(text: str) -> bool:
    """ISO 6346: letters count from 10 on, leaving out the multiples of 11, each place twice the one before."""
    if not re.fullmatch("[A-Z]{3}[JUZ][0-9]{7}", text):
        return False
    values = [int(one) if one.isdigit() else 10 + (ord(one) - 65) + (ord(one) - 65 + 9) // 10 for one in text[:10]]
    return sum(value << at for at, value in enumerate(values)) % 11 % 10 == int(text[10])


def _is_vessel(text: str) -> bool:
    if not re.fullmatch("[0-9]{7}", text):
        return False
    return sum(int(digit) * weight for digit, weight in zip(text, range(7, 1, -1))) % 10 == int(text[6])


def part_of(key: str) -> str:
    """The part that a key is a piece or a batch of."""
    for mark in ("/10/", "/21/", "/235/", "/batch/", "/serial/"):
        if mark in key:
            return key[: key.index(mark)]
    return key


# ======================================================================================================================
# Sections 3 and 9.3. Papers: the contents that count, read strictly
# ======================================================================================================================

HEAVIEST = ("for-information", "needs-explaining", "breaks-the-record")
_INFORM, _EXPLAIN, _BREAK = HEAVIEST
DEFAULT_WEIGHTS = {
    "gap": _BREAK, "fork": _BREAK, "double-possession": _EXPLAIN, "time-reversal": _EXPLAIN,
    "quantity-not-conserved": _EXPLAIN, "unsigned-leg": _BREAK, "one-sided-handoff": _EXPLAIN,
    "key-compromised": _EXPLAIN, "event-after-close": _BREAK, "reopened-after-key-loss": _EXPLAIN,
    "conflicting-event": _EXPLAIN, "stream-hole": _EXPLAIN, "stream-fork": _BREAK, "late-registration": _INFORM,
    "packed-twice": _EXPLAIN, "packing-cycle": _BREAK,
}  # fmt: skip
PIECES = {"C62", "EA", "H87", "NAR", "PCE", "SET"}
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))\Z"
)
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?\Z")
_PART = re.compile(r"did:[a-z0-9]+:[A-Za-z0-9._:%-]+/part/[^/?#\s]+\Z")
_PLACE = re.compile(r"(?:[A-Z]{2}[A-Z2-9]{3}|[A-Za-z][A-Za-z0-9+.\-]*:[^\x00-\x20\"<>\\^`{|}\x7f]+)\Z")
_EVIDENCE = re.compile(r"0x[0-9a-f]{64}(?:#(?:0|[1-9][0-9]{0,15}))?\Z")
Amount = tuple[str, str]
"""A part and a unit of measure."""


def read_time(value: Json, where: str) -> int:
    """Milliseconds since 1970 of a date and time with offset, cut."""
    match = _TIME.match(value) if isinstance(value, str) else None
    if match is None:
        raise Malformed(f"{where} is no date and time with offset")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    hours, minutes = int(match[9] or 0), int(match[10] or 0)
    try:
        start = datetime(year, month, day, hour, minute, second, tzinfo=timezone.utc)
    except ValueError:
        raise Malformed(f"{where} is of a day that does not exist") from None
    if hours > 23 or minutes > 59:
        raise Malformed(f"{where} has an offset that does not exist")
    seconds = (start - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(seconds=1)
    offset = (hours * 60 + minutes) * 60 * (-1 if match[8] == "-" else 1)
    return (seconds - offset) * 1000 + int((match[7] or "")[:3].ljust(3, "0"))


def read_text(value: Json, where: str, longest: int = 70) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= longest or value != value.strip():
        raise Malformed(f"{where} must be a text of 1 to {longest} characters without white space at its ends")
    return value


def read_decimal(value: Json, where: str) -> Fraction:
    if not isinstance(value, str) or len(value) > 40 or not _DECIMAL.match(value):
        raise Malformed(f"{where} must be a decimal in its only spelling")
    return Fraction(value)


def read_list(value: Json, where: str, least: int = 0) -> list[Json]:
    if not isinstance(value, list) or not least <= len(value) <= 1000:
        raise Malformed(f"{where} must be a list of {least} to 1,000 items")
    return value


def read_id(value: Json, where: str) -> str:
    return to_hex(read_hex(value, where, 32))


def read_unit(value: Json, where: str) -> str:
    found = identify(value) if isinstance(value, str) else None
    if found is None or found.kind not in UNIT_KINDS:
        raise Malformed(f"{where} names no unit of custody")
    return found.key


def read_part(value: Json, where: str) -> str:
    if isinstance(value, str):
        if _PART.match(value) and len(value) <= 300:
            return value
        found = identify(value)
        if found is not None and found.kind == "gtin":
            return found.key
    raise Malformed(f"{where} names no part")


def read_place(value: Json, where: str) -> str:
    text = read_text(value, where, 300)
    found = identify(text)
    if not _PLACE.match(text) if found is None else found.kind not in ("gln", "sgln", "pgln"):
        raise Malformed(f"{where} names no place")
    return text


class Line(NamedTuple):
    """A quantity of a part, and what is said of it in an answer or a complaint."""

    unit: str
    what: str
    part: str
    quantity: Fraction | None
    uom: str


def _read_quantity(reader: Reader) -> tuple[Fraction, str]:
    quantity, uom = read_decimal(reader.any("quantity"), reader.where), reader.any("uom")
    if not isinstance(uom, str) or not re.fullmatch("[A-Z0-9]{2,3}", uom):
        raise Malformed(f"{reader.where}: uom is no unit of measure")
    if not quantity or (uom in PIECES and quantity.denominator != 1):
        raise Malformed(f"{reader.where}: a quantity is above 0, of pieces whole")
    return quantity, uom


def _read_contents(reader: Reader) -> list[Line] | None:
    if not reader.has("contents"):
        return None
    found = []
    for at, item in enumerate(read_list(reader.any("contents"), reader.where)):
        line = Reader(item, f"{reader.where}/contents/{at}")
        part = read_part(line.any("part"), line.where)
        quantity, uom = _read_quantity(line)
        for name, longest in (("batch", 20), ("line", 10)):
            if line.has(name):
                read_text(line.any(name), line.where, longest)
        line.end()
        found.append(Line("", "", part, quantity, uom))
    return found


def _read_discrepancy(reader: Reader) -> Line:
    """What was wrong with a unit that was received: by part and quantity, or the whole unit short or over."""
    unit, what = read_unit(reader.any("unit"), reader.where), reader.any("what")
    if what not in ("short", "over", "damaged", "wrong-part"):
        raise Malformed(f"{reader.where}: {what!r} is no discrepancy")
    part, quantity, uom = "", None, ""
    if what in ("damaged", "wrong-part") or reader.has("part") or reader.has("quantity") or reader.has("uom"):
        part = read_part(reader.any("part"), reader.where)
        quantity, uom = _read_quantity(reader)
    if what == "wrong-part":
        read_part(reader.any("found"), reader.where)
    if reader.has("line"):
        read_text(reader.any("line"), reader.where, 10)
    reader.end()
    return Line(unit, str(what), part, quantity, uom)


def _once(values: Sequence[Any], where: str) -> None:
    if len(set(values)) != len(values):
        raise Malformed(f"{where} names one of them twice")


@dataclass(frozen=True)
class Fact:
    """A statement as the fold sees it; ids are hexadecimal texts, as they are compared."""

    id: str
    issuer: str
    kind: str
    stream: str
    sequence: int
    registered_at: int
    anchored_at: int | None
    content: Json
    is_void: bool
    is_disputed: bool

    @property
    def rank(self) -> tuple[int, str]:
        return self.registered_at, self.id


@dataclass
class Paper:
    """A statement that was read. Which members are filled is its kind's."""

    fact: Fact
    time: int | None = None
    corrects: str | None = None
    document: tuple[Any, ...] | None = None
    units: list[str] = field(default_factory=list)
    contents: dict[str, list[Line] | None] = field(default_factory=dict)
    chain: dict[str, str] = field(default_factory=dict)
    custodians: list[str] = field(default_factory=list)
    continues: dict[str, str] = field(default_factory=dict)
    taker: str = ""
    deadline: int = 0
    carrier: str | None = None
    legs: list[tuple[str, str]] = field(default_factory=list)
    despatch: str | None = None
    outcome: str = ""
    lines: list[Line] = field(default_factory=list)
    finding: tuple[str, list[str]] = ("", [])
    event: dict[str, Any] = field(default_factory=dict)
    ids: set[str] = field(default_factory=set)

    @property
    def id(self) -> str:
        return self.fact.id

    @property
    def issuer(self) -> str:
        return self.fact.issuer

    @property
    def kind(self) -> str:
        return self.fact.kind


def read_paper(fact: Fact) -> Paper:
    """The paper that a fact is; Malformed if section 3 refuses its content."""
    reader = Reader(fact.content, fact.kind)
    paper = Paper(fact)
    reader.any("to")  # who may see it says nothing about custody
    reader.has("replaces")
    if fact.kind == "epcis-event":
        _read_event(reader, paper)
        reader.end()
        return paper
    if fact.kind not in ("explanation", "custody-addresses") and reader.has("corrects"):
        paper.corrects = read_id(reader.any("corrects"), "corrects")
    _PAPERS[fact.kind](reader, paper)
    reader.end()
    return paper


def _read_document(reader: Reader, paper: Paper) -> None:
    document = reader.object("document")
    members = [read_text(document.any(name), "document", 35) for name in ("type", "number")]
    optional = [
        read_text(document.any(name), "document", 10) if document.has(name) else None for name in ("line", "version")
    ]
    document.end()
    paper.document = (*members, *optional)


def _read_despatch(reader: Reader, paper: Paper) -> None:
    _read_document(reader, paper)
    paper.taker = read_id(reader.any("taker"), "taker")
    paper.time, paper.deadline = (
        read_time(reader.any("despatchedAt"), "despatchedAt"),
        read_time(reader.any("deadline"), "deadline"),
    )
    if paper.deadline < paper.time:
        raise Malformed("the deadline is before the despatch")
    for item in read_list(reader.any("units"), "units", 0 if paper.corrects else 1):
        unit = Reader(item, "units")
        key = read_unit(unit.any("id"), "units")
        paper.units.append(key)
        if unit.has("chain"):
            paper.chain[key] = read_id(unit.any("chain"), "chain")
        paper.contents[key] = _read_contents(unit)
        unit.end()
    _once(paper.units, "units")
    if reader.has("carrier"):
        carrier = reader.object("carrier")
        read_text(carrier.any("name"), "carrier")
        paper.carrier = read_id(carrier.any("for"), "carrier")
        carrier.end()
    if reader.has("legs"):
        for item in read_list(reader.any("legs"), "legs"):
            leg = Reader(item, "legs")
            paper.legs.append((read_id(leg.any("giver"), "legs"), read_id(leg.any("taker"), "legs")))
            for name in ("from", "to"):
                read_place(leg.any(name), "legs")
            leg.end()
    if reader.has("seal"):
        read_text(reader.any("seal"), "seal", 35)
    for name in ("shipFrom", "shipTo"):
        if reader.has(name):
            read_place(reader.any(name), name)
    if reader.has("arrives"):
        _read_arrival(read_text(reader.any("arrives"), "arrives", 40), paper.time)


def _read_arrival(text: str, despatched_at: int) -> None:
    """A day, or a time of which the day counts as it is written."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
        if read_time(text, "arrives") < despatched_at:
            raise Malformed("it arrives before the despatch")
    day = read_time(f"{text[:10]}T00:00:00Z", "arrives") // 86_400_000
    if not -1 <= day - despatched_at // 86_400_000 <= 366:
        raise Malformed("it arrives before the despatch, or in years")


def _read_gate_arrival(reader: Reader, paper: Paper) -> None:
    _read_document(reader, paper)
    paper.time = read_time(reader.any("arrivedAt"), "arrivedAt")
    read_place(reader.any("place"), "place")
    if reader.has("despatch"):
        paper.despatch = read_id(reader.any("despatch"), "despatch")
    if reader.has("slot"):
        slot = reader.object("slot")
        if read_time(slot.any("from"), "slot") > read_time(slot.any("to"), "slot"):
            raise Malformed("the slot ends before it begins")
        slot.end()
    for name in ("seal", "vehicle"):
        if reader.has(name):
            read_text(reader.any(name), name, 35)
    if reader.has("units"):
        paper.units = [read_unit(one, "units") for one in read_list(reader.any("units"), "units")]
        _once(paper.units, "units")


def _read_receipt(reader: Reader, paper: Paper) -> None:
    _read_document(reader, paper)
    paper.time, paper.despatch = (
        read_time(reader.any("receivedAt"), "receivedAt"),
        read_id(reader.any("despatch"), "despatch"),
    )
    paper.units = [read_unit(one, "units") for one in read_list(reader.any("units"), "units", 1)]
    _once(paper.units, "units")
    paper.outcome = reader.text("outcome")
    if paper.outcome not in ("accepted", "accepted-with-discrepancies", "refused"):
        raise Malformed("no outcome of a receipt")
    if reader.any("basis") not in ("scanned", "counted", "listed"):
        raise Malformed("no basis of a receipt")
    if (paper.outcome == "refused") != reader.has("reason"):
        raise Malformed("a reason is given if and only if it was refused")
    if reader.has("reason"):
        read_text(reader.any("reason"), "reason", 500)
    if (paper.outcome == "accepted-with-discrepancies") != reader.has("discrepancies"):
        raise Malformed("discrepancies are named if and only if there are some")
    if reader.has("discrepancies"):
        for item in read_list(reader.any("discrepancies"), "discrepancies", 1):
            paper.lines.append(_read_discrepancy(Reader(item, "discrepancies")))
            if paper.lines[-1].unit not in paper.units:
                raise Malformed("a discrepancy of a unit that was not received")
    if reader.has("automatic"):
        automatic = reader.object("automatic")
        tolerance = read_decimal(automatic.any("tolerance"), "tolerance")
        automatic.end()
        quantities_alone = all(one.what in ("short", "over") and one.quantity is not None for one in paper.lines)
        if tolerance >= 1 or paper.outcome == "refused" or not quantities_alone or (paper.lines and not tolerance):
            raise Malformed("what no person saw is a quantity within a tolerance below 1")


def _read_complaint(reader: Reader, paper: Paper) -> None:
    _read_document(reader, paper)
    paper.time = read_time(reader.any("raisedAt"), "raisedAt")
    read_id(reader.any("about"), "about")
    for one in read_list(reader.any("items"), "items", 1):
        item = Reader(one, "items")
        if item.any("what") not in ("short", "over", "damaged", "wrong-part", "late", "quality"):
            raise Malformed("a complaint about what?")
        if item.has("unit"):
            paper.units.append(read_unit(item.any("unit"), "items"))
        if item.has("part"):
            read_part(item.any("part"), "items")
        if item.has("quantity") or item.has("uom"):
            _read_quantity(item)
        item.end()
    paper.units = list(dict.fromkeys(paper.units))
    if reader.has("text"):
        read_text(reader.any("text"), "text", 2000)


def _read_explanation(reader: Reader, paper: Paper) -> None:
    finding = reader.object("finding")
    evidence = read_list(finding.any("evidence"), "evidence", 1)
    if not all(isinstance(one, str) and _EVIDENCE.match(one) for one in evidence) or evidence != sorted(set(evidence)):
        raise Malformed("evidence is ids of statements and steps, sorted and each once")
    paper.finding = read_text(finding.any("kind"), "finding", 64), evidence
    finding.end()
    read_text(reader.any("text"), "text", 2000)


def _read_opening(reader: Reader, paper: Paper) -> None:
    paper.time = read_time(reader.any("openedAt"), "openedAt")
    for item in read_list(reader.any("units"), "units", 1):
        unit = Reader(item, "units")
        key, chain = read_unit(unit.any("id"), "units"), read_id(unit.any("chain"), "chain")
        custodian, secret = unit.data("custodian", 20), unit.data("secret", 32)
        commitment = hmac.new(secret, key.encode(), hashlib.sha256).digest()
        if to_hex(keccak(words(custodian, commitment))) != chain:
            raise Malformed("chain is not what this custodian opens for this unit")
        paper.units.append(key)
        paper.chain[key] = chain
        paper.custodians.append(to_hex(custodian))
        paper.contents[key] = _read_contents(unit)
        if unit.has("continues"):
            paper.continues[chain] = read_id(unit.any("continues"), "continues")
            if paper.continues[chain] == chain:
                raise Malformed("a unit does not continue itself")
        unit.end()
    _once(paper.units, "units")


def _read_addresses(reader: Reader, paper: Paper) -> None:
    addresses = read_list(reader.any("addresses"), "addresses", 1)
    paper.custodians = [to_hex(read_hex(one, "addresses", 20)) for one in addresses]
    _once(paper.custodians, "addresses")


_PAPERS: dict[str, Callable[[Reader, Paper], None]] = {
    "despatch": _read_despatch,
    "gate-arrival": _read_gate_arrival,
    "receipt": _read_receipt,
    "complaint": _read_complaint,
    "explanation": _read_explanation,
    "opening": _read_opening,
    "custody-addresses": _read_addresses,
}
ELIGIBLE = {"epcis-event", *_PAPERS}

_THING_LISTS = ("childEPCs", "inputEPCList", "outputEPCList", "epcList")
_QUANTITY_LISTS = ("childQuantityList", "inputQuantityList", "outputQuantityList", "quantityList")


def thing(text: str) -> str:
    found = identify(text)
    return text if found is None else found.key


def _read_class(item: Json, name: str) -> tuple[str, Fraction | None, str]:
    """A class of things in an event: its key, how much of it if that is told, and the unit of measure."""
    if not isinstance(item, dict) or not isinstance(item.get("epcClass"), str):
        raise Malformed(f"{name} must name classes")
    amount, uom = None, item.get("uom", "H87")
    if "quantity" in item:
        quantity = item["quantity"]
        plain = isinstance(quantity, (int, str)) and not isinstance(quantity, bool)
        if not plain or not re.fullmatch(r"-?[0-9]{1,40}(\.[0-9]{1,40})?", str(quantity)):
            raise Malformed(f"{name}: no quantity")
        if not isinstance(uom, str):
            raise Malformed(f"{name}: uom must be text")
        amount = Fraction(str(quantity))
    return thing(item["epcClass"]), amount, uom


def _read_event(reader: Reader, paper: Paper) -> None:
    """Of an event only what 9.7 counts; the rest is EPCIS's own and stays unread."""
    reader.has("context")
    event = reader.any("event")
    if not isinstance(event, dict):
        raise Malformed("event must be an object")
    paper.time = read_time(event.get("eventTime"), "eventTime")
    for name in ("type", "transformationID"):
        if not isinstance(event.get(name), str) and not (name == "transformationID" and event.get(name) is None):
            raise Malformed(f"{name} must be text")
    found: dict[str, Any] = {"type": event["type"], "action": event.get("action"), "parent": None}
    things: list[str] = []
    if event.get("parentID") is not None:
        if not isinstance(event["parentID"], str):
            raise Malformed("parentID must be text")
        found["parent"] = thing(event["parentID"])
        things.append(found["parent"])
    for name in _THING_LISTS:
        items = event.get(name, [])
        if not isinstance(items, list) or not all(isinstance(one, str) for one in items):
            raise Malformed(f"{name} must be a list of texts")
        found[name] = [thing(one) for one in items]
        things += found[name]
    for name in _QUANTITY_LISTS:
        items = event.get(name, [])
        if not isinstance(items, list):
            raise Malformed(f"{name} must be a list")
        found[name] = [_read_class(one, name) for one in items]
        things += (key for key, _, _ in found[name])
    for part in ("child", "input", "output"):
        epcs = found["childEPCs" if part == "child" else f"{part}EPCList"]
        found[part] = [*epcs, *(key for key, _, _ in found[f"{part}QuantityList"])]
        amounts: dict[Amount, Fraction] = defaultdict(Fraction)
        for key in epcs:
            identifier = identify(key)
            if identifier is not None and identifier.kind in ("sgtin", "part-serial"):
                amounts[part_of(key), "H87"] += 1
        for key, amount, uom in found[f"{part}QuantityList"]:
            if amount is not None:
                amounts[part_of(key), uom] += amount
        found[f"{part} amounts"] = dict(amounts)
    found["id"] = event.get("eventID") if isinstance(event.get("eventID"), str) else None
    found["declares error"] = "errorDeclaration" in event
    found["transformation"] = event.get("transformationID")
    paper.event, paper.units = found, list(dict.fromkeys(things))


# ======================================================================================================================
# Section 9.1. The policy in force
# ======================================================================================================================

MINUTE = 60_000


@dataclass(frozen=True)
class Policy:
    """By what the consortium judges a record; times in ms."""

    register_within: int = 1440 * MINUTE
    tolerance: int = 5 * MINUTE
    stream_gap_after: int = 1440 * MINUTE
    answer_within: int = 10080 * MINUTE
    deem_after: int | None = None
    unsigned_allowed: tuple[tuple[str | None, str | None], ...] = ()
    shares: tuple[tuple[str, Fraction], ...] = ()
    weights: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, content: Json) -> Policy:
        reader = Reader(content, "custody-policy")
        reader.any("to")
        reader.has("replaces")

        def minutes(name: str) -> int:
            value = reader.integer(name)
            if value > 10_000_000:
                raise Malformed(f"{name} is more than 10,000,000 minutes")
            return value * MINUTE

        def pairs(name: str) -> list[Reader]:
            return [Reader(item, name) for item in read_list(reader.any(name), name)]

        allowed = []
        for one in pairs("unsignedAllowed"):
            sides = [
                read_id(one.any(name), "unsignedAllowed") if one.has(name) else None for name in ("giver", "taker")
            ]
            one.end()
            if sides == [None, None]:
                raise Malformed("unsignedAllowed names nobody")
            allowed.append((sides[0], sides[1]))
        shares = []
        for one in pairs("quantityTolerance"):
            uom, share = one.text("uom"), read_decimal(one.any("share"), "share")
            one.end()
            if not re.fullmatch("[A-Z0-9]{2,3}", uom) or share >= 1:
                raise Malformed("quantityTolerance is a share below 1 of a unit of measure")
            shares.append((uom, share))
        weights = []
        for one in pairs("weights"):
            finding, weight = one.text("finding"), one.text("weight")
            one.end()
            if finding not in DEFAULT_WEIGHTS or weight not in HEAVIEST:
                raise Malformed("weights are of findings")
            weights.append((finding, weight))
        _once([finding for finding, _ in weights], "weights")
        found = cls(
            minutes("registerWithinMinutes"),
            minutes("clockToleranceMinutes"),
            minutes("streamGapAfterMinutes"),
            minutes("answerWithinMinutes"),
            minutes("deemAcceptedAfterMinutes") if reader.has("deemAcceptedAfterMinutes") else None,
            tuple(allowed),
            tuple(shares),
            tuple(weights),
        )
        reader.end()
        return found

    def allows_unsigned(self, giver: str | None, taker: str | None) -> bool:
        return any(one in (None, giver) and other in (None, taker) for one, other in self.unsigned_allowed)

    def share(self, uom: str) -> Fraction:
        return dict(self.shares).get(uom, Fraction(0))

    def weight(self, finding: str) -> str:
        return dict(self.weights).get(finding, DEFAULT_WEIGHTS[finding])


def policy_in_force(approved: Iterable[tuple[int, str]], facts: Iterable[Fact], at: int) -> tuple[str | None, Policy]:
    """The last policy that the members approved (block time in ms, id) at or before `at`, or the defaults."""
    readable: dict[str, Policy] = {}
    for fact in facts:
        if fact.kind == "custody-policy" and fact.content is not None and not fact.is_void:
            try:
                readable[fact.id] = Policy.parse(fact.content)
            except Malformed:
                continue
    in_force: str | None = None
    for time, what in approved:
        if time <= at and what in readable:
            in_force = what
    return in_force, readable[in_force] if in_force is not None else Policy()


# ======================================================================================================================
# Section 9. The fold
# ======================================================================================================================


@dataclass(frozen=True)
class Step:
    """A step of custody that the chain took; addresses and ids are hexadecimal texts, time is in ms."""

    unit: str
    sequence: int
    giver: str | None
    taker: str | None
    offer: str | None
    acceptance: str | None
    reason: str | None
    time: int

    @property
    def record(self) -> str:
        return f"{self.unit}#{self.sequence}"

    @property
    def is_handoff(self) -> bool:
        return self.sequence > 0 and self.taker is not None

    @property
    def is_closing(self) -> bool:
        return self.sequence > 0 and self.taker is None


@dataclass(eq=False)
class Leg:
    """One handoff of one unit as far as it is known."""

    unit: str
    giver: str | None
    taker: str | None
    state: str = ""
    offer: Fact | None = None
    acceptance: Fact | None = None
    step: Step | None = None
    despatch: Paper | None = None
    despatched_at: int | None = None
    received_at: int | None = None
    start: int = 0
    generation: int = -1
    record: str = ""
    lines: list[Line] = field(default_factory=list)
    carried_in: str | None = None
    own: Leg | None = None
    missing_since: int | None = None

    @property
    def papers(self) -> list[str]:
        return [one.id for one in (self.offer, self.acceptance) if one is not None]

    @property
    def evidence(self) -> list[str]:
        return self.papers + ([self.step.record] if self.step else [])

    @property
    def agreed(self) -> list[tuple[str, str]]:
        """The carriers' parts of the way that the despatch names."""
        return self.despatch.legs if self.despatch is not None else []

    @property
    def has_moved(self) -> bool:
        return self.state in ("deemed accepted", "pending", "unexplained", "content withheld", "handed over")

    @property
    def order(self) -> tuple[int, int, int, str]:
        return self.start, self.generation, self.step.sequence if self.step else -1, self.record


@dataclass
class CustodyFinding:
    """Something wrong with a record of custody, with its evidence."""

    kind: str
    evidence: tuple[str, ...]
    weight: str
    units: set[str] = field(default_factory=set)
    streams: set[str] = field(default_factory=set)
    explained_by: list[str] = field(default_factory=list)

    @property
    def id(self) -> str:
        return sha256(canonical([self.kind, list(self.evidence)])).hex()


@dataclass
class Unit:
    """What became of one thing."""

    key: str
    custodian: str | None = None
    claims: list[str] = field(default_factory=list)
    contested: bool = False
    closed_at: int | None = None
    within: str | None = None
    legs: list[Leg] = field(default_factory=list)
    records: set[str] = field(default_factory=set)


class Stay(NamedTuple):
    """A child in its parent, from the ADD to before the end."""

    child: str
    parent: str
    start: int
    end: int | None
    record: str


class Custody:
    """Everything that follows from facts and steps, as known at a time by a clock and judged by a policy."""

    def __init__(self, facts: Iterable[Fact], steps: Iterable[Step], policy: Policy, at: int, clock: str) -> None:
        self.policy, self.at = policy, at
        known = [one for one in facts if (when := self._clock(one, clock)) is not None and when <= at]
        self.facts = {one.id: one for one in known}
        self.steps: dict[tuple[str, int], Step] = {}
        for step in steps:
            if step.time <= at and self.steps.setdefault((step.unit, step.sequence), step) != step:
                refuse(f"two different steps {step.record}")
        self.found: dict[tuple[str, tuple[str, ...]], CustodyFinding] = {}
        self.corrected: dict[str, str] = {}
        self.repeated: dict[str, str] = {}
        self.papers: dict[str, Paper] = {}
        self.unread: list[str] = []
        self.standing: list[Paper] = []
        self.units: dict[str, Unit] = {}
        self.by_chain: set[str] = set()
        self._read()
        self._stand()
        self._papers_alone()
        self._streams()
        self._bind()
        self._events()
        self._legs()
        self._walk_all()
        self._explain()

    @staticmethod
    def _clock(fact: Fact, clock: str) -> int | None:
        return fact.registered_at if clock == "registered" else fact.anchored_at

    def find(
        self, kind: str, evidence: Iterable[str], units: Iterable[str] = (), stream: str = "", weight: str = ""
    ) -> CustodyFinding:
        """Keep a finding; one of this kind and evidence that is kept already takes in what is new (9.9)."""
        key = kind, tuple(sorted(set(evidence)))
        weight = weight or self.policy.weight(kind)
        found = self.found.setdefault(key, CustodyFinding(kind, key[1], weight))
        found.weight = max(found.weight, weight, key=HEAVIEST.index)
        found.units |= set(units)
        found.streams |= {stream} if stream else set()
        return found

    # -- 9.3: which statements count --

    def _read(self) -> None:
        eligible = sorted(
            (
                one
                for one in self.facts.values()
                if not one.is_void and one.content is not None and one.kind in ELIGIBLE
            ),
            key=lambda one: one.rank,
        )
        copies: dict[tuple[str, str, bytes], list[Fact]] = defaultdict(list)
        for fact in eligible:
            said = fact.content
            if isinstance(said, dict):
                said = {name: value for name, value in said.items() if name not in ("to", "replaces")}
            copies[fact.issuer, fact.kind, canonical(said)].append(fact)
        for first, *others in copies.values():
            try:
                paper = read_paper(first)
            except Malformed:
                self.unread += [first.id, *(one.id for one in others)]
                continue
            paper.ids = {first.id, *(one.id for one in others)}
            self.papers[first.id] = paper
            self.repeated.update((one.id, first.id) for one in others)

    def _stand(self) -> None:
        events: dict[tuple[str, str], list[Paper]] = defaultdict(list)
        others: list[Paper] = []
        for paper in sorted(self.papers.values(), key=lambda one: one.fact.rank):
            if paper.kind != "epcis-event":
                others.append(paper)
            elif paper.event["id"] is not None:
                events[paper.issuer, paper.event["id"]].append(paper)
            elif not paper.event["declares error"]:
                self.standing.append(paper)
        for group in events.values():
            declarations = [one for one in group if one.event["declares error"]]
            if declarations:
                self.corrected.update((one.id, declarations[0].id) for one in group if one not in declarations)
                continue
            self.standing.append(group[0])
            if len(group) > 1:
                self._conflict(group)
        self._correct(others)
        self._one_document()
        self.standing.sort(key=lambda one: one.fact.rank)

    def _conflict(self, papers: Sequence[Paper]) -> None:
        self.find("conflicting-event", [one.id for one in papers], {unit for one in papers for unit in one.units})

    def _correct(self, papers: Sequence[Paper]) -> None:
        chosen: dict[str, list[Paper]] = defaultdict(list)
        roots: list[Paper] = []
        for paper in papers:
            target = self.papers.get(self.repeated.get(paper.corrects or "", paper.corrects or ""))
            if target is None or target.kind == "epcis-event":
                roots.append(paper)
            elif (target.issuer, target.kind) != (paper.issuer, paper.kind):
                self._conflict([target, paper])
            else:
                chosen[target.id].append(paper)
        for paper in roots:
            before = [paper]
            while before[-1].id in chosen:
                rivals = chosen[before[-1].id]
                if len(rivals) > 1:
                    self._conflict(rivals)
                before.append(rivals[0])
            last = before[-1]
            for one, after in zip(before, before[1:]):
                self.corrected[one.id] = after.id
                last.ids |= one.ids
            self.standing.append(last)

    def _one_document(self) -> None:
        named = {one for step in self.steps.values() for one in (step.offer, step.acceptance)}
        named |= {one.despatch for one in self.standing if one.kind == "receipt"}
        groups: dict[Any, list[Paper]] = defaultdict(list)
        for paper in self.standing:
            if paper.kind in ("despatch", "gate-arrival", "complaint"):
                groups[paper.issuer, paper.kind, paper.document].append(paper)
        for group in groups.values():
            if len(group) > 1:
                self._conflict(group)
                group.sort(key=lambda one: (not one.ids & named, one.fact.rank))
                for paper in group[1:]:
                    self.standing.remove(paper)

    def _papers_alone(self) -> None:
        for paper in self.standing:
            if paper.time is not None and paper.corrects is None:
                if paper.fact.registered_at - paper.time > self.policy.register_within:
                    self.find("late-registration", [paper.id], paper.units)
        for fact in self.facts.values():
            if fact.is_disputed and not fact.is_void:
                paper_ = self.papers.get(self.repeated.get(fact.id, fact.id))
                if paper_ is not None and paper_.units:
                    self.find("key-compromised", [fact.id], paper_.units)
                else:
                    self.find("key-compromised", [fact.id], stream=fact.stream)

    # -- 9.4 --

    def _streams(self) -> None:
        streams: dict[str, dict[int, list[Fact]]] = defaultdict(lambda: defaultdict(list))
        for fact in self.facts.values():
            streams[fact.stream][fact.sequence].append(fact)
        for stream, numbers in streams.items():
            before = 0
            for number in sorted(numbers):
                here = [one.id for one in numbers[number]]
                if number > before + 1:
                    since = min(one.registered_at for n in numbers if n >= number for one in numbers[n])
                    if since + self.policy.stream_gap_after < self.at:
                        self.find("stream-hole", here + [one.id for one in numbers.get(before, [])], stream=stream)
                if len(here) > 1:
                    self.find("stream-fork", here, stream=stream)
                before = number

    # -- 9.5: which thing a unit of the chain is --

    def _bind(self) -> None:
        self.owners: dict[str, set[str]] = defaultdict(set)
        self.binding: dict[str, str] = {}
        self.named_at: dict[str, int] = {}
        openings = [one for one in self.standing if one.kind == "opening"]
        for paper in [one for one in self.standing if one.kind == "custody-addresses"] + openings:
            for address in paper.custodians:
                self.owners[address].add(paper.issuer)
                named_at = self.named_at.get(address, paper.fact.registered_at)
                self.named_at[address] = min(named_at, paper.fact.registered_at)
                self.binding.setdefault(address, paper.id)
        despatches = [one for one in self.standing if one.kind == "despatch"]
        self.thing_of: dict[str, str] = {}
        first: dict[str, str] = {}
        for paper in openings + despatches:
            for unit in paper.units:
                chain = paper.chain.get(unit)
                if chain is None:
                    continue
                if chain not in self.thing_of:
                    self.thing_of[chain], first[chain] = unit, paper.id
                elif self.thing_of[chain] != unit:
                    both = [self.thing_of[chain], unit]
                    self.find("conflicting-event", [first[chain], paper.id, f"{chain}#0"], both)
        self.steps_of: dict[str, list[Step]] = defaultdict(list)
        for key in sorted(self.steps):
            self.steps_of[key[0]].append(self.steps[key])
        self.despatch_of = {id_: one for one in despatches for id_ in one.ids}
        for chain, steps in self.steps_of.items():
            if chain not in self.thing_of:
                for step in steps:
                    paper_ = self.despatch_of.get(step.offer or "")
                    if paper_ is not None and len(paper_.units) == 1:
                        self.thing_of[chain], first[chain] = paper_.units[0], paper_.id
                        break
        self.generations: dict[str, list[str]] = defaultdict(list)
        for chain in sorted(self.steps_of, key=lambda one: (self.steps_of[one][0].time, one)):
            if chain in self.thing_of:
                self.generations[self.thing_of[chain]].append(chain)
        self.ends: dict[str, list[tuple[int, str]]] = defaultdict(list)
        for unit, chains in self.generations.items():
            for chain in chains:
                for one, other in zip(self.steps_of[chain], self.steps_of[chain][1:]):
                    if other.sequence != one.sequence + 1:
                        self.find("gap", [one.record, other.record], [unit])
            for before, after in zip(chains, chains[1:]):
                last, start = self.steps_of[before][-1], self.steps_of[after][0]
                again = next((one for one in openings if after in one.continues), None)
                if again is not None and again.continues[after] == before:
                    self.find("reopened-after-key-loss", [again.id, last.record, start.record], [unit])
                else:
                    kind = "event-after-close" if last.is_closing else "fork"
                    self.find(kind, [last.record, start.record, first[after]], [unit])
            end = self.steps_of[chains[-1]][-1]
            if end.is_closing:
                why = next((one for one in self.standing if one.id == end.reason and one.time is not None), None)
                self.ends[unit].append((end.time if why is None or why.time is None else why.time, end.record))

    # -- 9.7: packing and making --

    def _events(self) -> None:
        events = [one for one in self.standing if one.kind == "epcis-event"]
        for paper in events:
            event = paper.event
            ended: list[str] = []
            if event["type"] == "ObjectEvent" and event["action"] == "DELETE":
                ended = paper.units
            elif event["type"] == "TransformationEvent":
                ended = [one for one in event["input"] if one not in event["output"]]
            for unit in ended:
                self.ends[unit].append((_time(paper), paper.id))
        self._pack([one for one in events if one.event["type"] in ("AggregationEvent", "AssociationEvent")])
        self._make([one for one in events if one.event["type"] == "TransformationEvent"])
        self.events = sorted(events, key=lambda one: (_time(one), one.id))

    def _pack(self, events: list[Paper]) -> None:
        self.stays: list[Stay] = []
        inside: dict[str, Stay] = {}
        balance: dict[str, dict[Amount, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        adds: dict[str, list[Paper]] = defaultdict(list)

        def leave(child: str, time: int) -> None:
            self.stays.append(inside.pop(child)._replace(end=time))

        events = [one for one in events if one.event["parent"] is not None]
        for paper in sorted(events, key=lambda one: (_time(one), one.event["action"] != "DELETE", one.id)):
            event, parent, time = paper.event, paper.event["parent"], _time(paper)
            children, amounts = event["child"], event["child amounts"]
            if event["action"] == "DELETE":
                if not children and not amounts:
                    for child in [one for one, stay in inside.items() if stay.parent == parent]:
                        leave(child, time)
                    balance[parent].clear()
                for child in children:
                    if child in inside and inside[child].parent == parent:
                        leave(child, time)
                    elif not is_batch(child) and adds[parent]:
                        self.find("quantity-not-conserved", [paper.id, adds[parent][-1].id], [child, parent])
                for amount, out in amounts.items():
                    if amount in balance[parent]:
                        held = balance[parent][amount]
                        if out > held * (1 + self.policy.share(amount[1])):
                            said = [one.id for one in adds[parent] if amount in one.event["child amounts"]]
                            self.find("quantity-not-conserved", [paper.id, *said], [parent, *children])
                        balance[parent][amount] = max(held - out, Fraction(0))
            elif event["action"] == "ADD":
                for child in children:
                    way = self._way_up(parent, child, inside)
                    if way is not None:
                        self.find("packing-cycle", [paper.id, *way], [child, parent])
                    elif is_batch(child) or (child in inside and inside[child].parent == parent):
                        continue
                    else:
                        if child in inside:
                            other = inside[child]
                            self.find("packed-twice", [paper.id, other.record], [child, parent, other.parent])
                            leave(child, time)
                        inside[child] = Stay(child, parent, time, None, paper.id)
                for amount, added in amounts.items():
                    balance[parent][amount] += added
                adds[parent].append(paper)
        self.stays += inside.values()
        self.stays_of: dict[str, list[Stay]] = defaultdict(list)
        for stay in self.stays:
            self.stays_of[stay.child].append(stay)

    @staticmethod
    def _way_up(parent: str, child: str, inside: dict[str, Stay]) -> list[str] | None:
        """The records that packed `parent` into `child`, directly or through others; None if it is not in it."""
        way: list[str] = []
        at = parent
        while at != child:
            if at not in inside:
                return None
            way.append(inside[at].record)
            at = inside[at].parent
        return way

    def _make(self, events: list[Paper]) -> None:
        groups: dict[Any, list[Paper]] = defaultdict(list)
        for paper in events:
            run = paper.event["transformation"]
            groups[(paper.issuer, canonical(run)) if run is not None else paper.id].append(paper)
        for group in groups.values():
            went_in: dict[Amount, Fraction] = defaultdict(Fraction)
            came_out: dict[Amount, Fraction] = defaultdict(Fraction)
            for paper in group:
                for totals, amounts in ((went_in, "input amounts"), (came_out, "output amounts")):
                    for amount, quantity in paper.event[amounts].items():
                        totals[amount] += quantity
            for amount in set(went_in) & set(came_out):
                slack = went_in[amount] * self.policy.share(amount[1])
                too_much = came_out[amount] > went_in[amount] + slack
                too_little = set(went_in) == set(came_out) and came_out[amount] < went_in[amount] - slack
                if too_much or too_little:
                    things = {one for paper in group for one in (*paper.event["input"], *paper.event["output"])}
                    self.find("quantity-not-conserved", [one.id for one in group], things)

    def parent_at(self, unit: str, time: int) -> str | None:
        for stay in self.stays_of.get(unit, ()):
            if stay.start <= time and (stay.end is None or time < stay.end):
                return stay.parent
        return None

    # -- 9.6: legs --

    def _legs(self) -> None:
        self.legs: dict[str, list[Leg]] = defaultdict(list)
        self.sightings: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
        handoffs = [self.steps[key] for key in sorted(self.steps) if self.steps[key].is_handoff]
        answers: dict[str, list[Paper]] = defaultdict(list)
        for paper in self.standing:
            if paper.kind == "receipt":
                answers[self.despatch_of[paper.despatch].id if paper.despatch in self.despatch_of else ""].append(paper)
        by_offer: dict[str, list[Step]] = defaultdict(list)
        for step in handoffs:
            by_offer[step.offer or ""].append(step)
        taken: set[str] = set()
        for paper in self.standing:
            if paper.kind == "despatch":
                for unit in paper.units:
                    self._offered(paper, unit, answers[paper.id], by_offer, taken)
                for answer in answers[paper.id]:
                    for unit in answer.units:
                        if unit not in paper.units:
                            self.find("quantity-not-conserved", [paper.id, answer.id], [unit])
                            self.sightings[unit].append((_time(answer), answer.id, answer.issuer))
        for paper in answers[""]:
            for unit in paper.units:
                self._never_offered(paper, unit, by_offer, taken)
        for step in handoffs:
            if step.record not in taken and step.unit in self.thing_of:
                self._unsaid(step)
        for unit, legs in self.legs.items():
            for leg in legs:
                if leg.step is not None:
                    chains = self.generations.get(unit, [])
                    leg.generation = chains.index(leg.step.unit) if leg.step.unit in chains else 0
            latest: int | None = None
            with_step = [one for one in legs if one.step is not None]
            for leg in sorted(with_step, key=lambda one: one.order[1:]):
                latest = leg.start if latest is None else max(latest, leg.start)
                leg.start = latest
            completed = [self._completed(leg, legs) for leg in legs]
            for leg, start in zip(legs, completed):
                leg.start = start
            legs.sort(key=lambda one: one.order)
            for leg in legs:
                if leg.state in ("offered", "overdue", "deemed accepted") and any(
                    one.giver == leg.giver
                    and one.has_moved
                    and one.state != "deemed accepted"
                    and one.start > leg.start
                    and (one.giver, one.taker) not in leg.agreed
                    for one in legs
                ):
                    leg.state = "withdrawn"
            for leg in legs:
                if leg.state == "overdue":
                    self.find("one-sided-handoff", leg.evidence, [unit])
                elif leg.state == "deemed accepted":
                    self.find("one-sided-handoff", leg.evidence, [unit], weight="for-information")

    def _completed(self, leg: Leg, legs: Sequence[Leg]) -> int:
        """When a leg starts: one without a step after the carriers' parts of its way, if these lie within it."""
        if not leg.agreed or leg.step is not None or not leg.has_moved:
            return leg.start
        end = self.at if leg.received_at is None else leg.received_at + self.policy.tolerance
        parts = [
            one.start for one in legs if one.has_moved and (one.giver, one.taker) in leg.agreed and one.start <= end
        ]
        latest = max(parts, default=leg.start - 1)
        return latest + 1 if latest >= leg.start else leg.start

    def _unsigned(self, evidence: Iterable[str], units: Iterable[str], giver: str | None, taker: str | None) -> None:
        weight = "for-information" if self.policy.allows_unsigned(giver, taker) else ""
        self.find("unsigned-leg", evidence, units, weight=weight)

    def _offered(
        self, paper: Paper, unit: str, answers: list[Paper], by_offer: dict[str, list[Step]], taken: set[str]
    ) -> None:
        """9.6 A."""
        leg = Leg(unit, paper.issuer, paper.taker, offer=paper.fact, despatch=paper, record=paper.id)
        leg.despatched_at = leg.start = _time(paper)
        steps = [one for id_ in paper.ids for one in by_offer.get(id_, ()) if self.thing_of.get(one.unit) == unit]
        leg.step = min(steps, key=lambda one: (one.unit, one.sequence), default=None)
        if leg.step is not None:
            taken.add(leg.step.record)
        step_says = leg.step.acceptance if leg.step is not None else None
        mine: list[Paper] = []
        for answer in answers:
            if unit in answer.units and answer.issuer == paper.taker:
                mine.append(answer)
            elif unit in answer.units:
                self.sightings[unit].append((_time(answer), answer.id, answer.issuer))
        mine.sort(key=lambda one: (step_says not in one.ids, one.fact.rank))
        if len(mine) > 1:
            self._conflict(mine)
        acceptance = mine[0] if mine else None
        if acceptance is not None:
            leg.acceptance, leg.received_at = acceptance.fact, acceptance.time
            leg.lines = [one for one in acceptance.lines if one.unit == unit]
            if any(one.what != "damaged" for one in leg.lines):
                self.find("quantity-not-conserved", leg.papers, [unit])
            if any(one.what == "short" and one.quantity is None for one in leg.lines):
                leg.missing_since = acceptance.fact.registered_at
        if leg.step is not None:
            strangers = [
                address or ""
                for address, side in ((leg.step.giver, paper.issuer), (leg.step.taker, paper.taker))
                if side not in self.owners.get(address or "", {side}) and self.named_at[address or ""] <= leg.step.time
            ]
            answer_ = self.facts.get(step_says or "")
            if acceptance is not None and step_says in acceptance.ids and not strangers:
                leg.state = "handed over"
            elif (
                acceptance is None
                and answer_ is not None
                and answer_.content is None
                and (answer_.issuer, answer_.kind) == (paper.taker, "receipt")
                and not strangers
            ):
                leg.state = "content withheld"
            else:
                leg.state = "unexplained"
                bindings = [self.binding[one] for one in strangers]
                self._unsigned([*leg.evidence, *bindings], [unit], leg.giver, leg.taker)
        elif acceptance is None:
            deem = self.policy.deem_after
            if paper.deadline >= self.at:
                leg.state = "offered"
            else:
                readers = (paper.fact.content or {}).get("to")
                is_seen = isinstance(readers, list) and paper.taker in readers
                deemed = is_seen and deem is not None and paper.deadline + deem < self.at
                leg.state = "deemed accepted" if deemed else "overdue"
        elif acceptance.outcome == "refused":
            leg.state = "refused"
        elif any(one.what == "short" and one.quantity is None for one in leg.lines):
            leg.state = "missing"
        else:
            leg.state = "pending"
        if leg.has_moved and leg.received_at is not None and leg.received_at < leg.start - self.policy.tolerance:
            self.find("time-reversal", leg.papers, [unit])
        self.legs[unit].append(leg)

    def _never_offered(self, paper: Paper, unit: str, by_offer: dict[str, list[Step]], taken: set[str]) -> None:
        """9.6 B."""
        offer = self.facts.get(paper.despatch or "")
        leg = Leg(
            unit, offer.issuer if offer else None, paper.issuer, offer=offer, acceptance=paper.fact, record=paper.id
        )
        leg.received_at = leg.start = _time(paper)
        leg.lines = [one for one in paper.lines if one.unit == unit]
        steps = [
            one
            for one in by_offer.get(paper.despatch or "", ())
            if one.acceptance in paper.ids and self.thing_of.get(one.unit, unit) == unit
        ]
        leg.step = min(steps, key=lambda one: (one.unit, one.sequence), default=None)
        if leg.step is not None:
            taken.add(leg.step.record)
        refused = paper.outcome == "refused"
        if offer is not None and offer.kind == "despatch" and offer.content is None:
            leg.state = "refused" if refused else "content withheld" if leg.step else "pending"
        elif leg.step is not None:
            leg.state = "unexplained"
            self._unsigned([paper.id, leg.step.record], [unit], leg.giver, leg.taker)
        elif refused:
            leg.state = "refused"
        else:
            leg.state = "accepted, never offered"
            if leg.start + self.policy.answer_within < self.at:
                self.find("one-sided-handoff", [paper.id], [unit])
        self.legs[unit].append(leg)

    def _unsaid(self, step: Step) -> None:
        """9.6 C."""
        owners = [self.owners.get(one or "", set()) for one in (step.giver, step.taker)]
        if len(owners[0]) == 1 and owners[0] == owners[1]:
            return
        offer, acceptance = self.facts.get(step.offer or ""), self.facts.get(step.acceptance or "")
        sides: list[str | None] = []
        for fact, owner in zip((offer, acceptance), owners):
            sides.append(fact.issuer if fact else next(iter(owner)) if len(owner) == 1 else None)
        leg = Leg(
            self.thing_of[step.unit],
            sides[0],
            sides[1],
            offer=offer,
            acceptance=acceptance,
            step=step,
            record=step.record,
        )
        leg.start = step.time
        paper = self.despatch_of.get(step.offer or "")
        leg.despatch = paper if paper is not None and paper.id == step.offer else None
        kinds = (offer.kind if offer else "", acceptance.kind if acceptance else "")
        if kinds == ("despatch", "receipt") and all(one and one.content is None for one in (offer, acceptance)):
            leg.state = "content withheld"
        else:
            leg.state = "unexplained"
            if offer is None and acceptance is None:
                self.find("unsigned-leg", leg.evidence, [leg.unit], weight="for-information")
            else:
                self._unsigned(leg.evidence, [leg.unit], leg.giver, leg.taker)
        self.legs[leg.unit].append(leg)

    # -- 9.8: the walk over a unit --

    def _walk_all(self) -> None:
        for paper in self.standing:
            if paper.kind in ("epcis-event", "gate-arrival", "opening"):
                for unit in paper.units:
                    self.sightings[unit].append((_time(paper), paper.id, paper.issuer))
        for unit in sorted({*self.legs, *self.sightings, *self.ends}):
            self.units[unit] = Unit(unit)
            if not has_no_custodian(unit):
                self._walk(self.units[unit])
            self.units[unit].within = self.parent_at(unit, self.at)

    def _legs_of(self, unit: str) -> list[Leg]:
        """The unit's own legs and those of what it was in when they started; own first, nearer before farther."""
        found = [(leg.order, 0, leg) for leg in self.legs.get(unit, ())]
        ring: list[tuple[str, int | None, int | None]] = [(unit, None, None)]
        depth = 0
        while ring:
            depth += 1
            further: list[tuple[str, int | None, int | None]] = []
            for thing_, start, end in ring:
                for stay in self.stays_of.get(thing_, ()):
                    since = stay.start if start is None else max(start, stay.start)
                    until = stay.end if end is None else end if stay.end is None else min(end, stay.end)
                    if until is not None and since >= until:
                        continue
                    further.append((stay.parent, since, until))
                    for leg in self.legs.get(stay.parent, ()):
                        if since <= leg.start and (until is None or leg.start < until):
                            carried = replace(leg, carried_in=stay.parent, own=leg)
                            found.append((leg.order, depth, carried))
            ring = further if depth < 100 else []
        found.sort(key=lambda one: (one[0], one[1]))
        return [leg for _, _, leg in found]

    def _linked(self, moved: list[Leg]) -> list[Leg]:
        waiting = list(moved)
        linked: list[Leg] = []
        while waiting:
            at = 0
            taker = linked[-1].taker if linked else None
            ahead = waiting[0]
            carriers = {carrier for _, carrier in ahead.agreed}
            if taker is not None and ahead.giver is not None and ahead.giver != taker and taker not in carriers:
                for number, leg in enumerate(waiting[1:8], 1):
                    if leg.giver == taker and leg.taker == ahead.giver:
                        if not (leg.step is not None and ahead.step is not None):
                            at = number
                        break
            linked.append(waiting.pop(at))
        return linked

    def _walk(self, unit: Unit) -> None:
        tolerance, key = self.policy.tolerance, unit.key
        unit.legs = legs = self._legs_of(key)
        sightings = sorted(self.sightings.get(key, ()))
        moved = self._linked([one for one in legs if one.has_moved])
        claims: set[str] = set()
        forked: set[str | None] = set()
        gave: dict[str, Leg] = {}
        holder: str | None = None

        def tell(kind: str, named: Sequence[Leg], evidence: Iterable[str]) -> None:
            if any(one.carried_in is None for one in named):
                self.find(kind, evidence, [key])

        for at, leg in enumerate(moved):
            before = moved[at - 1] if at else None
            giver = leg.giver
            if before is not None and holder is not None and holder in {carrier for _, carrier in leg.agreed}:
                claims.discard(holder)
            elif (
                before is not None
                and giver is not None
                and holder is not None
                and giver != holder
                and giver not in claims
            ):
                if giver in gave:
                    tell("fork", [gave[giver], leg], [*gave[giver].evidence, *leg.evidence])
                    forked |= {gave[giver].taker, leg.taker}
                else:
                    tell("gap", [before, leg], [*before.evidence, *leg.evidence])
            elif before is not None and before.received_at is not None and leg.despatched_at is not None:
                if leg.despatched_at < before.received_at - tolerance:
                    tell("time-reversal", [before, leg], [*before.evidence, *leg.evidence])
            if giver is not None:
                gave[giver] = leg
                claims.discard(giver)
            if leg.taker is not None:
                claims.add(leg.taker)
                gave.pop(leg.taker, None)
            holder = leg.taker

        first = moved[0] if moved else None
        early = [one for one in sightings if first is None or one[0] < first.start - tolerance]
        for one, other in zip(early, early[1:]):
            if one[2] != other[2] and (first is not None or all(other[2] != leg.taker for leg in legs)):
                self.find("gap", [one[1], other[1]], [key])
        if first is not None and early and first.giver is not None and early[-1][2] != first.giver:
            self.find("gap", [early[-1][1], *first.evidence], [key])
        if first is not None:
            self._in_whose_hands(unit, moved, sightings[len(early) :], forked, claims)

        takers = {(one.giver, one.taker) for one in moved}
        for leg in moved:
            if leg.carried_in is None and leg.despatch is not None:
                for giver_, taker_ in leg.despatch.legs:
                    if (giver_, taker_) not in takers:
                        self._unsigned(leg.papers, [key], giver_, taker_)
        self._contents(unit)
        end = min(self.ends.get(key, ()), default=None)
        if end is not None:
            unit.closed_at = end[0]
            for time, record, _ in sightings:
                if time > end[0] + tolerance and record != end[1]:
                    self.find("event-after-close", [end[1], record], [key])
            for leg in legs:
                if leg.carried_in is None and leg.step is None and leg.start > end[0] + tolerance:
                    self.find("event-after-close", [end[1], *leg.evidence], [key])
        by_chain = [one for one in moved if one.step is not None]
        if any(one.carried_in is None for one in by_chain):
            unit.custodian = by_chain[-1].taker
            self.by_chain.add(key)
        elif moved:
            unit.custodian = moved[-1].taker
        else:
            unit.custodian = next((one.giver for one in legs if one.giver is not None), None)
            if unit.custodian is None and sightings:
                unit.custodian = sightings[-1][2]
            if unit.custodian is not None:
                claims.add(unit.custodian)
        unit.claims = sorted(claims)

    def _in_whose_hands(
        self,
        unit: Unit,
        moved: list[Leg],
        sightings: Sequence[tuple[int, str, str]],
        forked: set[str | None],
        claims: set[str],
    ) -> None:
        """Sightings from the first moved leg on: by somebody who could have had it in hand, or double possession."""
        tolerance = self.policy.tolerance
        spans: list[tuple[int, int]] = []
        for at, leg in enumerate(moved):
            start = moved[at - 1].start if leg.despatched_at is None and at else leg.start
            if leg.received_at is not None:
                end = leg.received_at
            else:
                end = self.at if leg.state == "deemed accepted" else leg.start
            spans.append((start - tolerance, end + tolerance))
        waiting = [one for one in unit.legs if one.state in ("offered", "overdue", "refused", "missing")]
        for time, record, issuer in sightings:
            current = 0
            while current + 1 < len(moved) and spans[current + 1][0] <= time:
                current += 1
            allowed: set[str | None] = {moved[current].taker, *forked}
            for leg, (start, end) in zip(moved, spans):
                if start <= time <= end:
                    allowed |= {leg.giver, leg.taker}
                    if leg.despatch is not None:
                        allowed |= {one for pair in leg.despatch.legs for one in pair}
                        allowed |= {leg.despatch.carrier} if leg.despatch.carrier else set()
            allowed |= {one.taker for one in waiting if one.start - tolerance <= time}
            # Once its taker has said that it is not there, whoever has it in hand contradicts nobody.
            since = moved[current].missing_since
            if None not in allowed and issuer not in allowed and (since is None or time < since):
                self.find("double-possession", [record, *moved[current].evidence], [unit.key])
                claims.add(issuer)

    def _contents(self, unit: Unit) -> None:
        key = unit.key
        expected: dict[Amount, tuple[Fraction, Fraction]] | None = None
        source: list[str] = []
        before: int | None = None
        last_of = {one.despatch.id: one for one in self.legs.get(key, ()) if one.despatch and key in one.despatch.units}
        for leg in sorted(last_of.values(), key=lambda one: one.order):
            paper = leg.despatch
            assert paper is not None
            said, start = paper.contents.get(key), leg.start
            if not said:
                expected, before = None, start
                continue
            if expected is not None:
                for event in self.events:
                    if before is not None and before < _time(event) <= start and key in event.units:
                        expected = self._adjusted(key, event, expected)
                        if expected is None:
                            break
            contents: dict[Amount, Fraction] = defaultdict(Fraction)
            for line in said:
                contents[line.part, line.uom] += line.quantity or 0
            if expected is not None:
                for amount in {*expected, *contents}:
                    least, most = expected.get(amount, (Fraction(0), Fraction(0)))
                    slack = most * self.policy.share(amount[1])
                    if not least - slack <= contents.get(amount, Fraction(0)) <= most + slack:
                        self.find("quantity-not-conserved", [*source, paper.id], [key])
                        break
            expected = {amount: (quantity, quantity) for amount, quantity in contents.items()}
            source = [paper.id]
            if leg.has_moved:
                source = leg.papers
                for line in leg.lines:
                    if line.quantity is None or line.what == "wrong-part":
                        expected = None
                        break
                    least, most = expected.get((line.part, line.uom), (Fraction(0), Fraction(0)))
                    change = -line.quantity if line.what in ("short", "damaged") else line.quantity
                    spared = line.what == "damaged"
                    expected[line.part, line.uom] = (least + change, most if spared else most + change)
            before = start

    @staticmethod
    def _adjusted(
        key: str, paper: Paper, expected: dict[Amount, tuple[Fraction, Fraction]]
    ) -> dict[Amount, tuple[Fraction, Fraction]] | None:
        """What is expected in `key` after an event; None where it is no longer known."""
        event = paper.event
        if event["type"] == "ObjectEvent":
            return expected
        amounts, is_parent = event["child amounts"], event["parent"] == key
        if event["type"] == "TransformationEvent" or (is_parent and not amounts):
            return None
        if is_parent and event["action"] in ("ADD", "DELETE"):
            sign = 1 if event["action"] == "ADD" else -1
            expected = dict(expected)
            for amount, quantity in amounts.items():
                least, most = expected.get(amount, (Fraction(0), Fraction(0)))
                expected[amount] = (least + sign * quantity, most + sign * quantity)
        return expected

    # -- 9.9: explanations, records, trails --

    def _explain(self) -> None:
        stands_for = {**self.repeated, **self.corrected}

        def stood(record: str) -> str:
            seen = set()
            while record in stands_for and record not in seen:
                seen.add(record)
                record = stands_for[record]
            return record

        for paper in self.standing:
            if paper.kind != "explanation":
                continue
            kind, evidence = paper.finding
            finding = self.found.get((kind, tuple(evidence)))
            if finding is None:
                finding = self.found.get((kind, tuple(sorted({stood(one) for one in evidence}))))
            if finding is not None and self._may_explain(paper.issuer, finding):
                finding.explained_by = sorted({*finding.explained_by, paper.id})
        for finding in self.found.values():
            if finding.kind in ("fork", "double-possession") and not finding.explained_by:
                for key in finding.units:
                    if key in self.units:
                        self.units[key].contested = True
        for unit in self.units.values():
            if unit.contested and unit.key not in self.by_chain:
                unit.custodian = None
            unit.records = self._records(unit)

    def _may_explain(self, issuer: str, finding: CustodyFinding) -> bool:
        if any(self.facts[one].issuer == issuer for one in finding.evidence if one in self.facts):
            return True
        for key in finding.units:
            for leg in self.units[key].legs if key in self.units else ():
                named = set(leg.papers) & set(finding.evidence)
                if issuer in (leg.giver, leg.taker) and (leg.has_moved or named):
                    return True
        return False

    def _records(self, unit: Unit) -> set[str]:
        found = {
            fact.id
            for fact in self.facts.values()
            if (paper := self.papers.get(self.repeated.get(fact.id, fact.id))) is not None and unit.key in paper.units
        }
        for chain in self.generations.get(unit.key, ()):
            for step in self.steps_of[chain]:
                found.add(step.record)
                found |= {one for one in (step.offer, step.acceptance, step.reason) if one in self.facts}
        for paper_ in self.standing:
            if paper_.kind == "receipt" and unit.key in paper_.units and paper_.despatch in self.facts:
                found.add(paper_.despatch)
        for finding in self.found.values():
            if unit.key in finding.units:
                found |= set(finding.explained_by)
        return found

    def trail(self, things: Iterable[str]) -> tuple[list[str], list[CustodyFinding], str]:
        """The things and all that they were ever in, the findings about them, and the verdict."""
        units: set[str] = set()
        waiting = list(things)
        while waiting:
            key = waiting.pop()
            if key not in units:
                units.add(key)
                waiting += [one.parent for one in self.stays_of.get(key, ())]
        records = {one for key in units if key in self.units for one in self.units[key].records}
        streams = {self.facts[one].stream for one in records if one in self.facts}
        findings = [one for one in self.findings() if one.units & units or one.streams & streams]
        verdict = "whole"
        for one in findings:
            if one.weight == "breaks-the-record" or (one.weight == "needs-explaining" and not one.explained_by):
                verdict = "broken"
            elif one.weight == "needs-explaining" and verdict == "whole":
                verdict = "whole with reservations"
        return sorted(units), findings, verdict

    def findings(self) -> list[CustodyFinding]:
        return sorted(self.found.values(), key=lambda one: (one.kind, one.evidence))


def _time(paper: Paper) -> int:
    assert paper.time is not None
    return paper.time


def is_batch(key: str) -> bool:
    """Whether something may be in many places: an identifier that is not of a single thing."""
    found = identify(key)
    return found is not None and found.kind not in SINGLE


def has_no_custodian(key: str) -> bool:
    found = identify(key)
    return found is not None and found.kind in ("lgtin", "gtin", "part-batch")


# ======================================================================================================================
# Section 7. The trust file
# ======================================================================================================================


class Trust(NamedTuple):
    """What the reader believes beforehand."""

    origin: str
    log_key: NoteKey
    chain_id: int
    registry: bytes
    checkpoints: bytes
    custody: bytes
    validators: tuple[bytes, ...]
    attestor: bytes | None
    pinned: tuple[int, bytes] | None
    witnesses: tuple[NoteKey, ...]
    fingerprint: str

    @classmethod
    def parse(cls, data: bytes) -> Trust:
        value = read_json(data)
        reader = Reader(value, "the trust file")
        if reader.text("format") != "tallystick-trust/1":
            raise Malformed("the trust file is of another format than tallystick-trust/1")
        origin, log_key = reader.text("origin"), NoteKey.parse(reader.any("logKey"), "logKey")
        chain, contracts = reader.object("chain"), reader.object("contracts")
        chain.data("genesisHash", 32)
        addresses = []
        for name in ("MemberRegistry", "CheckpointRegistry", "CustodyLedger"):
            contract = contracts.object(name)
            addresses.append(contract.data("address", 20))
            contract.data("codeHash", 32)
            contract.end()
        pinned = None
        if reader.any("pinned") is not None:
            pin = reader.object("pinned")
            pinned = pin.integer("number"), pin.data("hash", 32)
            pin.end()
        attestor = reader.any("attestor")
        digits = hashlib.sha256(canonical(value)).hexdigest()
        found = cls(
            origin,
            log_key,
            chain.integer("chainId"),
            addresses[0],
            addresses[1],
            addresses[2],
            tuple(read_hex(one, "validators", 20) for one in reader.items("validators")),
            None if attestor is None else read_hex(attestor, "attestor", 20),
            pinned,
            tuple(NoteKey.parse(one, "witnesses") for one in reader.items("witnesses")),
            " ".join(digits[at : at + 4] for at in range(0, 64, 4)),
        )
        for one in (chain, contracts, reader):
            one.end()
        if log_key.name != origin or log_key.type != LOG_KEY:
            raise Malformed("logKey is no Ed25519 key with the name of the origin")
        if any(one.type != WITNESS_KEY for one in found.witnesses):
            raise Malformed("a key of witnesses is no key for cosignatures")
        for what in (found.validators, [one.name for one in found.witnesses], [one.key for one in found.witnesses]):
            if len(set(what)) != len(what):
                raise Malformed("the trust file names a validator or witness twice")
        return found


# ======================================================================================================================
# Section 8. Steps of custody, as the chain took them
# ======================================================================================================================

_OPEN = keccak(b"Open(address custodian,bytes32 commitment,uint64 deadline)")
_GIVE = keccak(b"Give(bytes32 unit,uint64 sequence,address from,address to,bytes32 offerDigest,uint64 deadline)")
_TAKE = keccak(
    b"Take(bytes32 unit,uint64 sequence,address from,address to,bytes32 offerDigest,bytes32 acceptanceDigest,"
    b"uint64 deadline)"
)
_CLOSE = keccak(b"Close(bytes32 unit,uint64 sequence,address custodian,bytes32 reasonDigest,uint64 deadline)")
_CERTIFIED = keccak(b"Certified(bytes32,address,uint64,bool,bytes32)")


@dataclass(frozen=True)
class TakenStep:
    """One step of a unit with what was signed, the block that took it and the unit's head after it."""

    type: str
    unit: bytes
    sequence: int
    giver: bytes
    """Who had it before: of an opening nobody, of a closing its custodian."""
    taker: bytes
    """Who has it then: of a closing nobody."""
    struct: bytes
    """The hash of Open, Take or Close, which goes into the head."""
    signed: tuple[tuple[bytes, bytes, bytes], ...]
    """(struct hash, who was to sign it, signature)."""
    offer: bytes
    acceptance: bytes
    reason: bytes
    deadline: int
    block: int
    time: int
    head: bytes

    @classmethod
    def parse(cls, reader: Reader) -> TakenStep:
        kind, deadline = reader.any("type"), reader.integer("deadline")
        unit = offer = acceptance = reason = giver = taker = b""
        sequence = 0
        signed: tuple[tuple[bytes, bytes, bytes], ...]
        if kind == "opening":
            taker, commitment = reader.data("custodian", 20), reader.data("commitment", 32)
            unit, struct = keccak(words(taker, commitment)), keccak(words(_OPEN, taker, commitment, deadline))
            signed = ((struct, taker, reader.data("signature", 65)),)
        elif kind == "handoff":
            unit, sequence = reader.data("unit", 32), reader.integer("sequence", 1)
            giver, taker = reader.data("from", 20), reader.data("to", 20)
            offer, acceptance = reader.data("offer", 32), reader.data("acceptance", 32)
            give = keccak(words(_GIVE, unit, sequence, giver, taker, offer, deadline))
            struct = keccak(words(_TAKE, unit, sequence, giver, taker, offer, acceptance, deadline))
            giver_signed = give, giver, reader.data("giverSignature", 65)
            signed = (giver_signed, (struct, taker, reader.data("takerSignature", 65)))
        elif kind == "closing":
            unit, sequence = reader.data("unit", 32), reader.integer("sequence", 1)
            giver, reason = reader.data("custodian", 20), reader.data("reason", 32)
            struct = keccak(words(_CLOSE, unit, sequence, giver, reason, deadline))
            signed = ((struct, giver, reader.data("signature", 65)),)
        else:
            raise Malformed(f"{reader.where}: a step is an opening, a handoff or a closing")
        block, time, head = reader.integer("block"), reader.integer("time"), reader.data("head", 32)
        reader.end()
        return cls(
            str(kind),
            unit,
            sequence,
            giver,
            taker,
            struct,
            signed,
            offer,
            acceptance,
            reason,
            deadline,
            block,
            time,
            head,
        )

    def as_step(self) -> Step:
        """The step as the fold sees it."""

        def text(value: bytes) -> str | None:
            return to_hex(value) if value else None

        giver, taker = text(self.giver), text(self.taker)
        offer, acceptance, reason = text(self.offer), text(self.acceptance), text(self.reason)
        return Step(to_hex(self.unit), self.sequence, giver, taker, offer, acceptance, reason, self.time * 1000)


class Standing(NamedTuple):
    """Where a unit stands: its custodian, the number of its last step, whether that closed it, and its head."""

    custodian: bytes
    sequence: int
    is_closed: bool
    head: bytes


NEVER_OPENED = Standing(bytes(20), 0, False, bytes(32))


def the_standing(logs: Iterable[Log], contract: bytes, unit: bytes) -> Standing:
    """What the one `Certified` of `unit` among the events of a transaction says."""
    found = [one for one in logs if one.address == contract and one.topics == (_CERTIFIED, unit)]
    if len(found) != 1:
        refuse(f"its transaction certifies unit {short(unit)} {len(found)} times, not once")
    custodian, sequence, is_closed, head = abi_words(found[0].data, 4)
    return Standing(abi_address(custodian), abi_uint(sequence, 64), bool(abi_uint(is_closed, 1)), head)


# ======================================================================================================================
# Section 6. The bundle, read
# ======================================================================================================================

SHOWN, DISCLOSED, ERASED, WITHHELD = "shown", "disclosed", "erased", "withheld"


@dataclass(frozen=True)
class Statement:
    """A statement with its place in the log, and as much of its content as the bundle gives."""

    header: Header
    signature: bytes
    registered_at: int
    index: int
    inclusion: tuple[bytes, ...]
    showing: str
    content: Json
    secret: bytes
    disclosed: tuple[Disclosed, ...]
    void: str | None

    @classmethod
    def parse(cls, reader: Reader) -> Statement:
        showing, content, secret = WITHHELD, None, b""
        disclosed: tuple[Disclosed, ...] = ()
        if reader.has("content") or reader.has("secret"):
            content, secret, showing = reader.any("content"), reader.data("secret", 32), SHOWN
            if not isinstance(content, dict):
                raise Malformed(f"{reader.where}: content must be an object")
        elif reader.has("disclosed"):
            disclosed = tuple(map(Disclosed.parse, reader.objects("disclosed")))
            showing = DISCLOSED if disclosed else WITHHELD
        elif reader.has("erasedAt"):
            reader.integer("erasedAt")
            showing = ERASED
        found = cls(
            Header.parse(reader.object("header")),
            reader.data("signature", 65),
            reader.integer("registeredAt"),
            reader.integer("index"),
            tuple(reader.hashes("inclusion")),
            showing,
            content,
            secret,
            disclosed,
            reader.text("void") if reader.has("void") else None,
        )
        reader.end()
        return found

    @property
    def name(self) -> str:
        return f"statement {self.header.sequence} of stream {short(self.header.stream)}"


def short(stream: bytes) -> str:
    return to_hex(stream)[:10] + "…"


@dataclass(frozen=True)
class Span:
    """Numbers of a stream that are all here."""

    stream: bytes
    first: int
    last: int

    @classmethod
    def parse(cls, reader: Reader) -> Span:
        found = cls(reader.data("stream", 32), reader.integer("first"), reader.integer("last"))
        reader.end()
        return found


@dataclass(frozen=True)
class Evidence:
    """A transaction on the chain: its block's header, its receipt, and who vouches for the block."""

    header: bytes
    receipt_index: int
    receipt_proof: tuple[bytes, ...]
    attestation: bytes | None

    @classmethod
    def parse(cls, reader: Reader) -> Evidence:
        proof = tuple(read_hex(one, f"{reader.where}: receiptProof") for one in reader.items("receiptProof"))
        attestation = None if reader.any("attestation") is None else reader.data("attestation", 65)
        reader.data("transaction", 32)
        return cls(reader.data("header"), reader.integer("receiptIndex"), proof, attestation)


@dataclass(frozen=True)
class Anchor:
    """A checkpoint on the chain."""

    size: int
    root: bytes
    consistency: tuple[bytes, ...]
    evidence: Evidence

    @classmethod
    def parse(cls, reader: Reader) -> Anchor:
        found = cls(
            reader.integer("size"),
            read_base64(reader.any("root"), f"{reader.where}: root", 32),
            tuple(reader.hashes("consistency")),
            Evidence.parse(reader),
        )
        reader.end()
        return found


class Certificate(NamedTuple):
    """A block in which the contract said where units stand."""

    units: tuple[bytes, ...]
    evidence: Evidence

    @classmethod
    def parse(cls, reader: Reader) -> Certificate:
        units = tuple(read_hex(one, f"{reader.where}: units", 32) for one in reader.items("units"))
        found = cls(units, Evidence.parse(reader))
        reader.end()
        return found


class CustodySection(NamedTuple):
    """What makes a bundle the record of some things."""

    things: tuple[str, ...]
    units: tuple[tuple[bytes, tuple[TakenStep, ...]], ...]
    certificates: tuple[Certificate, ...]

    @classmethod
    def parse(cls, reader: Reader) -> CustodySection:
        things = reader.items("things")
        for one in things:
            found_ = identify(one) if isinstance(one, str) else None
            if found_ is None or found_.key != one:
                raise Malformed(f"{reader.where}: things are named by their keys")
        if not things or things != sorted(set(things)):
            raise Malformed(f"{reader.where}: things are one or more, ascending, each once")
        units = []
        for unit in reader.objects("units"):
            units.append((unit.data("unit", 32), tuple(map(TakenStep.parse, unit.objects("steps")))))
            unit.end()
        found = cls(tuple(things), tuple(units), tuple(map(Certificate.parse, reader.objects("certificates"))))
        reader.end()
        return found


@dataclass(frozen=True)
class Bundle:
    """An audit bundle or a receipt, read and not judged."""

    is_receipt: bool
    head: Note
    statements: tuple[Statement, ...]
    streams: tuple[Span, ...]
    anchors: tuple[Anchor, ...]
    changes: tuple[Change, ...]
    headers: tuple[bytes, ...]
    custody: CustodySection | None

    @classmethod
    def parse(cls, data: bytes) -> Bundle:
        reader = Reader(read_json(data), "the bundle")
        format_ = reader.any("format")
        if format_ not in ("tallystick-bundle/1", "tallystick-receipt/1"):
            raise Malformed("expected a file of format tallystick-bundle/1 or tallystick-receipt/1")
        head = Note.parse(reader.text("head"))
        found = cls(
            format_ == "tallystick-receipt/1",
            head,
            tuple(map(Statement.parse, reader.objects("statements"))),
            tuple(map(Span.parse, reader.objects("streams"))),
            tuple(map(Anchor.parse, reader.objects("anchors"))),
            tuple(map(Change.parse, reader.objects("changes"))),
            tuple(read_hex(one, "headers") for one in reader.items("headers")),
            CustodySection.parse(reader.object("custody")) if reader.has("custody") else None,
        )
        if found.is_receipt and found.custody is not None:
            raise Malformed("a receipt has no record of custody")
        reader.end()
        return found


# ======================================================================================================================
# Section 6. The bundle, judged
# ======================================================================================================================

TOLERANCE_MS = 5 * 60 * 1000
MEANING = {
    "sealed": "a quorum of the chain's validators sealed every block",
    "witnessed": "members who watch the log and the list of keys for rewriting have cosigned the checkpoint; that the"
    " chain took it, and when, rests on the operator",
    "pinned": "the blocks lead to the block that your trust file pins",
    "attested": "only the operator vouches for the chain: compare checkpoints with other members",
}
DOES_NOT_PROVE = (
    "that the thing in the box was the thing on the label",
    "that nothing happened that nobody recorded",
    "anything after the block it is known at",
)


class Failure(NamedTuple):
    """A record that does not hold, and why."""

    record: str
    reason: str


class Finding(NamedTuple):
    """Something noticed about a record that breaks nothing."""

    record: str
    what: str


@dataclass(frozen=True)
class Proven:
    """An anchor that holds: what it says and when."""

    event: Anchored
    block: Block


@dataclass
class Verdict:
    """What a bundle that holds says, as known at a block."""

    strength: str
    block: Block
    checkpoint: Checkpoint
    statements: int
    void: int
    anchors: int
    members: int
    witnesses: list[str]
    streams: tuple[Span, ...]
    findings: list[Finding]
    custody: CustodyVerdict | None = None


class ChainUnit(NamedTuple):
    """Where a unit of the chain stands, as certified."""

    unit: bytes
    thing: str | None
    steps: int
    standing: Standing
    block: Block


@dataclass
class CustodyVerdict:
    """What a record of custody that is proven comes to."""

    answer: str
    things: tuple[str, ...]
    policy: str | None
    trail: list[str]
    findings: list[CustodyFinding]
    fold: Custody
    signers: dict[str, tuple[str, str]]
    chain: list[ChainUnit]
    untold: list[str]
    unseen: int


class Judge:
    """The steps of section 6, each failure kept with the record it is about."""

    def __init__(self, bundle: Bundle, trust: Trust, min_witnesses: int) -> None:
        self.bundle, self.trust, self.min_witnesses = bundle, trust, min_witnesses
        self.failures: list[Failure] = []
        self.findings: list[Finding] = []
        self.witnesses: list[str] = []
        self.checkpoint = Checkpoint("", 0, b"", None)
        self.registry = Registry()
        self.stated = 0
        self.proven: list[Proven] = []
        self.pinned_blocks: dict[bytes, int] = {}
        self.void = 0
        self.facts: list[Fact] = []
        self.signers: dict[str, tuple[str, str]] = {}
        self.standings: dict[bytes, tuple[Standing, Block]] = {}

    def verdict(self) -> Verdict | None:
        """None if anything failed."""
        head_holds = self._head()
        if not self._changes() or not head_holds or not self._registry_line():
            return None  # all else is proven under these
        self._headers()
        self._anchors()
        self._statements()
        self._streams()
        custody = None
        if self.bundle.custody is not None:
            self._certificates(self.bundle.custody)
            self._units(self.bundle.custody)
            if not self.failures:
                custody = self._record(self.bundle.custody)
        if self.failures:
            return None
        return Verdict(
            self._strength(),
            self.proven[-1].block,
            self.checkpoint,
            len(self.bundle.statements),
            self.void,
            len(self.bundle.anchors),
            self.registry.members(),
            self.witnesses,
            self.bundle.streams,
            self.findings,
            custody,
        )

    def holds(self, record: str, check: Callable[[], Any]) -> Any:
        """What `check` returns, or None once its failure is kept under the name of the record."""
        try:
            return check()
        except Refused as refused:
            self.failures.append(Failure(record, str(refused)))
            return None

    # -- step 1 --

    def _head(self) -> bool:
        def check() -> bool:
            self.checkpoint = Checkpoint.parse(self.bundle.head.text)
            if self.checkpoint.origin != self.trust.origin:
                refuse(f"it is of the log {self.checkpoint.origin!r}, your trust file is for {self.trust.origin!r}")
            if not self.bundle.head.by(self.trust.log_key):
                refuse(f"it has no signature by {self.trust.log_key.name}")
            return True

        head_holds = self.holds("head checkpoint", check)
        for key in self.trust.witnesses:
            if self.holds(f"witness {key.name}", partial(self.bundle.head.by, key)):
                self.witnesses.append(key.name)
        if len(self.witnesses) < self.min_witnesses:
            asked = f"{len(self.witnesses)} of the {self.min_witnesses} cosignatures you ask for are there"
            known = len(self.trust.witnesses)
            self.failures.append(Failure("witnesses", f"{asked} ({known} witnesses are in your trust file)"))
        return bool(head_holds)

    # -- step 2 --

    def _changes(self) -> bool:
        def check() -> bool:
            for change in self.bundle.changes:
                self.registry.fold(change)
            return True

        return bool(self.holds("membership and key changes", check))

    def _registry_line(self) -> bool:
        def check() -> bool:
            if self.checkpoint.registry is None:
                refuse("the head checkpoint does not say which registry it knew")
            self.stated, head = self.checkpoint.registry
            self._gives(self.stated, head)
            return True

        return bool(self.holds("membership and key changes", check))

    def _gives(self, count: int, head: bytes) -> None:
        """Refused unless the first `count` changes fold to `head`."""
        if count > self.registry.count:
            refuse(f"{count} changes are spoken of and only {self.registry.count} are here: the list is cut short")
        if self.registry.heads[count] != head:
            refuse(f"the first {count} do not give the head that was stated: one was altered, added or left out")

    def _covered(self) -> None:
        """Refused unless the newest anchor covers all the changes."""
        last = self.proven[-1].event if self.proven else None
        if last and last.size == self.checkpoint.size and last.registry_changes != self.registry.count:
            refuse(f"the newest anchor covers {last.registry_changes} of them, here are {self.registry.count}")

    # -- step 3 --

    def _headers(self) -> None:
        """The hashes of the blocks that lead to the pinned one."""
        if self.trust.pinned is None or not self.bundle.headers:
            return
        number, hash_ = self.trust.pinned

        def check() -> None:
            blocks: list[Block] = []
            for raw in self.bundle.headers:
                block = Block.parse(raw, bool(self.trust.validators))
                if blocks and (block.parent != blocks[-1].hash or block.number != blocks[-1].number + 1):
                    refuse(f"block {block.number} does not follow block {blocks[-1].number}")
                blocks.append(block)
                if block.number == number:
                    break
            if (blocks[-1].number, blocks[-1].hash) != (number, hash_):
                refuse("the headers of the bundle do not lead to it")
            self.pinned_blocks = {one.hash: one.number for one in blocks if one.number <= number}

        self.holds(f"pinned block {number}", check)

    def _vouched(self, evidence: Evidence) -> Block:
        """The block of `evidence`, if somebody whom the reader trusts vouches for it."""
        trust = self.trust
        block = Block.parse(evidence.header, bool(trust.validators))
        if trust.validators:
            sealed = {one for one in block.sealers() if one in trust.validators}
            needed = -(-2 * len(trust.validators) // 3)
            if len(sealed) < needed:
                refuse(
                    f"block {block.number} has the seals of {len(sealed)} validators;"
                    f" {len(trust.validators)} validators need {needed}"
                )
        elif trust.attestor is None:
            if not self._is_pinned(block):
                refuse(f"nothing vouches for block {block.number}")
        elif evidence.attestation is None:
            refuse(f"block {block.number} has no signature of the chain's attestor")
        elif recover(attestation_digest(block.hash, trust.chain_id), evidence.attestation) != trust.attestor:
            refuse(f"the attestation of block {block.number} does not lead to the attestor of your trust file")
        return block

    def _anchors(self) -> None:
        head = self.checkpoint

        def check(anchor: Anchor) -> Proven:
            block = self._vouched(anchor.evidence)
            logs = receipt_logs(block.receipts_root, anchor.evidence.receipt_index, anchor.evidence.receipt_proof)
            event = the_anchor(logs, self.trust.checkpoints, self.trust.origin)
            if (event.size, event.root) != (anchor.size, anchor.root):
                refuse(f"the chain anchored {event.size} statements, the bundle says otherwise")
            verify_consistency(anchor.size, head.size, anchor.root, head.root, anchor.consistency)
            self._gives(event.registry_changes, event.registry_head)
            return Proven(event, block)

        for anchor in self.bundle.anchors:
            proven = self.holds(f"anchor of {anchor.size} statements", partial(check, anchor))
            if proven is not None:
                self.proven.append(proven)
        for one, other in zip(self.proven, self.proven[1:]):
            if other.event.size <= one.event.size or other.block.number < one.block.number:
                record = f"anchor of {other.event.size} statements"
                self.failures.append(Failure(record, "anchors are not in the order in which the chain took them"))
        if not self.bundle.anchors:
            self.failures.append(Failure("anchors", "nothing here is anchored"))
        elif self.proven and self.proven[-1].event.size != head.size:
            self.failures.append(Failure("head checkpoint", "it has no anchor of its own"))
        self.holds("membership and key changes", self._covered)

    def _strength(self) -> str:
        if self.trust.validators:
            return "sealed"
        if self.witnesses:
            return "witnessed"
        if all(self._is_pinned(one.block) for one in self.proven):
            return "pinned"
        return "attested"

    def _is_pinned(self, block: Block) -> bool:
        return (block.number, block.hash) == self.trust.pinned or block.hash in self.pinned_blocks

    # -- step 4 --

    def _statements(self) -> None:
        if not self.bundle.statements:
            self.failures.append(Failure("statements", "there is none"))
        domain = typed_domain(self.trust.chain_id, self.trust.registry)
        for one in self.bundle.statements:
            self.holds(one.name, partial(self._statement, one, domain))

    def _statement(self, one: Statement, domain: bytes) -> None:
        if one.showing == SHOWN and content_root(one.content, one.secret) != one.header.content_root:
            refuse("its content was changed: it does not lead to the signed content root")
        if one.showing == DISCLOSED:
            verify_disclosed(one.disclosed, one.header.content_root)
        digest, head = one.header.digest(domain), self.checkpoint
        entry = digest + sha256(one.signature) + one.registered_at.to_bytes(8, "big")
        try:
            verify_inclusion(leaf_hash(entry), one.index, head.size, one.inclusion, head.root)
        except Refused as refused:
            refuse(f"it is not entry {one.index} of the log, or its signature is not the registered one: {refused}")
        anchor = self._anchor_of(one.index)
        block = anchor.block
        signer = recover(digest, one.signature)
        header, origin = one.header, self.trust.origin
        reason = self.registry.why_void(signer, header.issuer, header.kind, origin, block.number, self.stated)
        if one.void is not None and reason is None:
            refuse(f"it is declared void, and its key counted in block {block.number}")
        if one.void is None and reason is not None:
            refuse(f"it does not count: {reason}, in block {block.number}")
        if one.void != reason:
            refuse(f"it is declared void for {one.void!r}, the reason is {reason}")
        key = self.registry.keys[signer]
        self._notice(one, anchor, key)
        since, time = key.compromised_since, block.time
        self.signers[to_hex(digest)] = to_hex(one.header.issuer), to_hex(signer)
        self.facts.append(
            Fact(
                to_hex(digest),
                to_hex(one.header.issuer),
                one.header.kind,
                to_hex(one.header.stream),
                one.header.sequence,
                one.registered_at,
                time * 1000,
                one.content if one.showing == SHOWN else None,
                one.void is not None,
                since is not None and since <= time,
            )
        )

    def _anchor_of(self, index: int) -> Proven:
        for one in self.proven:
            if one.event.previous_size <= index < one.event.size:
                return one
        refuse(f"the anchor that first covered entry {index} of the log is missing")

    def _notice(self, one: Statement, anchor: Proven, key: Key) -> None:
        def finding(what: str) -> None:
            self.findings.append(Finding(one.name, what))

        if one.void is not None:
            self.void += 1
            finding(f"void: {one.void}: it keeps its number, counts for nothing and may be issued again")
        since, block = key.compromised_since, anchor.block
        if since is not None and since <= block.time:
            finding("disputed: its key is reported compromised since before it was anchored")
        if key.custodial:
            finding("signed with a custodial key: the operator keeps it for the member")
        if one.showing == WITHHELD:
            finding("content withheld: only its header was shown")
        if one.showing == ERASED:
            finding("content erased, so the operator says: its place and signature stand")
        earliest = anchor.event.previous_time * 1000 - TOLERANCE_MS
        if not earliest <= one.registered_at <= block.time * 1000 + TOLERANCE_MS:
            finding("its registration time is not between the anchor before and its own")

    # -- step 5 --

    def _streams(self) -> None:
        if self.bundle.is_receipt and (len(self.bundle.statements) != 1 or self.bundle.streams):
            self.failures.append(Failure("receipt", "a receipt is of one statement and says nothing of its stream"))
        numbers: dict[bytes, list[Statement]] = defaultdict(list)
        for one in self.bundle.statements:
            numbers[one.header.stream].append(one)
        spans: dict[bytes, list[Span]] = defaultdict(list)
        for span in self.bundle.streams:
            spans[span.stream].append(span)
        for stream in [*spans, *(one for one in numbers if one not in spans)]:
            self.holds(
                f"stream {short(stream)}",
                partial(self._stream, stream, numbers[stream], spans[stream]),
            )

    def _stream(self, stream: bytes, statements: Sequence[Statement], spans: Sequence[Span]) -> None:
        if len({one.header.issuer for one in statements}) > 1:
            refuse("it has statements of two issuers")
        here = sorted(one.header.sequence for one in statements)
        for one, other in zip(here, here[1:]):
            if one == other:
                refuse(f"number {one} comes twice")
        for span in spans:
            if not 0 < span.first <= span.last:
                refuse(f"{span.first} to {span.last} is no range")
        for before, after in zip(spans, spans[1:]):
            if after.first <= before.last:
                refuse("its spans are not in order")
        within = 0
        for span in spans:
            found = [one for one in here if span.first <= one <= span.last]
            within += len(found)
            if len(found) != span.last - span.first + 1:
                present = set(found)
                missing = next(n for n in range(span.first, span.last + 1) if n not in present)
                refuse(f"missing number {missing} of {span.first} to {span.last}")
        if within != len(here) and not self.bundle.is_receipt:
            refuse("the bundle does not say of all its numbers that they are here")
        for before, after in zip(spans, spans[1:]):
            if after.first > before.last + 1:
                first, last = before.last + 1, after.first - 1
                what = f"number {first} is" if first == last else f"numbers {first} to {last} are"
                self.findings.append(Finding(f"stream {short(stream)}", f"gap: {what} not in this bundle"))

    # -- steps 6 to 9: the chain's own record of each unit --

    def _certificates(self, custody: CustodySection) -> None:
        certified: frozenset[bytes] = frozenset()
        for number, certificate in enumerate(custody.certificates, 1):

            def check(certificate: Certificate = certificate, certified: frozenset[bytes] = certified) -> None:
                block = self._vouched(certificate.evidence)
                if self.proven and block.number < self.proven[-1].block.number:
                    refuse(f"it is of block {block.number}, before the newest anchor's: it could hide steps")
                evidence = certificate.evidence
                logs = receipt_logs(block.receipts_root, evidence.receipt_index, evidence.receipt_proof)
                if not certificate.units:
                    refuse("it is of no unit")
                for at, unit in enumerate(certificate.units):
                    if unit in certified or unit in certificate.units[:at]:
                        refuse(f"unit {short(unit)} is certified twice")
                    self.standings[unit] = the_standing(logs, self.trust.custody, unit), block

            self.holds(f"certificate {number}", check)
            certified |= frozenset(certificate.units)

    def _units(self, custody: CustodySection) -> None:
        domain = typed_domain(self.trust.chain_id, self.trust.custody)
        seen: set[bytes] = set()
        certified = {unit for certificate in custody.certificates for unit in certificate.units}
        for unit, steps in custody.units:
            if unit in seen:
                self.failures.append(Failure(f"unit {short(unit)}", "it comes twice"))
                continue
            seen.add(unit)
            if unit not in certified:
                self.failures.append(Failure(f"unit {short(unit)}", "no certificate here says where it stands"))
            standing: Standing | None = NEVER_OPENED
            for number, step in enumerate(steps):
                before = steps[number - 1] if number else None
                standing = self.holds(
                    f"step {number} of unit {short(unit)}",
                    partial(self._step, unit, number, step, before, standing, domain),
                )
                if standing is None:
                    break
            stood = self.standings.get(unit)
            if standing is not None and stood is not None and standing != stood[0]:
                reason = f"its steps lead elsewhere than to where it stood in block {stood[1].number}"
                self.failures.append(Failure(f"unit {short(unit)}", reason))
        for unit in sorted(certified):
            if unit not in seen:
                self.failures.append(Failure(f"unit {short(unit)}", "it is certified and its steps are not here"))

    def _step(
        self,
        unit: bytes,
        number: int,
        step: TakenStep,
        before: TakenStep | None,
        standing: Standing | None,
        domain: bytes,
    ) -> Standing:
        """Where the unit stands after a step that it could take."""
        assert standing is not None
        if step.sequence != number:
            refuse(f"step {number} is expected here: one is missing")
        if (step.type == "opening") != (number == 0):
            refuse("an opening is the first step, and no other is")
        if step.unit != unit:
            refuse(f"it is a step of unit {short(step.unit)}")
        if before is not None:
            if before.type == "closing":
                refuse("the unit was closed before")
            if step.giver != standing.custodian:
                refuse(f"{to_hex(step.giver)} did not have it: {to_hex(standing.custodian)} did")
            if step.block < before.block or step.time < before.time:
                refuse("its block is before that of the step before")
        if step.time > step.deadline:
            refuse("its deadline had passed")
        for struct, address, signature in step.signed:
            signer = recover(typed_digest(domain, struct), signature)
            if signer != address:
                refuse(f"{to_hex(address)} had to sign, {to_hex(signer)} did")
        head = keccak(words(standing.head, step.struct, step.block, step.time))
        if head != step.head:
            refuse("the heads do not fold to its own")
        return Standing(step.taker or step.giver, step.sequence, step.type == "closing", head)

    # -- steps 10 and 11: what the record comes to --

    def _record(self, custody: CustodySection) -> CustodyVerdict | None:
        at = self.proven[-1].block.time * 1000
        approved = [(change.time * 1000, to_hex(what)) for change, what in self.registry.approvals]
        policy_id, policy = policy_in_force(approved, self.facts, at)
        steps = [step.as_step() for _, taken in custody.units for step in taken]
        fold = Custody(self.facts, steps, policy, at, "anchored")
        trail, findings, answer = fold.trail(custody.things)
        here = {to_hex(unit) for unit, _ in custody.units}
        for paper in fold.papers.values():
            for key, chain in paper.chain.items():
                for named in (chain, paper.continues.get(chain)):
                    if key in trail and named is not None and named not in here:
                        reason = f"{paper.id} names it as a unit of {key}, and its steps are not here"
                        self.failures.append(Failure(f"unit {short(bytes.fromhex(named[2:]))}", reason))
        for span in self._first_spans():
            if span.first > 1:
                what = f"gap: it begins with number {span.first} here"
                self.findings.append(Finding(f"stream {short(span.stream)}", what))
        chain_units = []
        taken_of = dict(custody.units)
        for unit, (standing, block) in self.standings.items():
            thing_, taken = fold.thing_of.get(to_hex(unit)), taken_of[unit]
            if thing_ is None:
                self.findings.append(Finding(f"unit {short(unit)}", "no statement shown here says what it is"))
            chain_units.append(ChainUnit(unit, thing_, max(len(taken) - 1, 0), standing, block))
        self._unseen_policies(policy_id)
        untold = [one for one in custody.things if one not in fold.units]
        if untold and answer != "broken":
            answer = "cannot be told"
        unseen = sum(1 for one in self.bundle.statements if one.showing != SHOWN)
        return CustodyVerdict(
            answer, custody.things, policy_id, trail, findings, fold, self.signers, chain_units, untold, unseen
        )

    def _first_spans(self) -> list[Span]:
        first: dict[bytes, Span] = {}
        for span in self.bundle.streams:
            first.setdefault(span.stream, span)
        return list(first.values())

    def _unseen_policies(self, in_force: str | None) -> None:
        """What the members approved since the policy in force and nobody here shows: it could be a policy."""
        shown = {one.id for one in self.facts if one.kind == "custody-policy" and one.content is not None}
        since = max((change.block for change, what in self.registry.approvals if to_hex(what) == in_force), default=0)
        for change, what in self.registry.approvals:
            if change.block >= since and to_hex(what) not in shown:
                said = (
                    f"the members approved {to_hex(what)}, which is not shown here: if it is a policy of custody, the"
                    " record was to be judged by it"
                )
                self.findings.append(Finding(f"membership change {change.index}", said))


# ======================================================================================================================
# What is said of it
# ======================================================================================================================


def as_json(verdict: Verdict) -> Json:
    found = {
        "verdict": "holds",
        "strength": verdict.strength,
        "meaning": MEANING[verdict.strength],
        "knownAt": {"block": verdict.block.number, "time": instant(verdict.block.time)},
        "head": {
            "origin": verdict.checkpoint.origin,
            "size": verdict.checkpoint.size,
            "root": to_hex(verdict.checkpoint.root),
        },
        "statements": verdict.statements,
        "void": verdict.void,
        "anchors": verdict.anchors,
        "members": verdict.members,
        "witnesses": verdict.witnesses,
        "streams": [{"stream": to_hex(one.stream), "first": one.first, "last": one.last} for one in verdict.streams],
        "findings": [{"record": one.record, "what": one.what} for one in verdict.findings],
        "doesNotProve": list(does_not_prove(verdict)),
    }
    if verdict.custody is not None:
        found["custody"] = custody_json(verdict.custody)
    return found


def does_not_prove(verdict: Verdict) -> tuple[str, ...]:
    return DOES_NOT_PROVE + (NOR_CUSTODY if verdict.custody is not None else ())


def custody_json(custody: CustodyVerdict) -> Json:
    units = [custody.fold.units[key] for key in custody.trail if key in custody.fold.units]
    records = sorted({record for unit in units for record in unit.records})
    return {
        "answer": custody.answer,
        "things": list(custody.things),
        "policy": custody.policy,
        "findings": [
            {
                "id": one.id,
                "finding": one.kind,
                "weight": one.weight,
                "what": WHAT[one.kind],
                "evidence": list(one.evidence),
                "units": sorted(one.units),
                "explainedBy": one.explained_by,
            }
            for one in custody.findings
        ],
        "units": [
            {
                "id": unit.key,
                "custodian": unit.custodian,
                "claims": unit.claims,
                "contested": unit.contested,
                "closedAt": unit.closed_at,
                "within": unit.within,
                "legs": [leg_json(leg) for leg in unit.legs],
            }
            for unit in units
        ],
        "clocks": {record: clocks_of(custody.fold, record) for record in records},
        "signers": {
            record: {"member": custody.signers[record][0], "key": custody.signers[record][1]}
            for record in records
            if record in custody.signers
        },
        "chain": [
            {
                "unit": to_hex(one.unit),
                "thing": one.thing,
                "steps": one.steps,
                "custodian": to_hex(one.standing.custodian),
                "closed": one.standing.is_closed,
                "certifiedAt": {"block": one.block.number, "time": one.block.time * 1000},
            }
            for one in custody.chain
        ],
        "untold": custody.untold,
        "unseen": custody.unseen,
    }


def leg_json(leg: Leg) -> Json:
    return {
        "giver": leg.giver,
        "taker": leg.taker,
        "state": leg.state,
        "offer": leg.offer.id if leg.offer else None,
        "acceptance": leg.acceptance.id if leg.acceptance else None,
        "step": leg.step.record if leg.step else None,
        "despatchedAt": leg.despatched_at,
        "receivedAt": leg.received_at,
        "carriedIn": leg.carried_in,
    }


def clocks_of(fold: Custody, record: str) -> Json:
    """When something happened as its issuer states, when it was registered, and when it was anchored; in ms."""
    if "#" in record:
        unit, number = record.split("#")
        time = fold.steps[unit, int(number)].time
        return {"stated": None, "registered": time, "anchored": time}
    fact = fold.facts[record]
    stated = next((one.time for one in fold.standing if one.id == record), None)
    return {"stated": stated, "registered": fact.registered_at, "anchored": fact.anchored_at}


WHAT = {
    "gap": "handed on by one to whom nobody had handed it, or a step of the chain is missing",
    "fork": "one custodian handed it to two, or it was opened twice on the chain",
    "double-possession": "a second member had it in hand while it was another's",
    "time-reversal": "received before it was despatched, or handed on before it was received",
    "quantity-not-conserved": "what was received, handed on or taken out is not what was there",
    "unsigned-leg": "an agreed leg has no handoff, or a step is not explained by statements",
    "one-sided-handoff": "only one side spoke, and the date is over",
    "key-compromised": "signed by a key that is reported compromised since before the anchor",
    "event-after-close": "seen, handed on or opened after its end",
    "reopened-after-key-loss": "custody goes on under a new unit of the chain",
    "conflicting-event": "one thing is said in two ways",
    "stream-hole": "a number of the stream never came",
    "stream-fork": "a number of the stream was given twice",
    "late-registration": "registered later than the policy allows after it happened",
    "packed-twice": "packed into two parents",
    "packing-cycle": "packed into what lies in it",
}
NOR_CUSTODY = (
    "that a stream ends where it ends here: a later number may have come since",
    "what was said in statements of which only the header is shown",
)


def instant(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s after 1970"


def lines_of(verdict: Verdict) -> list[str]:
    one = verdict.statements == 1
    void = f"; {verdict.void} void, which the findings name" if verdict.void else ""
    origin, size = verdict.checkpoint.origin, verdict.checkpoint.size
    anchors = f"{verdict.anchors} anchor{'' if verdict.anchors == 1 else 's'} checked"
    said = [] if verdict.custody is None else [*custody_lines(verdict.custody), ""]
    many = f"{verdict.statements} statement{'' if one else 's'}, {'' if one else 'each '}"
    said += [
        f"It holds: {many}signed, logged and anchored{void}.",
        f"strength        {verdict.strength}: {MEANING[verdict.strength]}",
        f"as known at     block {verdict.block.number}, {instant(verdict.block.time)}",
        f"log             {origin}, {size} statements, {anchors}",
        f"witnesses       {', '.join(verdict.witnesses) or 'none of your trust file'}",
    ]
    for span in verdict.streams:
        said.append(f"stream          {to_hex(span.stream)[:14]}…, numbers {span.first} to {span.last}, none missing")
    for what in dict.fromkeys(finding.what for finding in verdict.findings):
        records = ", ".join(finding.record for finding in verdict.findings if finding.what == what)
        said.append(f"finding         {what} ({records})")
    if not verdict.findings:
        said.append("findings        none")
    return said + [f"does not prove  {one}" for one in does_not_prove(verdict)]


def custody_lines(custody: CustodyVerdict) -> list[str]:
    """Findings first, then the answer, then who had what."""
    said = [f"{len(custody.findings) or 'no'} finding{'' if len(custody.findings) == 1 else 's'} about the record"]
    for finding in custody.findings:
        explained = ", explained" if finding.explained_by else ""
        weight = finding.weight.replace("-", " ")
        said.append(f"  {finding.kind.replace('-', ' ')} ({weight}{explained}): {WHAT[finding.kind]}")
        said += [f"      about        {unit}" for unit in sorted(finding.units)]
        said += [f"      shown by     {record}" for record in finding.evidence]
        said += [f"      explained by {record}" for record in finding.explained_by]
    if custody.answer == "cannot be told":
        said += ["", "It cannot be told.", *(f"Nothing shown here tells of {one}." for one in custody.untold)]
    else:
        said += ["", f"The record is {custody.answer}."]
    by = f"the policy {custody.policy}, voted in force" if custody.policy else "the rules without a policy"
    said.append(f"Judged by {by}, as known at {instant(custody.fold.at // 1000)}.")
    if custody.unseen:
        said.append(f"{custody.unseen} statements are shown by header alone or in part: what they say is not judged.")
    for key in custody.trail:
        unit = custody.fold.units.get(key)
        if unit is None:
            continue
        said += ["", key, f"  held by {unit.custodian or 'nobody who could be told'}"]
        if unit.contested:
            said.append(f"  contested between {', '.join(unit.claims)}")
        if unit.closed_at is not None:
            said.append(f"  ended {instant(unit.closed_at // 1000)}")
        for leg in unit.legs:
            carried = f", carried in {leg.carried_in}" if leg.carried_in else ""
            said.append(f"  {leg.giver or 'unknown'} to {leg.taker or 'unknown'}: {leg.state}{carried}")
    return said


def printable(text: str) -> str:
    """`text` without what would move a terminal's cursor or colour it."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


def read_file(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    with open(path, "rb") as file:
        return file.read()


def main(arguments: Sequence[str] | None = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    parser = argparse.ArgumentParser(
        prog="tallystick-verify", description="Check an audit bundle or a receipt offline."
    )
    parser.add_argument("bundle", help="an audit bundle or a receipt; - reads it from standard input")
    parser.add_argument("--trust", default="trust.json", help="the trust file of the ledger it comes from")
    parser.add_argument("--min-witnesses", type=int, default=0, metavar="K", help="ask for as many cosignatures")
    parser.add_argument("--json", action="store_true", help="answer with JSON")
    asked = parser.parse_args(arguments)
    if asked.min_witnesses < 0:
        parser.error("--min-witnesses counts from 0")
    try:
        trust = Trust.parse(read_file(asked.trust))
        data = read_file(asked.bundle)
    except OSError as error:
        parser.error(printable(f"{error.filename}: {error.strerror}"))
    except Malformed as error:
        parser.error(printable(f"{asked.trust} is not a trust file: {error}"))
    try:
        judge = Judge(Bundle.parse(data), trust, asked.min_witnesses)
        verdict, failures = judge.verdict(), judge.failures
    except Refused as error:
        verdict, failures = None, [Failure(f"file {asked.bundle}", str(error))]
    if asked.json:
        refused = {"verdict": "refused", "failures": [failure._asdict() for failure in failures]}
        print(json.dumps(as_json(verdict) if verdict else refused, indent=2, ensure_ascii=False))
    elif verdict:
        print("\n".join(map(printable, lines_of(verdict))))
    else:
        print(printable(f"tallystick-verify: {asked.bundle} does not hold"), file=sys.stderr)
        for failure in failures:
            print("  " + printable(f"{failure.record}: {failure.reason}"), file=sys.stderr)
    if verdict is None:
        return 1
    return 3 if verdict.custody is not None and verdict.custody.answer in ("broken", "cannot be told") else 0


if __name__ == "__main__":
    sys.exit(main())
