"""What members decide together: `vote` for changes of the registry, `policy` for how records of custody are judged.

A proposal is a file that goes from hand to hand: each member looks at it (`show`), signs it with its root key (`sign`),
and somebody relays it when enough have. The registry carries it out at the last vote that it takes.
"""

import json
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.gateway import HOME, Gateway, Home, Json, PassphraseFile, write
from api.cli.operation import Data, settings_of
from api.cli.registry import _root
from api.cli.terminal import WrongUsage, note, refuse, say, say_json, table

if TYPE_CHECKING:
    from ledger_service.mandates import Proposal
    from ledger_service.membership import Fact, Membership

DAY_SECONDS = 86_400
MAX_DAYS = 30
"""As long as the registry keeps a proposal open."""

Out = Annotated[Path, typer.Option(help="File to write the proposal to; it must not exist.")]
Days = Annotated[int, typer.Option(min=1, max=MAX_DAYS, help="For how long it may be signed.")]
ProposalFile = Annotated[Path, typer.Argument(help="A proposal, as `vote propose` writes it.")]
Who = Annotated[str, typer.Argument(help="A member: name, DID, identifier or id.")]
OUT = Path("proposal.json")


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    vote = typer.Typer(help="Decide together on members, relayers, operator, quorum, statements.", no_args_is_help=True)
    propose = typer.Typer(help="Write a proposal to a file.", no_args_is_help=True)
    for command in (admit, suspend, reinstate, expel, add_relayer, remove_relayer, operator, recover_root, quorum):
        propose.command(command.__name__.replace("_", "-"))(command)
    propose.command("approve")(approve)
    vote.add_typer(propose, name="propose")
    for command_ in (show, sign, relay):
        vote.command(command_.__name__)(command_)
    app.add_typer(vote, name="vote")
    policy = typer.Typer(help="By what records of custody are judged.", no_args_is_help=True)
    policy.command("show")(policy_show)
    policy.command("propose")(policy_propose)
    app.add_typer(policy, name="policy")
    app.command("enter")(enter)


# -- proposals ---------------------------------------------------------------------------------------------------------


def admit(
    candidate: Annotated[Path, typer.Argument(help="Its member.json, as `keys new` writes it.")],
    id_: Annotated[str, typer.Option("--id", help="Its member id, as the operator's `enter` says it.")],
    voting: Annotated[bool, typer.Option(help="Whether it gets a vote.")] = True,
    out: Out = OUT,
    days: Days = 14,
    home: Home = HOME,
) -> None:
    """Admit a member by its root key. Afterwards it has its first signing key added, relayed by any other member."""
    from ledger_service.keys import from_hex
    from ledger_service.membership import MemberAdmitted

    try:
        told = json.loads(candidate.read_bytes())
        root, after = from_hex(told["rootKey"], 20, "/rootKey"), from_hex(told["nextRootHash"], 32, "/nextRootHash")
    except (ValueError, KeyError, TypeError) as problem:
        raise WrongUsage(f"{candidate} is no member.json with rootKey and nextRootHash: {problem}") from problem
    _propose(home, MemberAdmitted(from_hex(id_, 32, "--id"), root, after, voting), out, days)


def suspend(member: Who, out: Out = OUT, days: Days = 14, home: Home = HOME) -> None:
    """Suspend a member: what it signs no longer counts, and it has no vote."""
    from ledger_service.membership import MemberSuspended

    _propose(home, MemberSuspended(_member(home, member)), out, days)


def reinstate(member: Who, out: Out = OUT, days: Days = 14, home: Home = HOME) -> None:
    """Reinstate a suspended member."""
    from ledger_service.membership import MemberReinstated

    _propose(home, MemberReinstated(_member(home, member)), out, days)


def expel(member: Who, out: Out = OUT, days: Days = 14, home: Home = HOME) -> None:
    """Expel a member for good."""
    from ledger_service.membership import MemberExpelled

    _propose(home, MemberExpelled(_member(home, member)), out, days)


Address = Annotated[str, typer.Argument(help="An address on the chain: 0x and 40 digits.")]


def add_relayer(address: Address, out: Out = OUT, days: Days = 14, home: Home = HOME) -> None:
    """Let an address send steps of custody."""
    from ledger_service.keys import from_hex
    from ledger_service.membership import RelayerAdded

    _propose(home, RelayerAdded(from_hex(address, 20, "ADDRESS")), out, days)


