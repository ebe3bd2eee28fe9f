"""HTML that is safe by the way it is made: elements hold elements and texts, and texts are escaped when written."""

import html
from collections.abc import Iterable
from dataclasses import dataclass

_EMPTY = frozenset({"input", "link", "meta", "br", "hr"})


@dataclass(frozen=True, slots=True)
class Element:
    """An element with attributes and children. A text child is text, whatever it looks like."""

    name: str
    attributes: tuple[tuple[str, str | bool], ...]
    children: tuple["Child", ...]

    def __str__(self) -> str:
        written = "".join(
            f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
            for name, value in self.attributes
            if value is not False
        )
        if self.name in _EMPTY:
            return f"<{self.name}{written}>"
        inner = "".join(
            html.escape(one, quote=False) if isinstance(one, str) else str(one) for one in self.children if one
        )
        return f"<{self.name}{written}>{inner}</{self.name}>"


Child = Element | str | None


def e(name: str, /, *children: Child | Iterable[Child], **attributes: str | bool) -> Element:
    """The element `name`; `class_`, `for_` and the like give up their underscore, others become hyphens.

    >>> str(e("p", "1 < 2 ", e("b", "&"), class_="note", data_x='"'))
    '<p class="note" data-x="&quot;">1 &lt; 2 <b>&amp;</b></p>'
    """
    flat: list[Child] = []
    for one in children:
        if one is None or isinstance(one, str | Element):
            flat.append(one)
        else:
            flat.extend(one)
    named = tuple((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    return Element(name, named, tuple(flat))
