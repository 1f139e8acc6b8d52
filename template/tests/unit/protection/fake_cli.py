"""A fake of a platform's command line: it answers from a JSON file and keeps what it is told.

A script called gh, glab or az calls ``main``. The platform's routes lie beside it: each says which
fields a body must have and which it may have, as the platform publishes; others are refused.
"""

import json
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any


class Refused(Exception):  # noqa: N818
    """An answer that is no success."""

    def __init__(self, status: int, why: str = "") -> None:
        super().__init__(why)
        self.status = status


def load(name: str) -> ModuleType:
    """Return a platform's module, from this folder."""
    path = Path(__file__).with_name(f"{name}.py")
    spec = spec_from_file_location(f"fake_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answer(platform: ModuleType, state: dict[str, Any], method: str, path: str, body: Any) -> Any:
    """Do what a request asks of the state, and return what the platform would answer."""
    if state.get("gone"):
        raise Refused(404, "Not Found")
    if re.search(state.get("refused", r"\Z."), f"{method} {path}"):
        raise Refused(422, "the plan has no such thing")
    for verb, pattern, fields, act in platform.ROUTES:
        match = re.fullmatch(pattern, path if "?" in pattern else path.partition("?")[0])
        if verb != method or not match:
            continue
        if fields is not None:
            check(body, fields)
        return act(state, *match.groups(), *([] if fields is None else [body]))
    raise Refused(501, f"no route {method} {path}")


def check(body: Any, fields: str) -> None:
    """Refuse a body that lacks a field, or has one that is not listed; optional ones end in ?."""
    known = {name.rstrip("?"): name.endswith("?") for name in fields.split()}
    if unknown := body.keys() - known:
        raise Refused(422, f"unknown: {', '.join(sorted(unknown))}")
    if lacking := {name for name, optional in known.items() if not optional} - body.keys():
        raise Refused(422, f"missing: {', '.join(sorted(lacking))}")


def one(items: list[Any], **wanted: Any) -> Any:
    """Return the item with these values; refuse where there is none."""
    for item in items:
        if all(item.get(key) == value for key, value in wanted.items()):
            return item
    raise Refused(404, "Not Found")


def put(items: list[Any], body: Any) -> Any:
    """Add an item and give it a number."""
    body = {"id": len(items) + 1, **body}
    items.append(body)
    return body


def run(name: str, file: Path, arguments: list[str], text: str) -> tuple[int, str, str]:
    """Return the exit code, the output and what is said on standard error."""
    platform, state = load(name), json.loads(file.read_text())
    if arguments == platform.LOGIN:
        return (0 if state["login"] else 1), "", ""
    method, path = platform.parse(arguments)
    try:
        result = answer(platform, state, method, path, json.loads(text) if text else None)
    except Refused as refused:
        return 1, "", platform.error(refused.status, str(refused))
    state["log"].append([method, path])
    file.write_text(json.dumps(state))
    return 0, "" if result is None else json.dumps(result), ""


def main(name: str, file: Path) -> int:
    """Be the command line."""
    code, out, said = run(name, file, sys.argv[1:], sys.stdin.read())
    sys.stdout.write(out)
    sys.stderr.write(said)
    return code