def remove_relayer(address: Address, out: Out = OUT, days: Days = 14, home: Home = HOME) -> None:
    """Let an address send steps of custody no longer."""
    from ledger_service.keys import from_hex
    from ledger_service.membership import RelayerRemoved

    _propose(home, RelayerRemoved(from_hex(address, 20, "ADDRESS")), out, days)


def operator(
    address: Address,
    origin: Annotated[str | None, typer.Option(help="The log's name; that of the trust file by default.")] = None,
    out: Out = OUT,
    days: Days = 14,
    home: Home = HOME,
) -> None:
    """Give a log another operator: the address that may anchor it."""
    from ledger_service.keys import from_hex, keccak
    from ledger_service.membership import OperatorSet

    name = origin or Gateway(home).trust().origin
    _propose(home, OperatorSet(keccak(name.encode()), from_hex(address, 20, "ADDRESS")), out, days)


def recover_root(
    member: Who,
    root_key: Annotated[str, typer.Option(help="Address of its new root key.")],
    next_root_hash: Annotated[str, typer.Option(help="keccak256 of the root key after it, as in its member.json.")],
    out: Out = OUT,
    days: Days = 14,
    home: Home = HOME,
) -> None:
    """Give a member that lost its root keys new ones."""
    from ledger_service.keys import from_hex
    from ledger_service.membership import RootRotated

    keys = from_hex(root_key, 20, "--root-key"), from_hex(next_root_hash, 32, "--next-root-hash")
    _propose(home, RootRotated(_member(home, member), *keys), out, days)


def quorum(
    numerator: Annotated[int, typer.Argument(min=1, max=65535)],
    denominator: Annotated[int, typer.Argument(min=1, max=65535)],
    out: Out = OUT,
    days: Days = 14,
    home: Home = HOME,
) -> None:
    """Change the share of voting members that carries a proposal, such as 3 4."""
    from ledger_service.membership import QuorumChanged

    _propose(home, QuorumChanged(numerator, denominator), out, days)


def approve(
    what: Annotated[str, typer.Argument(help="The id of a statement, or another hash: 0x and 64 digits.")],
    out: Out = OUT,
    days: Days = 14,
    home: Home = HOME,
) -> None:
    """Approve a statement; one of kind custody-policy is in force from then on."""
    from ledger_service.keys import from_hex
    from ledger_service.membership import Approved

    _propose(home, Approved(from_hex(what, 32, "WHAT")), out, days)


def _propose(home: Path, change: "Fact", out: Path, days: int) -> None:
    from ledger_service.mandates import Proposal

    gateway = Gateway(home)
    expires = gateway.clock()() // 1000 + days * DAY_SECONDS
    _keep(out, Proposal(gateway.trust().domain, change, expires, int.from_bytes(os.urandom(6))), is_new=True)
    say(f"{out}: to {_words(change, _names(home))}")
    note("every member signs it by `vote sign`, and one sends it by `vote relay`")


# -- signing and relaying ----------------------------------------------------------------------------------------------


def show(file: ProposalFile, home: Home = HOME, passphrase_file: PassphraseFile = None, as_json: Json = False) -> None:
    """Say what a proposal would change, whose votes it has, and how many it takes."""
    proposal = _read(file)
    gateway = Gateway(home, passphrase_file)
    _check_domain(proposal, gateway)
    with gateway.client() as client:
        membership = client.membership()
        policy = _proposed_policy(proposal, client)
    votes = _votes(proposal, membership)
    needed = _threshold(membership)
    names = _names(home)
    if as_json:
        counted = {"0x" + member.hex(): why or "counts" for member, why in votes.items()}
        say_json({**proposal.as_json(), "policy": policy, "threshold": needed, "votesCounted": counted})
        return
    say(f"to {_words(proposal.change, names)}", "bold")
    say(f"open until {datetime.fromtimestamp(proposal.expires_at, UTC).isoformat().replace('+00:00', 'Z')}")
    if policy is not None:
        say("the policy of custody that would be in force:")
        say(json.dumps(policy, indent=2, sort_keys=True))
    counting = sum(not why for why in votes.values())
    say(f"{counting} of {needed} votes that it takes")
    table(("member", "vote"), [(names(member), why or "counts") for member, why in votes.items()])


def sign(file: ProposalFile, home: Home = HOME, passphrase_file: PassphraseFile = None) -> None:
    """Vote for a proposal with the root key; the vote is added to the file and nothing is sent."""
    proposal = _read(file)
    gateway = Gateway(home, passphrase_file)
    _check_domain(proposal, gateway)
    if proposal.expires_at <= gateway.clock()() // 1000:
        refuse(f"{file} was open until {datetime.fromtimestamp(proposal.expires_at, UTC)}: propose it anew")
    signed = proposal.signed(gateway.member(), _root(gateway))
    with gateway.client() as client:
        signed.check_vote(gateway.member(), client.membership())
    _keep(file, signed)
    say(f"signed to {_words(proposal.change, _names(home))}; {len(signed.signatures)} votes are in {file}")


