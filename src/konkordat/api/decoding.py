"""Bodies as typed values, and failures as problems that point at the place.

The way for good input is one prepared msgspec decoder. What explains bad input runs only when that has failed.
"""

from __future__ import annotations

import ast
import json
import math
import re
from typing import Any, Final, TypeVar

import msgspec

from konkordat.api.problems import FieldError, Problem
from konkordat.api.settings import JSON_DEPTH_MAX
from konkordat.kernel.canonical import INT_MAX, INT_MIN
from konkordat.schedule.fields import FORMS_SAID

T = TypeVar("T")

_WHERE: Final = re.compile(r" - at `(?:key` in `)?\$([^`]*)`$")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[(\.\.\.)\]")
_FORM: Final = re.compile(r"matching regex ('.*'|\".*\")$")  # as Python's repr writes the pattern
_UNKNOWN: Final = re.compile(r"Object contains unknown field `([^`]*)`")
_MISSING: Final = re.compile(r"Object missing required field `([^`]*)`")


def decode(decoder: msgspec.json.Decoder[T], body: bytes, pointer: str = "") -> T:
    """The value in a body. Raises Problem: bad_json, too_deep, or invalid with a pointer below `pointer`."""
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise refused_value(error, body, pointer) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(body, pointer) from error


def refused_value(error: msgspec.ValidationError, body: bytes, pointer: str = "") -> Problem:
    """Why well-formed JSON does not fit. Too deep comes first: it is the reason for whatever else is wrong. Of a number
    that no computer holds, msgspec does not say the whole place."""
    if _brackets(body) > JSON_DEPTH_MAX or "out of range" in str(error):
        deeper = _examine(body, pointer)
        if deeper is not None:
            return deeper
    return misfit(str(error), pointer)


def misfit(message: str, pointer: str = "") -> Problem:
    """Msgspec's "… - at `$.slot.room`" as a problem with a JSON pointer."""
    found = _WHERE.search(message)
    text = message[: found.start()] if found else message
    at = pointer + (_pointer(found[1]) if found else "")
    code = _code(text)
    named = _UNKNOWN.match(text) or _MISSING.match(text)
    if named:
        at += "/" + escaped(named[1])
    detail = _sentence(text)
    return Problem("invalid", detail, errors=[FieldError(code, at, detail)])


def unreadable(body: bytes, pointer: str = "") -> Problem:
    """Why bytes are not JSON that can be kept: malformed, or values that JSON's relatives know and JSON does not."""
    return _examine(body, pointer) or Problem("bad_json", "The body is not well-formed JSON.")


def escaped(name: str) -> str:
    """A name as one step of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def _pointer(path: str) -> str:
    steps = []
    for name, index, some in _STEP.findall(path):
        if some:  # msgspec does not say which key of a map; the map itself is the best place known
            break
        steps.append(escaped(name) if name else index)
    return "".join(f"/{step}" for step in steps)


def _code(text: str) -> str:
    if _UNKNOWN.match(text):
        return "unknown_field"
    if _MISSING.match(text):
        return "missing_field"
    if "of length" in text or "<=" in text or ">=" in text or "out of range" in text:
        return "out_of_range"
    if "matching regex" in text:
        return "wrong_form"
    if text.startswith("Expected"):
        return "wrong_type"
    return "invalid_value"


def _sentence(text: str) -> str:
    form = _FORM.search(text)
    said = FORMS_SAID.get(ast.literal_eval(form[1])) if form else None
    if said:
        return f"Not of the form expected here. {said}"
    text = text.replace("`", "'")
    return text if text.endswith(".") else f"{text}."


def _brackets(body: bytes) -> int:
    """An upper bound of the depth, without looking at anything else."""
    return body.count(b"[") + body.count(b"{")


def _examine(body: bytes, pointer: str) -> Problem | None:
    """Look at a body with a parser that is more lenient than JSON, to say what exactly is wrong."""
    try:
        value = json.loads(body)
    except RecursionError:
        return Problem("too_deep", f"The body is nested deeper than {JSON_DEPTH_MAX}.")
    except UnicodeDecodeError:
        return Problem("bad_json", "The body is not UTF-8.")
    except json.JSONDecodeError as error:
        if error.msg == "Expecting value" and not body.strip():
            return Problem("bad_json", "The body is empty.")
        return Problem("bad_json", f"The body is not JSON at character {error.pos}: {error.msg}.")
    except ValueError:  # a number of more digits than Python converts
        return _unfit("a number has too many digits", pointer)
    return _unfit_part(value, pointer, 0)


def _unfit_part(value: Any, pointer: str, depth: int) -> Problem | None:
    """The first part that cannot be kept."""
    if depth > JSON_DEPTH_MAX:
        return Problem("too_deep", f"The body is nested deeper than {JSON_DEPTH_MAX}.")
    if isinstance(value, str):
        return None if _is_text(value) else _unfit("text contains a lone surrogate", pointer)
    if isinstance(value, float):
        return None if math.isfinite(value) else _unfit(f"{value} is not a JSON number", pointer)
    if isinstance(value, int):
        fits = INT_MIN <= value <= INT_MAX
        return None if fits else _unfit("a whole number is beyond 64 bits", pointer)
    if isinstance(value, dict):
        for key, item in value.items():
            if not _is_text(key):
                return _unfit("a name contains a lone surrogate", pointer)
            found = _unfit_part(item, f"{pointer}/{escaped(key)}", depth + 1)
            if found:
                return found
    if isinstance(value, list):
        for index, item in enumerate(value):
            found = _unfit_part(item, f"{pointer}/{index}", depth + 1)
            if found:
                return found
    return None


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unfit(what: str, pointer: str) -> Problem:
    detail = f"{what[0].upper()}{what[1:]}."
    return Problem("invalid", detail, errors=[FieldError("unfit_value", pointer, detail)])
