"""Typst: data in, PDF out. Nothing that others wrote is ever part of a template.

Fonts come out of packages and never from the machine, so that the same data give the same bytes everywhere.
"""

import importlib.util
import io
import json
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api.paper import CannotPrint

if TYPE_CHECKING:
    import typst

_TEMPLATES = Path(__file__).parent
_FONTS = (("fontpkg_noto_sans", "files"), ("noto_cjk_sans_jp_regular", "."))
_LONG_WORD = re.compile(r"\S{25,}")
_LONG_RUN = re.compile(r"[^\u200b\s]{40,}")
_RARE = re.compile(
    "[^\x00-\u024f\u0300-\u036f\u0370-\u03ff\u0400-\u04ff\u1e00-\u22ff\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef]"
)
"""Letters outside of the scripts that the fonts have for certain."""
_MOST_RARE = 200
"""Different ones of them on one paper that are tried; all beyond are boxes."""
_BOX = "\u25a1"
_LAST_SECOND = 253_402_300_799


def pdf(template: str, data: Mapping[str, Any], *, at: int) -> bytes:
    """The PDF that the template `template` makes of `data`, dated `at` (seconds UTC); PDF/A-2a, tagged.

    The same arguments give the same bytes. `data` is JSON and reaches the template as values, which typst sets and
    never reads as its language.
    """
    made = _compile(template, data, at, "pdf", pdf_standards=["a-2a"])
    assert isinstance(made, bytes)
    return made


def pictures(template: str, data: Mapping[str, Any], *, at: int, pixels_per_inch: float = 96) -> list[bytes]:
    """The same pages as PNG, for somebody to look at."""
    made = _compile(template, data, at, "png", ppi=pixels_per_inch)
    return [made] if isinstance(made, bytes) else list(made)


def square_code(text: str) -> str:
    """`text` as a QR code, an SVG image with its quiet zone; a quarter of it may be smudged."""
    import segno

    file = io.BytesIO()
    segno.make(text, error="q", micro=False).save(file, kind="svg", border=4, omitsize=True, xmldecl=False)
    return file.getvalue().decode()


def breakable(text: str) -> str:
    """`text` with places to break it in words too long for a line."""
    at_marks = _LONG_WORD.sub(lambda word: re.sub(r"([./:;,_#?&=@-])", "\\1\u200b", word.group()), text)
    return _LONG_RUN.sub(lambda run: "\u200b".join(re.findall(r".{1,16}", run.group(), re.DOTALL)), at_marks)


def _compile(template: str, data: Mapping[str, Any], at: int, form: Any, **options: Any) -> bytes | list[bytes]:
    import typst

    try:
        compiler = typst.Compiler(
            str(_TEMPLATES / template),
            root=str(_TEMPLATES),
            font_paths=_fonts(),
            ignore_system_fonts=True,
            sys_inputs={"data": _shown(json.dumps(_broken(data), ensure_ascii=False, sort_keys=True))},
        )
        stamp = datetime.fromtimestamp(min(max(at, 0), _LAST_SECOND), UTC)
        made: Any = compiler.compile(format=form, timestamp=stamp, **options)
    except typst.TypstError as error:
        raise CannotPrint(f"the page could not be set: {error}") from error
    return made  # type: ignore[no-any-return]


def _broken(value: Any) -> Any:
    """`value` with places to break in all its texts but images."""
    if isinstance(value, str):
        return _without_marks(value) if value.startswith("<svg") else breakable(value)
    if isinstance(value, Mapping):
        return {key: _broken(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_broken(one) for one in value]
    return value


def _without_marks(image: str) -> str:
    """`image` without marks that are letters of their own: typst sets texts of images so that PDF/A refuses these."""
    return "".join(
        one for one in unicodedata.normalize("NFC", image) if unicodedata.category(one) not in ("Mn", "Me", "Cf")
    )


def _shown(text: str) -> str:
    """`text` with a box for each letter that none of the fonts has: PDF/A takes no page with one of these."""
    rare = sorted(set(_RARE.findall(text)))
    missing = [one for at, one in enumerate(rare) if at >= _MOST_RARE or not _has_glyph(one)]
    return text.translate(dict.fromkeys(map(ord, missing), _BOX))


@lru_cache(maxsize=4096)
def _has_glyph(letter: str) -> bool:
    import typst

    try:
        typst.Compiler(
            str(_TEMPLATES / "glyph.typ"), root=str(_TEMPLATES), font_paths=_fonts(), ignore_system_fonts=True,
            sys_inputs={"letter": letter},
        ).compile(format="pdf", pdf_standards=["a-2a"], timestamp=datetime.fromtimestamp(0, UTC))  # fmt: skip
    except typst.TypstError:
        return False
    return True


@lru_cache(maxsize=1)
def _fonts() -> "typst.Fonts":
    import typst

    folders = []
    for package, folder in _FONTS:
        found = importlib.util.find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise CannotPrint(f"the fonts of {package} are not installed: install what pyproject.toml asks for")
        folders.append(str(Path(found.submodule_search_locations[0]) / folder))
    return typst.Fonts(include_system_fonts=False, font_paths=folders)
