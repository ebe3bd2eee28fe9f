"""Who may do what, and who may see which fields: the only place that says so. Pure; deny by default.

Every route names its action and asks `can`; what has an owner is asked about again with its `Subject`. What the
answer does not list is not shown.
"""

from dataclasses import dataclass
from enum import StrEnum

from ledger_service.grants import Shown


class Action(StrEnum):
    """What a caller may want."""

    SIGN_IN = "sign in"
    READ_NETWORK = "read what is needed to sign"
    READ_DOCUMENTATION = "read the documentation"
    WATCH_HEALTH = "watch the health of the service"
    READ_TRUST = "read the trust file"
    READ_MEMBERS = "read the member directory"
    READ_POLICY = "read the custody policy in force"
    CHANGE_MEMBERS = "relay a signed change of members or keys"
    REGISTER = "register a statement"
    CAPTURE = "have the service sign events"
    READ_STATEMENT = "read a statement"
    ERASE = "erase the content of a statement"
    READ_STREAM = "read a stream"
    READ_FINDINGS = "read findings"
    BUNDLE = "take an audit bundle"
    READ_LOG = "read the log"
    COSIGN = "cosign a checkpoint"
    FOLLOW = "follow the feed"
    OFFER = "offer units"
    HAVE_HANDED_OVER = "have the service hand units over"
    READ_OFFER = "read an offer"
    READ_ADDRESSES = "read the addresses that a partner has deposited"
    HAND_OVER = "have steps of custody sent to the chain"
    READ_STEPS = "read the steps that the chain has taken of a unit"
    READ_TRAIL = "read trails, lineages and recalls, as far as the statements may be seen"
    READ_NOTICES = "read notices"
    KEEP_WEBHOOKS = "keep webhooks"
    RAISE_RECALL = "tell those who have it that something is recalled"
    READ_NOTE = "read the page of a printed note"
    ANSWER_NOTE = "answer a printed note"
    PRINT_NOTE = "print the note of a despatch"
    KEEP_PINS = "set the PINs of own sites"
    READ_REQUESTS = "read own signing requests"
    SETTLE_REQUEST = "say what became of a signing request"
    ASSESS = "have what disruptions do to itself assessed"
    READ_REPORTS = "read own reports of what happens and of what might"
    READ_VIEW = "read own view of the shared network"
    READ_PLANS = "read the continuity plans that name it"
    READ_DISRUPTIONS = "read reports of disruptions"
    STRESS = "have own view of the shared network tested"
    READ_EXPOSURE = "read how exposed it is itself"
    KEEP_THRESHOLD = "say from which effect on to be interrupted"
    READ_ALERTS = "read own alerts"
    ACKNOWLEDGE = "acknowledge an alert"
    READ_FACT_REQUESTS = "read what you ask others for, and what others ask you for"
    LINK_FACT_REQUEST = "make a link to the page of a request for facts"
    FILL_FACTS = "read facts out of a table"
    READ_FACT_PAGE = "read the page of a request for facts"
    ANSWER_FACT_PAGE = "answer on the page of a request for facts"
    OPERATE = "operate the service"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: a member, the operator at the machine itself, or, with neither, anyone."""

    member: bytes | None = None
    is_operator: bool = False


ANYONE = Actor()


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about: whose it is, who may see it besides, and what a grant in force shows who asks.

    `granted` is how much of the content: all, nothing but the header, or what is at some pointers. None: no grant.
    """

    issuer: bytes
    readers: frozenset[bytes] = frozenset()
    granted: Shown | None = None


Fields = frozenset[str]
NOTHING: Fields = frozenset()
DONE: Fields = frozenset({"done"})
"""The answer for actions that show nothing: they may be done."""

