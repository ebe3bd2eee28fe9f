"""What page and paper lay out: something that is told in words, tables and drawings. Impact reports, stress tests."""

from collections.abc import Sequence
from typing import Protocol

from api.drawing.blocks import Banner, Section, Tile, Words
from api.drawing.canvas import Canvas
from api.drawing.reading import Reading
from api.drawing.voice import Voice


class Told(Protocol):
    """A report as a person reads it, in the order in which it is read."""

    @property
    def digest(self) -> str | None:
        """The id of its statement, None for one that has none."""

    @property
    def is_demo(self) -> bool: ...

    @property
    def language(self) -> str: ...

    @property
    def reading(self) -> Reading: ...

    @property
    def voice(self) -> Voice: ...

    @property
    def title(self) -> str: ...

    @property
    def heading(self) -> str:
        """What it is called, and for whom it is."""

    @property
    def banners(self) -> Sequence[Banner]: ...

    @property
    def headline(self) -> Words:
        """All of it in one sentence."""

    @property
    def asides(self) -> Sequence[Words]: ...

    @property
    def tiles(self) -> Sequence[Tile]: ...

    @property
    def brief(self) -> Sequence[tuple[str, Words]]: ...

    @property
    def sections(self) -> Sequence[Section]: ...

    def drawing(self, name: str, width: float) -> Canvas | None:
        """The drawing that a `Picture` names, `width` wide; None where there is nothing to draw."""
