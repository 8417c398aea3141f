"""The documentation page: the OpenAPI document as one HTML page without scripts, fonts or anything from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from konkordat.api.answers import Header

PAGE_POLICY: Final[Header] = (
    b"content-security-policy",
    b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
)
_STYLE: Final = """
:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
code{font:.9em ui-monospace,monospace}table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #8884}
details{margin:.4rem 0;padding:.3rem .8rem;border:1px solid #8886;border-radius:.4rem}
summary{cursor:pointer}.m{display:inline-block;min-width:4.5rem;font-weight:700}pre{overflow:auto}
nav a{margin-right:1rem}
"""


def docs_page(document: Mapping[str, Any]) -> bytes:
    """The page."""
    info = document["info"]
    tags = [tag["name"] for tag in document["tags"]]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
        f"<pre>{escape(info['description'])}</pre>",
        '<p><a href="/openapi.json">openapi.json</a></p>',
        "<nav>" + "".join(f'<a href="#{escape(t)}">{escape(t)}</a>' for t in tags) + "</nav>",
    ]
    for tag in tags:
        parts.append(f'<h2 id="{escape(tag)}">{escape(tag)}</h2>')
        parts += _operations(document, tag)
    parts.append("<h2 id='schemas'>Schemas</h2>")
    parts += [_schema(name, schema) for name, schema in document["components"]["schemas"].items()]
    parts.append("</body></html>")
    return "".join(parts).encode()


def _operations(document: Mapping[str, Any], tag: str) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield _operation(path, method, operation)


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> str:
    scope = operation.get("x-scope")
    needs = f" · needs <code>{escape(scope)}</code>" if scope else ""
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code></td><td>{escape(p['in'])}</td>"
        f"<td>{escape(p.get('description', ''))}</td></tr>"
        for p in operation.get("parameters", ())
    )
    replies = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{_types(reply)}</td>"
        f"<td>{escape(reply['description'])}</td></tr>"
        for status, reply in operation["responses"].items()
    )
    body = operation.get("requestBody")
    sent = f"<p>Send: {_types(body)}</p>" if body else ""
    return (
        f'<details><summary><span class="m">{method.upper()}</span> <code>{escape(path)}</code> '
        f"{escape(operation['summary'])}{needs}</summary><p>{escape(operation.get('description', ''))}</p>"
        f"{sent}<table>{rows}</table><h4>Answers</h4><table>{replies}</table></details>"
    )


def _types(holder: Mapping[str, Any]) -> str:
    """The media types of a body, with links to their schemas."""
    shown = []
    for media_type, content in holder.get("content", {}).items():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        link = f' <a href="#schema-{escape(name)}">{escape(name)}</a>' if name else ""
        shown.append(f"<code>{escape(media_type)}</code>{link}")
    return "<br>".join(shown)


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code>{' *' if field in required else ''}</td>"
        f"<td>{escape(_kind(part))}</td><td>{escape(_note(part))}</td></tr>"
        for field, part in schema.get("properties", {}).items()
    )
    note = escape(schema.get("description", ""))
    return (
        f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<p>{note}</p><table>{rows}</table></details>"
    )


def _kind(schema: Any) -> str:
    """A schema in a few words."""
    if not isinstance(schema, Mapping):
        return "any"
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "anyOf" in schema:
        return " or ".join(_kind(part) for part in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("type", "any"))


def _note(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return ""
    if "description" in schema:
        return str(schema["description"])
    return next(filter(None, map(_note, schema.get("anyOf", ()))), "")
