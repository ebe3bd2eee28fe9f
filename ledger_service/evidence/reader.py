"""Reading JSON from an untrusted file. Pure."""

from typing import Any

from ledger_service import canonical
from ledger_service.errors import MalformedInput
from ledger_service.keys import bytes_from_hex, from_hex


class Reader:
    """A JSON object from an untrusted file, read member by member with the place in every complaint."""

    def __init__(self, value: Any, where: str, what: str) -> None:
        if not isinstance(value, dict):
            raise MalformedInput(f"a {what} is an object", where)
        self.value: dict[str, Any] = value
        self._where = where

    def only(self, needed: str, allowed: str = "") -> None:
        """Raise MalformedInput unless these members are there, and no others but the `allowed` ones."""
        missing = set(needed.split()) - self.value.keys()
        if missing:
            raise MalformedInput(f"{', '.join(sorted(missing))} is missing", self._where)
        unknown = self.value.keys() - set(needed.split()) - set(allowed.split())
        if unknown:
            raise MalformedInput(f"{', '.join(sorted(unknown))[:80]} means nothing here", self._where)

    def format(self, *known: str) -> str:
        found = self.value.get("format")
        if found not in known:
            raise MalformedInput(
                f"expected a file of format {' or '.join(known)}, this says {str(found)[:60]!r}", "/format"
            )
        return str(found)

    def child(self, name: str) -> "Reader":
        return Reader(self.value.get(name), f"{self._where}/{name}", name)

    def optional(self, name: str) -> "Reader | None":
        return None if self.value.get(name) is None else self.child(name)

    def text(self, name: str) -> str:
        value = self.value.get(name)
        if not isinstance(value, str):
            raise MalformedInput("expected text", f"{self._where}/{name}")
        return value

    def number(self, name: str) -> int:
        value = self.value.get(name)
        if type(value) is not int or not 0 <= value <= canonical.MAX_INTEGER:
            raise MalformedInput("expected a whole number from 0 to 2^53 - 1", f"{self._where}/{name}")
        return value

    def bytes(self, name: str, size: int | None = None) -> bytes:
        where = f"{self._where}/{name}"
        value = self.value.get(name)
        return bytes_from_hex(value, where) if size is None else from_hex(value, size, where)

    def items(self, name: str) -> list[tuple[str, Any]]:
        value = self.value.get(name)
        if not isinstance(value, list):
            raise MalformedInput("expected a list", f"{self._where}/{name}")
        return [(f"{self._where}/{name}/{index}", one) for index, one in enumerate(value)]

    def texts(self, name: str) -> list[str]:
        found = []
        for where, one in self.items(name):
            if not isinstance(one, str):
                raise MalformedInput("expected text", where)
            found.append(one)
        return found
