"""Statements as custody takes them: the one way from a registered or proven statement to a fact of the fold. Pure."""

from collections.abc import Mapping
from typing import Any

from ledger_service.custody.record import Fact
from ledger_service.statements import Header


def fact_of(
    header: Header,
    digest: bytes,
    registered_at: int,
    anchored_at: int | None,
    content: Mapping[str, Any] | None,
    *,
    is_void: bool = False,
    is_disputed: bool = False,
) -> Fact:
    """The fact that a statement is, whether its row is read or its proof was judged. Times in ms UTC.

    `anchored_at` is the time of the block that anchored it, None while it waits. `content` is None where only the
    header is known. `is_disputed`: its key is reported compromised since before that block.
    """
    return Fact(
        id=digest,
        issuer=header.issuer,
        kind=header.kind,
        stream=header.stream,
        sequence=header.sequence,
        issued_at=header.issued_at,
        registered_at=registered_at,
        anchored_at=anchored_at,
        content=content,
        is_void=is_void,
        is_disputed=is_disputed,
    )
