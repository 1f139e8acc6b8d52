"""What the questions of a version make of the answers that a project records, as Copier does."""

import json
from collections.abc import Callable, Iterator, Mapping
from reprlib import repr as short
from typing import Any

import yaml
from jinja2 import Template

from factory.errors import FactoryError

_FALSE = {"n", "no", "f", "false", "off", "~", "null", "none", ""}


def truth(value: Any) -> bool:
    """Return what Copier takes a value for, where it wants yes or no."""
    try:
        return bool(float(value))
    except (TypeError, ValueError):
        return value.strip().lower() not in _FALSE if isinstance(value, str) else bool(value)


def _text(value: Any) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError("no text")


def _loaded(load: Callable[[str], Any]) -> Callable[[Any], Any]:
    return lambda value: load(value) if isinstance(value, str) else value


_KINDS: dict[str, Callable[[Any], Any]] = {
    "bool": truth,
    "float": float,
    "int": int,
    "json": _loaded(json.loads),
    "path": str,
    "str": _text,
    "yaml": _loaded(yaml.safe_load),
}


class Question:
    """A question of `copier.yml`.

    Args:
        name: What it is called.
        row: What `copier.yml` says of it; what is no mapping is the default alone.
        compiled: Returns the template of a text.
    """

    def __init__(self, name: str, row: Any, compiled: Callable[[str], Template]) -> None:
        self.name = name
        self.row: dict[str, Any] = row if isinstance(row, dict) else {"default": row}
        self._compiled = compiled

    def asked(self, known: Mapping[str, Any]) -> bool:
        """Tell whether it is asked, given the answers before it."""
        return truth(self._value(self.row.get("when", True), known))

    def default(self, known: Mapping[str, Any]) -> Any:
        """Return the answer where none is given.

        Raises:
            FactoryError: There is no default.
        """
        if "default" not in self.row:
            raise FactoryError(f"question {self.name} has no answer and no default: give one")
        return self.answer(self._value(self.row["default"], known), known)

    def answer(self, value: Any, known: Mapping[str, Any]) -> Any:
        """Return an answer as the type that the question has, and several in the order offered.

        Raises:
            FactoryError: It can't be of that type.
        """
        usual = type(self.row.get("default")).__name__
        kind = self._value(self.row.get("type", usual if usual in _KINDS else "yaml"), known)
        try:
            cast = _KINDS[kind]
            if not self.row.get("multiselect"):
                if value is None and kind not in ("json", "yaml"):
                    raise ValueError("no value")
                return cast(value)
            # A list that is written as a text has texts in it, whatever they look like.
            items = yaml.load(value, yaml.BaseLoader) if isinstance(value, str) else value
            given = [cast(item) for item in items]
            return [choice for choice in map(cast, self._choices(known)) if choice in given]
        except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
            raise FactoryError(
                f"{self.name}: {short(value)} is no answer of type {kind}"
            ) from error

    def _choices(self, known: Mapping[str, Any]) -> Iterator[Any]:
        offered = self.row.get("choices", [])
        if isinstance(offered, str):
            offered = yaml.safe_load(self._value(offered, known))
        for item in offered.items() if isinstance(offered, dict) else offered:
            value = item[1] if isinstance(item, list | tuple) else item
            yield self._value(value["value"] if isinstance(value, dict) else value, known)

    def _value(self, value: Any, known: Mapping[str, Any]) -> Any:
        if isinstance(value, list):
            return [self._value(item, known) for item in value]
        return self._compiled(value).render(known) if isinstance(value, str) else value
