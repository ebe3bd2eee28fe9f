"""What people at a dock and in its office say and ask: `custody todo`, `arrive`, `complain`, `explain`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.custody import Despatch, To, Url, document_number, end, find_offer, minute, opened
from api.cli.gateway import HOME, Home, Json, PassphraseFile
from api.cli.terminal import WrongUsage, say, say_json, table

if TYPE_CHECKING:
    from api.client import LedgerClient
    from api.gateway import CustodyGateway

Number = Annotated[str | None, typer.Option(help="The number of your own document about it; made up otherwise.")]


def add_to(custody: typer.Typer) -> None:
    """Add these commands to the group `custody`."""
    for command in (todo, arrive, complain, explain):
        custody.command()(command)


def todo(home: Home = HOME, url: Url = None, passphrase_file: PassphraseFile = None, as_json: Json = False) -> None:
    """Say what waits for you: offers to answer, those nobody answered in time, answers to sign, what was refused."""
    with opened(home, passphrase_file, url) as (gateway, client, folder):
        found = _waiting(gateway, client)
        names = folder.names()
    if as_json:
        say_json(found)
        return
    if not any(found.values()):
        say("nothing waits for you")
        return
    if found["toAnswer"]:
        say("Answer these offers by `custody accept` or `custody refuse`", "bold")
        offers = [(*_offer(one, names), one["state"], "; ".join(one["reasons"])) for one in found["toAnswer"]]
        table(("document", "from", "answer by", "stands", "what the scans say"), offers)
    if found["unanswered"]:
        say(
            "Nobody has answered these offers of yours: ask their takers, or take them back by `custody withdraw`",
            "bold",
        )
        table(("document", "to", "was to be answered by"), [_offer(one, names) for one in found["unanswered"]])
    if found["toSign"]:
        say("People at your sites have answered these by paper: `gateway run --sign-requests` signs that", "bold")
        for one in found["toSign"]:
            say(f"  {one['document'] or one['despatch']}: {one['outcome']}, {minute(one['askedAt'])}")
    if found["refused"]:
        say("The ledger has not taken these steps", "bold")
        for one in found["refused"]:
            say(f"  {one['unit']}: {one['reason']}")


def arrive(
    place: Annotated[str, typer.Option(help="Where: a GLN, a UN/LOCODE such as DEDUI, or a URI.")],
    despatch: Annotated[str | None, typer.Option(help="What it brings: the number or id of the despatch.")] = None,
    unit: Annotated[list[str] | None, typer.Option(help="A unit that was seen; may be repeated.")] = None,
    vehicle: Annotated[str | None, typer.Option(help="Its number plate.")] = None,
    seal: Annotated[str | None, typer.Option(help="The number of its seal.")] = None,
    number: Number = None,
    to: To = None,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Say that a vehicle has come to a gate. It takes nothing over yet; the giver of the despatch sees it."""
    from api.goods_in import unit_text
    from ledger_service.keys import to_hex

    with opened(home, passphrase_file, url) as (gateway, client, folder):
        readers = folder.members_named(to or ())
        content: dict[str, Any] = {
            "document": {"type": "gate-log", "number": number or f"GATE-{client.now()}"},
            "place": f"(414){place}" if place.isdecimal() and len(place) == 13 else place,
        }
        if despatch is not None:
            wanted = find_offer(client, despatch)
            content["despatch"] = to_hex(wanted)
            readers += _parties(client, wanted)
        content |= {name: value for name, value in (("vehicle", vehicle), ("seal", seal)) if value}
        if unit:
            content["units"] = [unit_text(one) for one in unit]
        say(to_hex(gateway.state("gate-arrival", content, readers)))
        end(gateway.push())


