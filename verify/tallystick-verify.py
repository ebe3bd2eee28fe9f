#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Check a Tallystick audit bundle or receipt with nothing but Python.

    python3 tallystick-verify.py bundle.json --trust trust.json [--min-witnesses K] [--json]

Exit 0: it holds. 1: it does not, and each record that fails is named with the reason. 2: the question was wrong.

This is the second verifier. It was written from docs/formats.md, whose section numbers stand at the head of each part
below, and from the standards that the page cites; it shares no line with `tallystick verify`, and a test holds the two
to the same verdict. It needs Python 3.9 or later and its standard library, asks nothing of the network, looks at no
clock and writes nothing. Every byte of it can be read before it is believed: nothing else has to be.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import re
import sys
from base64 import b64decode, b64encode
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, NoReturn, Optional, Sequence, Tuple

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


def _object(pairs: List[Tuple[str, Json]]) -> Dict[str, Json]:
    found: Dict[str, Json] = {}
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
        self.value: Dict[str, Json] = value
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
        return self._typed(name, str, "text")

    def items(self, name: str) -> List[Json]:
        return self._typed(name, list, "a list")

    def integer(self, name: str, least: int = 0) -> int:
        value = self.any(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise Malformed(f"{self.where}: {name} must be an integer from {least} on")
        return value

    def bytes(self, name: str, length: Optional[int] = None) -> bytes:
        return read_hex(self.any(name), f"{self.where}: {name}", length)

    def object(self, name: str) -> Reader:
        return Reader(self.any(name), f"{self.where}/{name}")

    def objects(self, name: str) -> List[Reader]:
        return [Reader(item, f"{self.where}/{name}/{at}") for at, item in enumerate(self.items(name))]

    def hashes(self, name: str) -> List[bytes]:
        return [read_base64(item, f"{self.where}: {name}", 32) for item in self.items(name)]

    def end(self) -> None:
        strange = sorted(set(self.value) - self._asked)
        if strange:
            raise Malformed(f"{self.where}: nothing is known of {', '.join(strange)[:200]}")

    def _typed(self, name: str, kind: type, called: str) -> Any:
        value = self.any(name)
        if not isinstance(value, kind):
            raise Malformed(f"{self.where}: {name} must be {called}")
        return value


_HEX = re.compile(r"0x(?:[0-9a-f]{2})*\Z")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z")


def read_hex(value: Json, where: str, length: Optional[int] = None) -> bytes:
    if not isinstance(value, str) or not _HEX.match(value):
        raise Malformed(f"{where} must be 0x and lower-case hexadecimal digits, two for each byte")
    found = bytes.fromhex(value[2:])
    if length is not None and len(found) != length:
        raise Malformed(f"{where} must have {length} bytes, it has {len(found)}")
    return found


def read_base64(value: Json, where: str, length: Optional[int] = None) -> bytes:
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


def _steps_of_rho_and_pi() -> Tuple[Tuple[int, int, int], ...]:
    """Where each lane comes from and how far it is turned: (source, left, right) in the order of the targets."""
    found = {0: (0, 0, 64)}
    x, y = 1, 0
    for t in range(24):
        turn = (t + 1) * (t + 2) // 2 % 64
        found[y + 5 * ((2 * x + 3 * y) % 5)] = (x + 5 * y, turn, 64 - turn)
        x, y = y, (2 * x + 3 * y) % 5
    return tuple(found[at] for at in range(25))


_RHO_PI = _steps_of_rho_and_pi()


def _permute(a: List[int]) -> List[int]:
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
    """
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
Affine = Tuple[int, int]
Jacobian = Tuple[int, int, int]
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


def _affine(points: Sequence[Jacobian]) -> List[Affine]:
    """Points other than infinity, with one inversion for all of them (Montgomery's trick)."""
    products = [1]
    for _, _, z in points:
        products.append(products[-1] * z % P)
    inverse = pow(products[-1], -1, P)
    found: List[Affine] = []
    for (x, y, z), before in zip(reversed(points), reversed(products[:-1])):
        one = inverse * before % P
        inverse = inverse * z % P
        square = one * one % P
        found.append((x * square % P, y * square * one % P))
    return found[::-1]


_WINDOW = 5
_base: List[List[Affine]] = []


def _base_table() -> List[List[Affine]]:
    """For each window of the scalar, the multiples 1 to 31 of 32^window times G; made at the first use."""
    if not _base:
        points: List[Jacobian] = []
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


def _digits(scalar: int) -> List[int]:
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
    odd: List[Jacobian] = [(*point, 1)]
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
Extended = Tuple[int, int, int, int]
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


def _edwards_point(data: bytes) -> Optional[Extended]:
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
    name: str
    key_id: bytes
    signature: bytes


class Note(NamedTuple):
    """A C2SP signed note: a text of lines, and who signed it."""

    text: str
    signatures: Tuple[NoteSignature, ...]

    @classmethod
    def parse(cls, note: str) -> Note:
        if any(letter < " " and letter != "\n" for letter in note):
            raise Malformed("head: a control character in a signed note")
        at = note.rfind("\n\n")
        if at < 0 or not note.endswith("\n"):
            raise Malformed("head: a signed note is a text, an empty line and signatures")
        lines = note[at + 2 : -1].split("\n")
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
    registry: Optional[Tuple[int, bytes]]

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
_KIND = re.compile(r"[a-z]+(?:-[a-z]+)*\Z")


def words(*values: Any) -> bytes:
    """abi.encode of integers, addresses and 32-byte words: 32 bytes each."""
    return b"".join(
        value.to_bytes(32, "big") if isinstance(value, int) else value.rjust(32, b"\0") for value in values
    )


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
            reader.bytes("issuer", 32),
            kind,
            reader.bytes("stream", 32),
            reader.integer("sequence", 1),
            reader.integer("issuedAt", 1),
            reader.bytes("contentRoot", 32),
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


def fields_of(content: Json) -> List[Tuple[str, Json]]:
    """The scalars and empty containers of `content` with their RFC 6901 pointers, in the order of the pointers."""
    found: List[Tuple[str, Json]] = []
    waiting: List[Tuple[str, Json]] = [("", content)]
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


def check_content(content: Json, where: str) -> None:
    """Malformed unless `content` may be the content of a statement, whatever its kind."""
    if not isinstance(content, dict):
        raise Malformed(f"{where} must be an object")
    if levels_of(content) > 24:
        raise Malformed(f"{where} is nested more than 24 levels deep")
    waiting: List[Json] = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for name in value:
                if name.isdigit():
                    raise Malformed(f"{where}: key {name!r} consists of digits alone")
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def field_leaf(path: str, value: Json, salt: bytes) -> bytes:
    return sha256(b"\x00", salt, canonical([path, value]))


def content_root(content: Json, secret: bytes) -> bytes:
    found = fields_of(content)
    if len(found) > MAX_FIELDS:
        refuse(f"its content has {len(found)} fields, more than {MAX_FIELDS}")
    return tree_root(
        [field_leaf(path, value, hmac.new(secret, path.encode(), hashlib.sha256).digest()) for path, value in found]
    )


class Disclosed(NamedTuple):
    """One field with its proof."""

    path: str
    value: Json
    salt: bytes
    index: int
    fields: int
    proof: Tuple[bytes, ...]

    @classmethod
    def parse(cls, reader: Reader) -> Disclosed:
        value = reader.any("value")
        if isinstance(value, (dict, list)) and value:
            raise Malformed(f"{reader.where}: a field is a scalar or an empty container")
        found = cls(
            reader.text("path"),
            value,
            reader.bytes("salt", 32),
            reader.integer("index"),
            reader.integer("fields", 1),
            tuple(read_hex(one, f"{reader.where}: proof", 32) for one in reader.items("proof")),
        )
        reader.end()
        return found


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


def _rlp_item(data: bytes, at: int, depth: int) -> Tuple[Rlp, int]:
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
    items: List[Rlp] = []
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
    if not isinstance(item, bytes) or len(item) > 8 or item[:1] == b"\0":
        raise Malformed(f"{where} is no integer of 64 bits")
    return int.from_bytes(item, "big")


def write_integer(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


@dataclass(frozen=True)
class Block:
    """What a block header says that is used here; on a QBFT chain its hash leaves the seals and the round out."""

    hash: bytes
    parent: bytes
    receipts_root: bytes
    number: int
    time: int
    fields: Tuple[Rlp, ...]

    @classmethod
    def parse(cls, raw: bytes, qbft: bool) -> Block:
        fields = read_rlp(raw)
        if not isinstance(fields, list) or len(fields) < 15 or not all(isinstance(one, bytes) for one in fields):
            raise Malformed("no block header")
        if len(fields[0]) != 32 or len(fields[5]) != 32:
            raise Malformed("no block header: its roots have 32 bytes")
        number, time = rlp_integer(fields[8], "a block's number"), rlp_integer(fields[11], "a block's time")
        hashed = raw
        if qbft:
            vanity, validators, votes, _, _ = _qbft_extra(fields[12])
            hashed = write_rlp([*fields[:12], write_rlp([vanity, validators, votes, b"", []]), *fields[13:]])
        return cls(keccak(hashed), fields[0], fields[5], number, time, tuple(fields))

    def sealers(self) -> List[bytes]:
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


def _qbft_extra(data: bytes) -> List[Rlp]:
    extra = read_rlp(data)
    if not isinstance(extra, list) or len(extra) != 5 or not isinstance(extra[1], list) or not isinstance(extra[4], list):
        raise Malformed("no QBFT extra data: vanity, validators, vote, round and seals")
    return extra


class Log(NamedTuple):
    """An event that a contract emitted."""

    address: bytes
    topics: Tuple[bytes, ...]
    data: bytes


def receipt_logs(root: bytes, index: int, proof: Sequence[bytes]) -> List[Log]:
    """The events of the receipt that `proof` shows at `index` of the trie under `root`; Refused if it failed."""
    raw = _trie_value(root, write_rlp(write_integer(index)), proof)
    if raw[:1] and raw[0] < 0x80:
        raw = raw[1:]  # EIP-2718: the type of the transaction
    receipt = read_rlp(raw)
    if not isinstance(receipt, list) or len(receipt) != 4 or not isinstance(receipt[3], list):
        raise Malformed("no receipt: status, gas, bloom and logs")
    if receipt[0] != b"\x01":
        refuse("the transaction failed")
    logs = []
    for one in receipt[3]:
        if not isinstance(one, list) or len(one) != 3 or not isinstance(one[1], list):
            raise Malformed("no log: address, topics and data")
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


def abi_words(data: bytes, count: int) -> List[bytes]:
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

EVENTS = 1
CHANGE_SHAPES: Dict[int, str] = {
    1: "wawf", 2: "w", 3: "w", 4: "w", 5: "wa8f", 6: "wa6", 7: "wa6", 8: "waw", 9: "a", 10: "a", 11: "wa", 12: "22",
    13: "w",
}  # fmt: skip
"""Per kind of change its words: w 32 bytes, a address, f flag, and 8, 6, 2 for uint8, uint64 and uint16."""


class Change(NamedTuple):
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
            reader.bytes("data"),
        )
        reader.end()
        return found

    def values(self) -> List[Any]:
        shape = CHANGE_SHAPES.get(self.kind)
        if shape is None:
            refuse(f"change {self.index} is of a kind that does not exist: {self.kind}")
        found: List[Any] = []
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
    retired: Optional[int] = None
    revoked: Optional[int] = None
    compromised_since: Optional[int] = None


@dataclass
class Registry:
    """Members and keys after all changes, with the block of each; and the running head after each change."""

    heads: List[bytes] = field(default_factory=lambda: [bytes(32)])
    keys: Dict[bytes, Key] = field(default_factory=dict)
    standing: Dict[bytes, List[Tuple[int, bool]]] = field(default_factory=lambda: defaultdict(list))
    approvals: List[Tuple[Change, bytes]] = field(default_factory=list)
    block: int = 0
    time: int = 0

    def fold(self, change: Change) -> None:
        if change.index != len(self.heads):
            refuse(f"change {len(self.heads)} is expected where {change.index} stands: one is missing")
        if change.block < self.block or change.time < self.time:
            refuse(f"change {change.index} is of an earlier block than the one before it")
        self.block, self.time = change.block, change.time
        values = change.values()
        if change.kind in (2, 3, 4, 5, 6, 7, 8) and values[0] not in self.standing:
            refuse(f"change {change.index} is about a member who was never admitted")
        payload = words(change.index, change.block, change.time, change.kind, 160, len(change.data))
        padded = change.data + bytes(-len(change.data) % 32)
        self.heads.append(keccak(self.heads[-1], payload, padded))
        if change.kind == 1:
            self.standing[values[0]].append((change.block, True))
        elif change.kind in (2, 3, 4):
            self.standing[values[0]].append((change.block, change.kind == 3))
        elif change.kind == 5:
            member, address, purposes, custodial = values
            self.keys[address] = Key(member, purposes, bool(custodial), change.index, change.block)
        elif change.kind in (6, 7):
            _, address, when = values
            key = self.keys.get(address)
            if key is None:
                refuse(f"change {change.index} ends a key that was never added")
            if change.kind == 6:
                key.retired = when
            else:
                key.revoked, key.compromised_since = change.block, when
        elif change.kind == 13:
            self.approvals.append((change, values[0]))

    @property
    def count(self) -> int:
        return len(self.heads) - 1

    def is_active(self, member: bytes, block: int) -> bool:
        """Whether `member` was admitted and neither suspended nor expelled when `block` ended."""
        found = False
        for when, active in self.standing.get(member, ()):
            if when <= block:
                found = active
        return found

    def members(self) -> int:
        return sum(1 for one in self.standing.values() if one[-1][1])

    def why_void(self, signer: bytes, issuer: bytes, block: int, stated: int) -> Optional[str]:
        """None if a statement of `issuer` signed by `signer` counts in `block`, else why it is void.

        Refused where it never could: no such key among the first `stated` changes, another member's, without purpose.
        """
        key = self.keys.get(signer)
        if key is None or key.added > block:
            refuse(f"its signer {to_hex(signer)} was no key of this network in block {block}")
        if key.index > stated:
            refuse(f"its signer {to_hex(signer)} is not in the registry that the head checkpoint states")
        if key.member != issuer:
            refuse(f"its signer {to_hex(signer)} is a key of another member")
        if not key.purposes & EVENTS:
            refuse(f"its signer {to_hex(signer)} is no key for statements")
        if key.revoked is not None and key.revoked <= block:
            return "key revoked before anchor"
        if key.retired is not None and key.retired <= block:
            return "key retired before anchor"
        if not self.is_active(issuer, block):
            return "member not active at anchor"
        return None


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
    validators: Tuple[bytes, ...]
    attestor: Optional[bytes]
    pinned: Optional[Tuple[int, bytes]]
    witnesses: Tuple[NoteKey, ...]
    fingerprint: str

    @classmethod
    def parse(cls, data: bytes) -> Trust:
        value = read_json(data)
        reader = Reader(value, "the trust file")
        if reader.text("format") != "tallystick-trust/1":
            raise Malformed("the trust file is of another format than tallystick-trust/1")
        origin, log_key = reader.text("origin"), NoteKey.parse(reader.any("logKey"), "logKey")
        chain, contracts = reader.object("chain"), reader.object("contracts")
        chain.bytes("genesisHash", 32)
        addresses = []
        for name in ("MemberRegistry", "CheckpointRegistry", "CustodyLedger"):
            contract = contracts.object(name)
            addresses.append(contract.bytes("address", 20))
            contract.bytes("codeHash", 32)
            contract.end()
        pinned = None
        if reader.any("pinned") is not None:
            pin = reader.object("pinned")
            pinned = pin.integer("number"), pin.bytes("hash", 32)
            pin.end()
        attestor = reader.any("attestor")
        digits = hashlib.sha256(canonical(value)).hexdigest()
        found = cls(
            origin,
            log_key,
            chain.integer("chainId", 1),
            *addresses,
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
    inclusion: Tuple[bytes, ...]
    showing: str
    content: Json
    secret: bytes
    disclosed: Tuple[Disclosed, ...]
    void: Optional[str]

    @classmethod
    def parse(cls, reader: Reader) -> Statement:
        showing, content, secret = WITHHELD, None, b""
        disclosed: Tuple[Disclosed, ...] = ()
        if reader.has("content") or reader.has("secret"):
            content, secret, showing = reader.any("content"), reader.bytes("secret", 32), SHOWN
            check_content(content, f"{reader.where}/content")
        elif reader.has("disclosed"):
            disclosed, showing = tuple(map(Disclosed.parse, reader.objects("disclosed"))), DISCLOSED
            if not disclosed:
                raise Malformed(f"{reader.where}: disclosed names no field")
        elif reader.has("erasedAt"):
            reader.integer("erasedAt")
            showing = ERASED
        found = cls(
            Header.parse(reader.object("header")),
            reader.bytes("signature", 65),
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
        found = cls(reader.bytes("stream", 32), reader.integer("first"), reader.integer("last"))
        reader.end()
        return found


@dataclass(frozen=True)
class Evidence:
    """A transaction on the chain: its block's header, its receipt, and who vouches for the block."""

    header: bytes
    receipt_index: int
    receipt_proof: Tuple[bytes, ...]
    attestation: Optional[bytes]

    @classmethod
    def parse(cls, reader: Reader) -> Evidence:
        proof = tuple(read_hex(one, f"{reader.where}: receiptProof") for one in reader.items("receiptProof"))
        attestation = None if reader.any("attestation") is None else reader.bytes("attestation", 65)
        reader.bytes("transaction", 32)
        return cls(reader.bytes("header"), reader.integer("receiptIndex"), proof, attestation)


@dataclass(frozen=True)
class Anchor:
    """A checkpoint on the chain."""

    size: int
    root: bytes
    consistency: Tuple[bytes, ...]
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


@dataclass(frozen=True)
class Bundle:
    is_receipt: bool
    head: Note
    checkpoint: Checkpoint
    statements: Tuple[Statement, ...]
    streams: Tuple[Span, ...]
    anchors: Tuple[Anchor, ...]
    changes: Tuple[Change, ...]
    headers: Tuple[bytes, ...]

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
            Checkpoint.parse(head.text),
            tuple(map(Statement.parse, reader.objects("statements"))),
            tuple(map(Span.parse, reader.objects("streams"))),
            tuple(map(Anchor.parse, reader.objects("anchors"))),
            tuple(map(Change.parse, reader.objects("changes"))),
            tuple(read_hex(one, "headers") for one in reader.items("headers")),
        )
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
    record: str
    reason: str


class Finding(NamedTuple):
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
    witnesses: List[str]
    streams: Tuple[Span, ...]
    findings: List[Finding]


class Judge:
    """The five steps of section 6, each failure kept with the record it is about."""

    def __init__(self, bundle: Bundle, trust: Trust, min_witnesses: int) -> None:
        self.bundle, self.trust, self.min_witnesses = bundle, trust, min_witnesses
        self.failures: List[Failure] = []
        self.findings: List[Finding] = []
        self.witnesses: List[str] = []
        self.registry = Registry()
        self.stated = 0
        self.proven: List[Proven] = []
        self.pinned_blocks: Dict[bytes, int] = {}
        self.void = 0

    def verdict(self) -> Optional[Verdict]:
        """None if anything failed."""
        head_holds = self._head()
        if not self._changes() or not head_holds or not self._registry_line():
            return None  # all else is proven under these
        self._headers()
        self._anchors()
        self._statements()
        self._streams()
        if self.failures:
            return None
        return Verdict(
            self._strength(),
            self.proven[-1].block,
            self.bundle.checkpoint,
            len(self.bundle.statements),
            self.void,
            len(self.bundle.anchors),
            self.registry.members(),
            self.witnesses,
            self.bundle.streams,
            self.findings,
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
            if self.bundle.checkpoint.origin != self.trust.origin:
                refuse(f"it is of the log {self.bundle.checkpoint.origin!r}, your trust file is for {self.trust.origin!r}")
            if not self.bundle.head.by(self.trust.log_key):
                refuse(f"it has no signature by {self.trust.log_key.name}")
            return True

        head_holds = self.holds("head checkpoint", check)
        for key in self.trust.witnesses:
            if self.holds(f"witness {key.name}", lambda key=key: self.bundle.head.by(key)):  # type: ignore[misc]
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
            if self.bundle.checkpoint.registry is None:
                refuse("the head checkpoint does not say which registry it knew")
            self.stated, head = self.bundle.checkpoint.registry
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
        if last and last.size == self.bundle.checkpoint.size and last.registry_changes != self.registry.count:
            refuse(f"the newest anchor covers {last.registry_changes} of them, here are {self.registry.count}")

    # -- step 3 --

    def _headers(self) -> None:
        """The hashes of the blocks that lead to the pinned one."""
        if self.trust.pinned is None or not self.bundle.headers:
            return
        number, hash_ = self.trust.pinned

        def check() -> None:
            blocks = [Block.parse(raw, bool(self.trust.validators)) for raw in self.bundle.headers]
            for one, other in zip(blocks, blocks[1:]):
                if other.parent != one.hash or other.number != one.number + 1:
                    refuse(f"block {other.number} does not follow block {one.number}")
            if not any(one.number == number and one.hash == hash_ for one in blocks):
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
        head = self.bundle.checkpoint

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
            proven = self.holds(f"anchor of {anchor.size} statements", lambda anchor=anchor: check(anchor))  # type: ignore[misc]
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
            self.holds(one.name, lambda one=one: self._statement(one, domain))  # type: ignore[misc]

    def _statement(self, one: Statement, domain: bytes) -> None:
        if one.showing == SHOWN and content_root(one.content, one.secret) != one.header.content_root:
            refuse("its content was changed: it does not lead to the signed content root")
        if one.showing == DISCLOSED:
            verify_disclosed(one.disclosed, one.header.content_root)
        digest, head = one.header.digest(domain), self.bundle.checkpoint
        entry = digest + sha256(one.signature) + one.registered_at.to_bytes(8, "big")
        try:
            verify_inclusion(leaf_hash(entry), one.index, head.size, one.inclusion, head.root)
        except Refused as refused:
            refuse(f"it is not entry {one.index} of the log, or its signature is not the registered one: {refused}")
        anchor = self._anchor_of(one.index)
        block = anchor.block
        signer = recover(digest, one.signature)
        reason = self.registry.why_void(signer, one.header.issuer, block.number, self.stated)
        if one.void is not None and reason is None:
            refuse(f"it is declared void, and its key counted in block {block.number}")
        if one.void is None and reason is not None:
            refuse(f"it does not count: {reason}, in block {block.number}")
        if one.void != reason:
            refuse(f"it is declared void for {one.void!r}, the reason is {reason}")
        self._notice(one, anchor, self.registry.keys[signer])

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
        if self.bundle.is_receipt:
            if len(self.bundle.statements) != 1 or self.bundle.streams:
                self.failures.append(Failure("receipt", "a receipt is of one statement and says nothing of its stream"))
        numbers: Dict[bytes, List[Statement]] = defaultdict(list)
        for one in self.bundle.statements:
            numbers[one.header.stream].append(one)
        spans: Dict[bytes, List[Span]] = defaultdict(list)
        for span in self.bundle.streams:
            spans[span.stream].append(span)
        for stream in [*spans, *(one for one in numbers if one not in spans)]:
            self.holds(
                f"stream {short(stream)}",
                lambda stream=stream: self._stream(stream, numbers[stream], spans[stream]),  # type: ignore[misc]
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
                missing = next(n for n in range(span.first, span.last + 1) if n not in set(found))
                refuse(f"missing number {missing} of {span.first} to {span.last}")
        if within != len(here) and not self.bundle.is_receipt:
            refuse("the bundle does not say of all its numbers that they are here")
        for before, after in zip(spans, spans[1:]):
            if after.first > before.last + 1:
                first, last = before.last + 1, after.first - 1
                what = f"number {first} is" if first == last else f"numbers {first} to {last} are"
                self.findings.append(Finding(f"stream {short(stream)}", f"gap: {what} not in this bundle"))


# ======================================================================================================================
# What is said of it
# ======================================================================================================================


def as_json(verdict: Verdict) -> Json:
    return {
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
        "doesNotProve": list(DOES_NOT_PROVE),
    }


def instant(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s after 1970"


def lines_of(verdict: Verdict) -> List[str]:
    one = verdict.statements == 1
    void = f"; {verdict.void} void, which the findings name" if verdict.void else ""
    origin, size = verdict.checkpoint.origin, verdict.checkpoint.size
    anchors = f"{verdict.anchors} anchor{'' if verdict.anchors == 1 else 's'} checked"
    said = [
        f"It holds: {verdict.statements} statement{'' if one else 's'}, {'' if one else 'each '}signed, logged and"
        f" anchored{void}.",
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
    return said + [f"does not prove  {one}" for one in DOES_NOT_PROVE]


def printable(text: str) -> str:
    """`text` without what would move a terminal's cursor or colour it."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


def read_file(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    with open(path, "rb") as file:
        return file.read()


def main(arguments: Optional[Sequence[str]] = None) -> int:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(prog="tallystick-verify", description="Check an audit bundle or a receipt offline.")
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
    return 0 if verdict else 1


if __name__ == "__main__":
    sys.exit(main())