def relay(file: ProposalFile, home: Home = HOME, passphrase_file: PassphraseFile = None) -> None:
    """Send the votes of a proposal to the registry, which carries it out at the last one that it takes.

    Exit 1 where it takes more of them. It may be relayed again when more have signed.
    """
    from api.client import ServiceRefused

    proposal = _read(file)
    gateway = Gateway(home, passphrase_file)
    _check_domain(proposal, gateway)
    names = _names(home)
    with gateway.client() as client:
        before = client.membership()
        votes = _votes(proposal, before)
        for member, why in votes.items():
            if why:
                note(f"{names(member)} {why}: not sent", "yellow")
                continue
            try:
                client.relay(proposal.mandate(member))
            except ServiceRefused as refusal:
                if "AlreadyExecuted" in str(refusal):
                    break
                if "AlreadyVoted" not in str(refusal):
                    raise
        after = client.membership()
    if proposal.change in _facts(after):
        say(f"decided: to {_words(proposal.change, names)}")
        return
    refuse(f"the registry has these votes, and takes {_threshold(after)}: have more members sign {file}")


def _facts(membership: "Membership") -> list["Fact"]:
    from ledger_service.membership import decode_change

    return [decode_change(one.kind, one.data) for one in membership.changes]


def _votes(proposal: "Proposal", membership: "Membership") -> dict[bytes, str]:
    """Of each vote why it does not count, empty where it does."""
    from ledger_service.mandates import NotAVoter

    found = {}
    for member in proposal.signatures:
        try:
            proposal.check_vote(member, membership)
            found[member] = ""
        except NotAVoter as problem:
            found[member] = str(problem).split(" ", 2)[2]
    return found


