"""The salted field tree straight from its definition (docs/formats.md), with the canonicaliser of another author."""

import hmac
from hashlib import sha256
from typing import Any

import rfc8785

from tests.reference import merkle


def leaves(content: Any) -> list[tuple[bytes, Any]]:
    """Each scalar and each empty container with the bytes of its RFC 6901 pointer, in the order of these bytes."""
    found: list[tuple[bytes, Any]] = []

    def walk(value: Any, pointer: str) -> None:
        if isinstance(value, dict) and value:
            for key, item in value.items():
                walk(item, pointer + "/" + key.replace("~", "~0").replace("/", "~1"))
        elif isinstance(value, list) and value:
            for place, item in enumerate(value):
                walk(item, f"{pointer}/{place}")
        else:
            found.append((pointer.encode(), value))

    walk(content, "")
    return sorted(found, key=lambda leaf: leaf[0])


def root(content: Any, secret: bytes) -> bytes:
    """The content root: RFC 9162 over SHA-256(0x00 ‖ HMAC-SHA-256(secret, path) ‖ JCS([path, value]))."""
    hashes = []
    for pointer, value in leaves(content):
        salt = hmac.digest(secret, pointer, "sha256")
        hashes.append(sha256(b"\x00" + salt + rfc8785.dumps([pointer.decode(), value])).digest())
    return merkle.root(hashes)