ENVELOPE: Fields = frozenset({"header", "signature", "content", "secret", "original"})
CLOCKS: Fields = frozenset({"digest", "state", "registeredAt", "anchoredAt", "erasedAt", "block", "times", "void"})
STATEMENT: Fields = ENVELOPE | CLOCKS
HEADER: Fields = CLOCKS | {"header", "signature"}
OFFER: Fields = frozenset(
    {"answers", "deadline", "despatch", "giver", "madeAt", "replacedBy", "state", "taker", "unanswered", "units"}
)
TRAIL: Fields = frozenset(
    {
        "answer",
        "at",
        "batches",
        "clock",
        "custodians",
        "direction",
        "findings",
        "gone",
        "hidden",
        "indexed",
        "items",
        "next",
        "records",
        "registered",
        "shipments",
        "things",
        "total",
        "unit",
        "units",
        "unread",
    }
)
DISCLOSED: Fields = frozenset({"disclosed"})
"""Single fields of a content with their proofs: what a grant shows that does not show all."""

REQUEST: Fields = frozenset(
    {"id", "state", "despatch", "asked", "kind", "content", "madeAt", "settledAt", "statement", "declined"}
)

REPORT: Fields = frozenset({"content", "digest", "number", "registeredAt", "state"})

_ANYONE = {
    Action.SIGN_IN: DONE,
    Action.READ_NETWORK: frozenset(
        {
            "origin",
            "chainId",
            "registry",
            "checkpoints",
            "demo",
            "logKey",
            "limits",
            "members",
            "versions",
            "now",
            "custody",
        }
    ),
    Action.READ_DOCUMENTATION: DONE,
    # Whoever holds the paper; what the page shows stands on it, and to answer takes the PIN of the taker's site.
    Action.READ_NOTE: DONE,
    Action.ANSWER_NOTE: DONE,
    # Whoever has the link, which the asker gives away; to answer takes the PIN of whoever is asked.
    Action.READ_FACT_PAGE: DONE,
    Action.ANSWER_FACT_PAGE: DONE,
    Action.WATCH_HEALTH: DONE,
}
_MEMBERS = {
    Action.READ_TRUST: DONE,
    Action.READ_MEMBERS: frozenset(
        {
            "id",
            "did",
            "name",
            "identifiers",
            "state",
            "states",
            "voting",
            "keys",
            "rootKey",
            "nonce",
            "head",
            "retirementBlocks",
        }
    ),
    Action.READ_POLICY: DONE,
    Action.CHANGE_MEMBERS: DONE,
    Action.READ_LOG: DONE,
    Action.COSIGN: DONE,
    Action.READ_ADDRESSES: DONE,
    Action.HAND_OVER: DONE,
    Action.READ_STEPS: DONE,
    # What is in it comes from the statements that `Ledger.sight` shows the member, and of the others only their number.
    Action.READ_TRAIL: TRAIL,
    # Each its own alone: these are asked for by nothing but the caller's own id.
    Action.READ_NOTICES: frozenset({"at", "body", "kind"}),
    Action.KEEP_WEBHOOKS: DONE,
    # It reaches as far as the caller's own sight of the trails does.
    Action.RAISE_RECALL: DONE,
    Action.KEEP_PINS: frozenset({"site", "setAt"}),
    # A report is made of the caller's own view, and a view is `risk.sharing`'s rule of what a member may see.
    Action.ASSESS: REPORT,
    Action.READ_REPORTS: REPORT | {"summary"},
    Action.READ_VIEW: frozenset({"aged", "checkpoint", "coverage", "day", "inconsistencies", "openRequests", "sites"}),
    # A plan is shown whole to whom it names and to who stated it, and to nobody else.
    Action.READ_PLANS: frozenset(
        {"agreed", "exercises", "inForce", "issuer", "key", "measures", "missing", "name", "triggers", "until"}
    ),
    # Both are made of the same view, and of nothing else.
    Action.STRESS: REPORT,
    Action.READ_EXPOSURE: DONE,
    # Each disruption is made of the reports whose statements `Ledger.sight` shows the member, and of no other.
    Action.READ_DISRUPTIONS: frozenset(
        {
            "certainty",
            "ends",
            "event",
            "isCancelled",
            "isDisputed",
            "isOver",
            "key",
            "onset",
            "reports",
            "severity",
            "sources",
            "status",
        }
    ),
    Action.KEEP_THRESHOLD: DONE,
    Action.READ_ALERTS: DONE,
    Action.ACKNOWLEDGE: DONE,
    Action.READ_REQUESTS: REQUEST,
    Action.SETTLE_REQUEST: REQUEST,
    # Each its own: `FactRequests.of` gives a member what it asks and what it is asked, and nothing else.
    Action.READ_FACT_REQUESTS: frozenset(
        {
            "answers",
            "asked",
            "asker",
            "at",
            "document",
            "level",
            "passedOnAs",
            "purpose",
            "replacedBy",
            "request",
            "state",
            "until",
            "wanted",
        }
    ),
    # What is read is the caller's own file; of the ledger only its own facts are held against it.
    Action.FILL_FACTS: DONE,
}
_ISSUER = {
    Action.REGISTER: DONE,
    Action.CAPTURE: DONE,
    Action.ERASE: DONE,
    Action.OFFER: DONE,
    Action.HAVE_HANDED_OVER: DONE,
    Action.PRINT_NOTE: DONE,
    Action.LINK_FACT_REQUEST: DONE,
}
_READERS = {
    Action.READ_STATEMENT: STATEMENT,
    Action.READ_STREAM: frozenset({"stream", "issuer", "audience", "highest", "registered", "holes"}),
    Action.READ_FINDINGS: frozenset({"finding", "stream", "first", "last", "since", "digest", "sequence", "what"}),
    Action.BUNDLE: ENVELOPE,
    Action.READ_OFFER: OFFER,
    Action.FOLLOW: STATEMENT - ENVELOPE | {"header"},
}
_GRANTED = {
    Action.READ_STATEMENT: HEADER,
    Action.READ_STREAM: frozenset({"stream", "issuer", "highest", "registered", "holes"}),
    Action.READ_FINDINGS: _READERS[Action.READ_FINDINGS],
    Action.BUNDLE: frozenset({"header", "signature"}),
    Action.FOLLOW: _READERS[Action.FOLLOW],
}
"""What any grant shows; of contents it shows more, see `_content`. Who else reads is none of an auditor's business."""
_OPERATOR = {Action.OPERATE: DONE}


