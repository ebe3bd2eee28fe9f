"""The API's documentation as one page of plain HTML, written from openapi.json: nothing to load from anywhere."""

import html
import json
import re
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse
from starlette.responses import Response

from api.problems import KINDS
from api.service import Caller, asks
from api.visibility import Action

router = APIRouter(include_in_schema=False)
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2430}
h1{margin-bottom:0}h2{margin-top:2.5rem;border-bottom:1px solid #d8d8d2}summary{cursor:pointer;padding:.35rem 0}
code,pre{font:14px/1.45 ui-monospace,monospace}pre{background:#f3f3ee;padding:.75rem;overflow:auto}
details{border-bottom:1px solid #ececE6}.method{display:inline-block;min-width:4.5rem;font-weight:700}
.get{color:#17603a}.post{color:#8a4b08}.delete{color:#9c1c1c}td,th{text-align:left;padding:.2rem 1rem .2rem 0}
.demo{background:#9c1c1c;color:#fff;padding:.2rem .6rem}
"""


@router.get("/")
def front(caller: Caller = asks(Action.READ_DOCUMENTATION)) -> Response:
    """Whoever types the bare address wants to know what this is."""
    del caller
    return RedirectResponse("/docs")


@router.get("/docs", response_class=HTMLResponse)
def documentation(request: Request, caller: Caller = asks(Action.READ_DOCUMENTATION)) -> Response:
    """All routes with their parameters, examples and problems."""
    schema = request.app.openapi()
    demo = '<p class="demo">DEMO</p>' if caller.service.network.is_demo else ""
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width,initial-scale=1'>",
        f"<title>{_text(schema['info']['title'])}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{_text(schema['info']['title'])}</h1>{demo}<p>{_prose(schema['info']['description'])}</p>",
        "<p>The same as <a href=/openapi.json>openapi.json</a>.</p>",
    ]
    by_tag: dict[str, list[str]] = {}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(path, method, operation))
    for tag, operations in by_tag.items():
        parts += [f"<h2>{_text(tag.capitalize())}</h2>", *operations]
    parts.append("<h2>Problems</h2><table><tr><th>status<th>type<th>title")
    kinds = sorted({(one.status, one.type, one.title) for one in KINDS.values()})
    parts += [f"<tr><td>{status}<td><code>{_text(name)}</code><td>{_text(title)}" for status, name, title in kinds]
    parts.append("</table></body></html>")
    policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
    return HTMLResponse("".join(parts), headers={"Content-Security-Policy": policy})


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    first, _, _ = operation["description"].partition("\n")
    name = f"<span class='method {method}'>{method.upper()}</span><code>{_text(path)}</code>"
    parts = [f"<details><summary>{name} {_prose(first)}</summary>", f"<p>{_prose(operation['description'])}</p>"]
    if operation.get("parameters"):
        parts.append("<table><tr><th>parameter<th>in<th>what")
        parts += [
            f"<tr><td><code>{_text(one['name'])}</code><td>{_text(one['in'])}<td>{_prose(one.get('description', ''))}"
            for one in operation["parameters"]
        ]
        parts.append("</table>")
    sent = operation.get("requestBody")
    if sent:
        parts.append(f"<h4>Body</h4><p>{_prose(sent.get('description', ''))}</p>{_contents(sent['content'])}")
    for status, answer in sorted(operation["responses"].items()):
        parts.append(f"<h4>{_text(status)}</h4><p>{_prose(answer['description'])}</p>")
        if status < "400":
            parts.append(_contents(answer.get("content", {})))
    parts.append("</details>")
    return "".join(parts)


def _contents(contents: dict[str, Any]) -> str:
    parts = []
    for media_type, content in contents.items():
        example = content.get("example")
        if example not in (None, ""):
            shown = example if isinstance(example, str) else json.dumps(example, indent=2, ensure_ascii=False)
            parts.append(f"<p><code>{_text(media_type)}</code></p><pre>{_text(shown)}</pre>")
    return "".join(parts)


def _text(value: object) -> str:
    return html.escape(str(value))


def _prose(value: object) -> str:
    """Text for people, in which `this` is code."""
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", _text(value))
