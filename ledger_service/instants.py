"""Times as partners write them: xsd:dateTimeStamp, with its offset. Pure."""

import re
from datetime import UTC, datetime, timedelta


def instant(text: str) -> int:
    """The time `text` in milliseconds since 1970-01-01 UTC, digits beyond milliseconds cut off.

    Raises ValueError unless it is an xsd:dateTimeStamp: a date, a time and an offset.

    >>> instant("2026-09-01T10:00:00.5+02:00") - instant("2026-09-01T08:00:00Z")
    500
    """
    seconds, fraction = moment(text)
    return seconds * 1000 + int(fraction[:3].ljust(3, "0"))


def clock_text(time: int) -> str:
    """`time`, in ms since 1970-01-01 UTC, as we write it: `instant` gives the same number back.

    >>> clock_text(instant("2026-09-01T10:00:00.5+02:00"))
    '2026-09-01T08:00:00.500Z'
    """
    return datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> tuple[int, str]:
    """The time `text` as whole seconds since 1970-01-01 UTC and the digits of its fraction, as many as were written."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:100]!r} is not a date and time with offset")
    whole, fraction, zone = match.groups()
    time = datetime.fromisoformat(whole + ("+00:00" if zone in "Zz" else zone))
    return (time - _EPOCH) // _SECOND, fraction or ""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|z|[+-]\d\d:\d\d)", re.ASCII)