def can(actor: Actor, action: Action, subject: Subject | None = None) -> Fields:
    """The fields `actor` may have by doing `action`, empty where it may not.

    Without a `subject` the answer is whether the actor may ask at all; of a certain statement or stream, ask with it.
    """
    if action in _ANYONE:
        return _ANYONE[action]
    if action in _OPERATOR:
        return _OPERATOR[action] if actor.is_operator else NOTHING
    if actor.member is None:
        return NOTHING
    if action in _MEMBERS:
        return _MEMBERS[action]
    if action in _ISSUER:
        return _ISSUER[action] if subject is None or subject.issuer == actor.member else NOTHING
    if action in _READERS:
        if subject is None or actor.member == subject.issuer or actor.member in subject.readers:
            return _READERS[action]
        if subject.granted is not None and action in _GRANTED:
            return _GRANTED[action] | _content(action, subject.granted)
    return NOTHING


def _content(action: Action, granted: Shown) -> Fields:
    """What a grant adds. The text that a content was read from is not signed, and no grant shows it."""
    if granted is False or action not in (Action.READ_STATEMENT, Action.BUNDLE):
        return NOTHING
    return frozenset({"content", "secret"}) if granted is True else DISCLOSED


def content_for(actor: Actor, subject: Subject) -> Shown:
    """How much of a statement's content `actor` may have: all, nothing, or what is at and below these pointers."""
    fields = can(actor, Action.BUNDLE, subject)
    if "content" in fields:
        return True
    return subject.granted if "disclosed" in fields and subject.granted is not None else False