def complain(
    despatch: Despatch,
    item: Annotated[
        list[str],
        typer.Option(
            help="WHAT, WHAT@UNIT or WHAT@UNIT@PART@QUANTITY@UOM, WHAT being short, over, damaged, wrong-part, late or "
            "quality; may be repeated."
        ),
    ],
    text: Annotated[str | None, typer.Option(help="What happened, in words.")] = None,
    number: Number = None,
    to: To = None,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Say what was wrong with goods after they were received. Who gave and took them sees it; nothing changes hands."""
    from ledger_service.keys import to_hex

    with opened(home, passphrase_file, url) as (gateway, client, folder):
        about = find_offer(client, despatch)
        content: dict[str, Any] = {
            "document": {"type": "complaint", "number": number or f"Q-{client.now()}"},
            "about": to_hex(about),
            "items": [_item(one) for one in item],
        }
        if text:
            content["text"] = text
        readers = folder.members_named(to or ()) + _parties(client, about)
        say(to_hex(gateway.state("complaint", content, readers)))
        end(gateway.push())


def explain(
    unit: Annotated[str, typer.Argument(help="A unit in any spelling.")],
    finding: Annotated[int | None, typer.Option(min=1, help="The finding, by its number in the list.")] = None,
    text: Annotated[str | None, typer.Option(help="Why it is as it is.")] = None,
    to: To = None,
    home: Home = HOME,
    url: Url = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """List what is found about a unit, by numbers; with --finding and --text sign why one of them is as it is.

    Whoever sees the statements that show the finding sees the explanation. The finding stays, as an explained one.
    """
    from api.goods_in import unit_text
    from ledger_service.keys import to_hex

    if (finding is None) != (text is None):
        raise WrongUsage("name both: --finding N, by its number in the list, and --text 'why it is so'")
    with opened(home, passphrase_file, url) as (gateway, client, folder):
        told = client.trail(unit_text(unit))
        found: Sequence[dict[str, Any]] = told["findings"]
        if finding is None or text is None:
            for number, one in enumerate(found, 1):
                state = "explained" if one["explainedBy"] else one["weight"].replace("-", " ")
                say(f"{number}  {one['finding'].replace('-', ' ')} ({state}): {folder.with_names(one['what'])}")
            if not found:
                say("nothing is found")
            return
        if finding > len(found):
            raise WrongUsage(f"--finding {finding}: there are {len(found)}; list them without --finding")
        chosen = found[finding - 1]
        readers = folder.members_named(to or ()) + _readers(client, chosen["evidence"])
        say(to_hex(gateway.explain(chosen, text, readers)))
        end(gateway.push())


def _waiting(gateway: "CustodyGateway", client: "LedgerClient") -> dict[str, list[dict[str, Any]]]:
    from api.custody_book import StepState
    from ledger_service.keys import from_hex, to_hex

    reasons = {to_hex(one.despatch): list(one.reasons) for one in gateway.book.tasks()}

    def told(one: dict[str, Any], partner: str) -> dict[str, Any]:
        return {
            "despatch": one["despatch"],
            "document": document_number(client, from_hex(one["despatch"], 32)),
            "partner": one[partner],
            "answerBy": one["deadline"],
            "state": one["state"],
            "reasons": reasons.get(one["despatch"], []),
        }

    return {
        "toAnswer": [told(one, "giver") for state in ("overdue", "open") for one in client.offers("taker", state)],
        "unanswered": [told(one, "taker") for one in client.offers("giver", "overdue")],
        "toSign": [
            {
                "despatch": one["despatch"],
                "document": document_number(client, from_hex(one["despatch"], 32)),
                "outcome": one["content"].get("outcome", one["kind"]),
                "askedAt": one["madeAt"],
            }
            for one in client.signing_requests()
            if "despatch" in one  # answers to requests for facts wait in `risk requests`
        ],
        "refused": [
            {"unit": to_hex(one.step.unit), "reason": one.reason or "no reason given"}
            for one in gateway.book.steps(StepState.REFUSED)
        ],
    }


def _offer(one: dict[str, Any], names: dict[str, str]) -> tuple[str, str, str]:
    partner = names.get(one["partner"], one["partner"])
    return one["document"] or one["despatch"], partner, minute(one["answerBy"])


def _parties(client: "LedgerClient", despatch: bytes) -> list[bytes]:
    """Who gave and who takes what a despatch of ours or to us offers."""
    from ledger_service.keys import from_hex, to_hex

    for one in client.offers():
        if one["despatch"] == to_hex(despatch):
            return [from_hex(one[side], 32) for side in ("giver", "taker")]
    return []


def _readers(client: "LedgerClient", evidence: Sequence[str]) -> list[bytes]:
    """Issuers and audiences of the statements among `evidence`, as far as we see them."""
    from ledger_service.keys import from_hex
    from ledger_service.statements import audience

    found = set()
    for one in evidence:
        if "#" not in one:
            told = client.statement(from_hex(one, 32))
            found |= {from_hex(told["header"]["issuer"], 32), *audience(told.get("content") or {})}
    return sorted(found)


def _item(text: str) -> dict[str, str]:
    from api.goods_in import unit_text

    what, *rest = text.split("@")
    if len(rest) not in (0, 1, 4):
        raise WrongUsage(f"--item {text}: write WHAT, WHAT@UNIT or WHAT@UNIT@PART@QUANTITY@UOM")
    value = dict(zip(("unit", "part", "quantity", "uom"), rest, strict=False))
    return {"what": what} | value | ({"unit": unit_text(rest[0])} if rest else {})
