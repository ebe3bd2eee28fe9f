"""What a report stands on: its assumptions, how to make it again, and what nobody has words for yet."""

from hashlib import sha256

from api.drawing.blocks import MAX_ROWS, Block, Commands, Facts, Figure, Listing, Sentence, Words
from api.drawing.voice import Voice, flat, short_member
from api.texts import plain
from risk.sharing import canonical

_TOLD = frozenset(
    {"alternatives", "assumptions", "bestPlan", "checkpoint", "confidence", "currency", "day", "days", "effect",
     "interval", "names", "omitted", "oneBucket", "oneMoreDay", "origins", "places", "plans", "reader", "status",
     "suppliers", "to", "undisturbed", "view"}
)  # fmt: skip


def assumptions(voice: Voice) -> list[Block]:
    """What was assumed, in the reader's language."""
    return [Listing(tuple((voice.language.known("assumption", one),) for one in voice.content["assumptions"]))]


def check(voice: Voice, digest: str | None, reader: str) -> list[Block]:
    """How whoever doubts it makes it again."""
    text = voice.text
    origin, size, root = voice.reading.checkpoint
    pairs: list[tuple[str, Words]] = []
    if digest is not None:
        pairs.append((text("check.statement"), (Figure(digest, digest),)))
    if voice.content.get("view"):
        pairs.append((text("check.view"), (plain(str(voice.content["view"]), 80),)))
    pairs.append((text("check.content"), (sha256(canonical(voice.content)).hexdigest(),)))
    log = text("check.size", origin=origin, size=str(size)) if size else origin
    pairs.append((text("check.checkpoint"), (log,)))
    if size:
        pairs.append((text("check.root"), (root,)))
    number = short_member(voice.content["reader"])
    who: Words = (reader, Figure(f" {number}", str(voice.content["reader"]))) if reader else (number,)
    pairs.append((text("check.reader"), who))
    return [
        Sentence(voice.say("check.same")),
        Facts(tuple(pairs)),
        Commands(
            (
                f"tallystick risk report {digest or 'DIGEST'} --out report.json",
                "tallystick risk view --like report.json --out view.json",
                "tallystick risk recompute view.json report.json",
                "tallystick bundle --out bundle.json",
                "tallystick verify bundle.json --trust trust.json",
            )
        ),
    ]


def leftover(voice: Voice) -> list[Block]:
    """Keys of the content that nobody has words for, as they stand, so that nothing of a report is left out."""
    pairs = flat({key: one for key, one in voice.content.items() if key not in _TOLD}, voice.text("unknown"))
    return [Facts(tuple(pairs[:MAX_ROWS]))] if pairs else []
