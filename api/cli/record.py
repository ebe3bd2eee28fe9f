"""A record of custody, said to people and to programs: findings first, then the answer, then who had what and when."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from api.cli.terminal import say, table
from api.custody_json import finding_json, unit_json

if TYPE_CHECKING:
    from ledger_service.custody import Finding, Leg, Unit
    from ledger_service.evidence import CustodyVerdict

CANNOT_BE_TOLD = "cannot be told"
_SHOWN = 4
_LAST_MS = 253_402_300_799_999

Naming = Callable[[bytes | None], str]
"""What a member is called."""


def naming(directory: Mapping[str, str]) -> Naming:
    """Names out of a directory by member id; whoever is not in it goes by the beginning of the id."""

    def named(member: bytes | None) -> str:
        if member is None:
            return "nobody known"
        id_ = "0x" + member.hex()
        return directory.get(id_) or f"{id_[:10]}…"

    return named


def answer_of(verdict: "CustodyVerdict") -> str:
    """The verdict in three words at most."""
    return CANNOT_BE_TOLD if verdict.answer is None else str(verdict.answer)


def is_good(verdict: "CustodyVerdict") -> bool:
    """Whether the record is whole, with or without reservations."""
    from ledger_service.custody import Answer

    return verdict.answer in (Answer.WHOLE, Answer.WITH_RESERVATIONS)


# -- for people --------------------------------------------------------------------------------------------------------


def say_record(verdict: "CustodyVerdict", named: Naming) -> None:
    """Findings, answer and legs."""
    findings = verdict.trail.findings
    count = "1 finding" if len(findings) == 1 else f"{len(findings) or 'no'} findings"
    what = _things(verdict.things)
    say(f"{count} about {what}", "bold")
    for one in findings:
        _say_finding(one, verdict, named)
    say()
    style = "bold green" if is_good(verdict) else "bold red"
    say(f"The record is {answer_of(verdict)}." if verdict.answer else f"It {CANNOT_BE_TOLD}.", style)
    if verdict.untold:
        say(f"Nothing shown here tells of {_things(verdict.untold)}.")
    policy = (
        f"the policy 0x{verdict.policy.hex()[:8]}…, voted in force" if verdict.policy else "the rules without a policy"
    )
    say(f"Judged by {policy}, as known at {_clock(verdict.at)}.")
    if verdict.unseen:
        many = "1 statement is" if verdict.unseen == 1 else f"{verdict.unseen} statements are"
        say(f"{many} shown by header alone or in part: what they say is not judged.")
    for units in _alike(verdict):
        say()
        _say_units(units, verdict, named)
    say()


def _say_finding(one: "Finding", verdict: "CustodyVerdict", named: Naming) -> None:
    weight = str(one.weight).replace("-", " ") + (", explained" if one.is_explained else "")
    say(f"  {str(one.problem).replace('-', ' ')} ({weight}): {one.what}")
    if one.units:
        say(f"      about    {_things(one.units)}")
    for record in one.evidence:
        say(f"      shown by {_cited(record, verdict, named)}")
    for record in one.explained_by:
        say(f"      explained by {_cited(record, verdict, named)}")


def _cited(record: str, verdict: "CustodyVerdict", named: Naming) -> str:
    """A record with who said it and when, as its issuer states."""
    stated, _registered, _ = verdict.custody.clocks.get(record, (None, 0, None))
    when = "" if stated is None else f", {_clock(stated)} as stated"
    if record not in verdict.signers:
        _, time, _ = verdict.custody.clocks.get(record, (None, 0, None))
        return f"{record[:10]}…{record[66:]}, a step of the chain, {_clock(time)}"
    return f"{record[:10]}… by {named(verdict.signers[record][0])}{when}"


def _alike(verdict: "CustodyVerdict") -> list[list["Unit"]]:
    """The units of the trail, those that made the same legs together."""
    groups: dict[Any, list[Unit]] = {}
    for key in verdict.trail.legs:
        unit = verdict.custody.units[key]
        legs = tuple(
            (one.giver, one.taker, one.state, one.offer, one.acceptance, one.step is None) for one in unit.legs
        )
        groups.setdefault((legs, unit.custodian, unit.is_contested, unit.closed_at), []).append(unit)
    return sorted(groups.values(), key=lambda one: one[0].key)


def _say_units(units: list["Unit"], verdict: "CustodyVerdict", named: Naming) -> None:
    first = units[0]
    say(_things([one.key for one in units]), "bold")
    if first.is_contested:
        say(f"  contested between {', '.join(map(named, first.claims))}")
    say(f"  held by {named(first.custodian)}" + (f", in {label(first.within)}" if first.within else ""))
    if first.closed_at is not None:
        say(f"  ended {_clock(first.closed_at)}")
    if first.legs:
        headings = ("giver", "taker", "state", "stated", "registered", "anchored", "on chain")
        table((*headings, "signed by"), (_row(one, verdict, named) for one in first.legs))


def _row(leg: "Leg", verdict: "CustodyVerdict", named: Naming) -> list[str]:
    none = (None, None, None)
    said = verdict.custody.clocks.get(leg.acceptance or leg.offer or "", none)
    step = verdict.custody.clocks.get(leg.step or "", none)
    sides = [side for side, record in (("giver", leg.offer), ("taker", leg.acceptance)) if record is not None]
    signed = "both" if len(sides) == 2 else "".join(sides)
    if leg.step:
        signed = (
            f"{signed}, and both on chain" if len(sides) == 1 else "both, on chain" if sides else "both on chain only"
        )
    return [
        named(leg.giver),
        named(leg.taker),
        str(leg.state) + (f", inside {label(leg.carried_in)}" if leg.carried_in else ""),
        _span(leg.despatched_at, leg.received_at),
        _clock(said[1]),
        _clock(said[2]),
        _clock(step[1]),
        signed or "nobody",
    ]


def _things(keys: "tuple[str, ...] | list[str]") -> str:
    """Some of the things, and how many more."""
    shown = ", ".join(map(label, keys[:_SHOWN]))
    return shown if len(keys) <= _SHOWN else f"{shown} and {len(keys) - _SHOWN} more"


def label(key: str) -> str:
    """A key as labels show it: GS1 keys with their numbers in brackets."""
    path = key.removeprefix("https://id.gs1.org/")
    if path == key:
        return key
    parts = path.split("/")
    return "".join(f"({name}){value}" for name, value in zip(parts[::2], parts[1::2], strict=False))


def _span(start: int | None, end: int | None) -> str:
    """From despatch to receipt, the day said once where it is one."""
    first, last = _clock(start), _clock(end)
    return f"{first} to {last[11:] if first[:10] == last[:10] and len(last) > 1 else last}"


def _clock(time: int | None) -> str:
    if time is None:
        return "–"
    if time > _LAST_MS:
        return f"{time} ms after 1970"
    return datetime.fromtimestamp(time // 1000, UTC).strftime("%Y-%m-%d %H:%MZ")


# -- for programs ------------------------------------------------------------------------------------------------------


def record_json(verdict: "CustodyVerdict") -> dict[str, Any]:
    """A record for a program; docs/formats.md, section 6, names the members."""
    cited = set(verdict.trail.records)
    return {
        "answer": answer_of(verdict),
        "chain": [
            {
                "certifiedAt": {"block": one.certified_at[0], "time": one.certified_at[1] * 1000},
                "closed": one.is_closed,
                "custodian": _hex(one.custodian),
                "steps": one.steps,
                "thing": one.thing,
                "unit": _hex(one.unit),
            }
            for one in verdict.chain
        ],
        "clocks": {
            record: dict(zip(("stated", "registered", "anchored"), verdict.custody.clocks[record], strict=True))
            for record in sorted(cited & verdict.custody.clocks.keys())
        },
        "findings": [finding_json(one) for one in verdict.trail.findings],
        "policy": _hex(verdict.policy),
        "signers": {
            record: {"key": _hex(signer), "member": _hex(member)}
            for record, (member, signer) in sorted(verdict.signers.items())
            if record in cited
        },
        "things": list(verdict.things),
        "units": [unit_json(verdict.custody.units[key]) for key in verdict.trail.legs],
        "unseen": verdict.unseen,
        "untold": list(verdict.untold),
    }


def _hex(value: bytes | None) -> str | None:
    return None if value is None else "0x" + value.hex()