def _threshold(membership: "Membership") -> int:
    from ledger_service.membership import MemberState

    voting = sum(one.voting and one.state is MemberState.ACTIVE for one in membership.members.values())
    numerator, denominator = membership.quorums[-1][1] if membership.quorums else (2, 3)
    return -(-voting * numerator // denominator)


def _check_domain(proposal: "Proposal", gateway: Gateway) -> None:
    if proposal.domain != gateway.trust().domain:
        raise WrongUsage("the proposal is for another network than the trust file")


def _read(file: Path) -> "Proposal":
    from ledger_service.errors import MalformedInput
    from ledger_service.mandates import Proposal

    try:
        return Proposal.read(json.loads(file.read_bytes()))
    except (ValueError, MalformedInput) as problem:
        raise WrongUsage(f"{file} is not a proposal: {problem}") from problem


def _keep(path: Path, proposal: "Proposal", *, is_new: bool = False) -> None:
    if is_new and path.exists():
        raise WrongUsage(f"{path} exists already: name another file by --out")
    write(path, json.dumps(proposal.as_json(), indent=2, sort_keys=True).encode() + b"\n")


Names = Callable[[bytes], str]


def _names(home: Path) -> Names:
    path = home / "members.json"
    known = {one["id"]: one["name"] for one in json.loads(path.read_bytes())} if path.exists() else {}
    return lambda member: str(known.get("0x" + member.hex(), f"0x{member.hex()[:8]}…"))


def _member(home: Path, name: str) -> bytes:
    return Gateway(home).members_named([name])[0]


def _words(change: "Fact", names: Names) -> str:
    """What a change does, behind "to"."""
    from ledger_service import membership as registry

    match change:
        case registry.MemberAdmitted(member, root_key, _, voting):
            vote = "with a vote" if voting else "without a vote"
            return f"admit {names(member)} {vote}, by the root key 0x{root_key.hex()}"
        case registry.MemberSuspended(member):
            return f"suspend {names(member)}"
        case registry.MemberReinstated(member):
            return f"reinstate {names(member)}"
        case registry.MemberExpelled(member):
            return f"expel {names(member)}"
        case registry.KeyRevoked(member, key, since):
            return f"revoke the key 0x{key.hex()} of {names(member)} as of {datetime.fromtimestamp(since, UTC)}"
        case registry.RootRotated(member, root_key, _):
            return f"give {names(member)} the root key 0x{root_key.hex()}"
        case registry.RelayerAdded(relayer):
            return f"let 0x{relayer.hex()} relay steps of custody"
        case registry.RelayerRemoved(relayer):
            return f"let 0x{relayer.hex()} relay no longer"
        case registry.OperatorSet(origin, address):
            return f"let 0x{address.hex()} anchor the log 0x{origin.hex()[:8]}…"
        case registry.QuorumChanged(numerator, denominator):
            return f"have {numerator} of {denominator} voting members carry a proposal"
        case registry.Approved(what):
            return f"approve 0x{what.hex()}"
    return str(change)


# -- policy ------------------------------------------------------------------------------------------------------------


def policy_show(home: Home = HOME, passphrase_file: PassphraseFile = None, as_json: Json = False) -> None:
    """Say by what records of custody are judged now, and since when."""
    with Gateway(home, passphrase_file).client() as client:
        held = client.custody_policy()
    if as_json:
        say_json(held)
        return
    if held["statement"] is None:
        say("no policy was voted: the defaults hold", "bold")
    else:
        since = datetime.fromtimestamp(held["since"], UTC).isoformat().replace("+00:00", "Z")
        say(f"{held['statement']}, voted in block {held['block']} at {since}", "bold")
    said = {name: value for name, value in held["policy"].items() if name != "to"}
    say(json.dumps(said, indent=2, sort_keys=True))


def policy_propose(
    file: Annotated[Path, typer.Argument(help="The policy: what `policy show --json` has as `policy`, changed.")],
    out: Out = OUT,
    days: Days = 14,
    home: Home = HOME,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Sign a custody policy, send it to all members, and write the proposal that puts it in force."""
    from api.outbox import Draft
    from ledger_service.custody.policy import Policy
    from ledger_service.errors import MalformedInput
    from ledger_service.keys import to_hex
    from ledger_service.membership import Approved

    if out.exists():
        raise WrongUsage(f"{out} exists already: name another file by --out")
    gateway = Gateway(home, passphrase_file)
    own = to_hex(gateway.member())
    with gateway.client() as client:
        everybody = sorted(one["id"] for one in client.members() if one.get("name") and one["id"] != own)
        try:
            policy = Policy.parse({**_object(file), "to": []}, "")
        except MalformedInput as problem:
            raise WrongUsage(f"{file} is not a policy: {problem}") from problem
        signed = client.outbox.sign(
            [Draft(policy.content(everybody), "custody-policy")],
            issuer=gateway.member(),
            signer=client.signer,
            domain=client.domain,
            now=client.now(),
            random=os.urandom,
            source="custody policy",
        )
        done = client.submit()
    what = signed[0].header.digest(client.domain)
    for refused in done.refused:
        refuse(f"{to_hex(refused.digest)} is refused: {refused.reason}")
    say(f"the policy is the statement {to_hex(what)}")
    _propose(home, Approved(what), out, days)


def _proposed_policy(proposal: "Proposal", client: Any) -> dict[str, Any] | None:
    """The policy that the proposal approves, if it is one that this member may see."""
    from api.client import ServiceRefused
    from ledger_service.membership import Approved

    if not isinstance(proposal.change, Approved):
        return None
    try:
        envelope = client.checked_statement(proposal.change.what)
    except ServiceRefused:
        return None
    if envelope.header.kind != "custody-policy" or envelope.content is None:
        return None
    return {name: value for name, value in envelope.content.items() if name != "to"}


def _object(file: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(file.read_bytes())
    except ValueError as problem:
        raise WrongUsage(f"{file} is not JSON: {problem}") from problem
    if not isinstance(value, dict):
        raise WrongUsage(f"{file} is not a JSON object")
    return value


# -- the operator ------------------------------------------------------------------------------------------------------


def enter(
    candidate: Annotated[Path, typer.Argument(help="Its member.json, as `keys new` writes it.")], data: Data = None
) -> None:
    """Enter a member to come in the directory, and say its id, by which the others vote on it (`vote propose admit`).

    A running service reads the directory when it starts.
    """
    from api.network import Directory, Member, member_id
    from ledger_service.keys import from_hex, to_hex

    folder = settings_of(data).data
    told = _object(candidate)
    description = _object(folder / "network.json")
    own_id = member_id(str(told["did"]), from_hex(description["salt"], 32, "/salt"))
    members = Directory.read(folder / "members.json").by_id
    member = Member(own_id, str(told["did"]), str(told["name"]), tuple(told.get("identifiers", ())))
    Directory([*(one for one in members.values() if one.id != own_id), member]).write(folder / "members.json")
    say(to_hex(own_id))
