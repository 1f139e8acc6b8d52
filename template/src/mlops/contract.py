"""What a caller may send and what comes back: written beside the model, read by every server.

It is derived from the team's schema when the model is trained, so that a server needs neither the
schema nor pandas.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from . import project
from .errors import MlopsError

FILE = "contract.json"
FLOAT32 = 3.4028234663852886e38  # the largest
INTEGER = 2**53  # beyond, readers of JSON differ (RFC 7493)
QUANTILES = [0.001, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.999]

Kind = Literal["text", "integer", "number"]


class Field(BaseModel):
    """One input. ``usual`` is what training saw: a range, or for a text its values."""

    name: str
    kind: Kind
    description: str = ""
    nullable: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: list[str] | None = None
    pattern: str | None = None
    personal: bool = False
    example: str | int | float | None
    typical: str | int | float | None  # the most frequent text, the median number
    usual: tuple[float, float] | list[str]

    @property
    def limits(self) -> tuple[float, float]:
        """Return the least and the largest number that is taken."""
        whole = self.kind == "integer"
        widest = INTEGER if whole else FLOAT32
        low = -widest if self.minimum is None else max(self.minimum, -widest)
        high = widest if self.maximum is None else min(self.maximum, widest)
        return (math.ceil(low), math.floor(high)) if whole else (float(low), float(high))

    @property
    def allowed(self) -> str:
        """Say what is taken."""
        if self.choices:
            text = f"one of {', '.join(self.choices)}"
        elif self.kind == "text":
            text = f"a text matching {self.pattern}" if self.pattern else "a text"
        else:
            low, high = self.limits
            number = "an integer" if self.kind == "integer" else "a number"
            text = f"{number} from {low:g} to {high:g}"
        return f"{text}, or null" if self.nullable else text


class Contract(BaseModel):
    """The inputs by name and order, and the predictions' distribution on the newest periods."""

    name: str
    task: str
    classes: int = 0  # more than two: a prediction is a list of as many probabilities
    fields: list[Field]
    key: list[str] = []  # columns that name a record; a batch's answers carry them
    quantiles: list[float]  # of the predictions, at QUANTILES; of the largest, with classes

    @classmethod
    def read(cls, folder: Path) -> "Contract":
        """Read the contract that lies beside a model."""
        path = folder / FILE
        if not path.is_file():
            raise MlopsError(f"{folder} holds no {FILE}: the model is older; train it again.")
        return cls.model_validate_json(path.read_text(encoding="utf-8"))

    def write(self, folder: Path) -> None:
        """Write the contract beside a model."""
        (folder / FILE).write_text(self.model_dump_json(indent=1) + "\n", encoding="utf-8")

    @property
    def example(self) -> dict[str, Any]:
        """Return a record that is answered."""
        return {field.name: field.example for field in self.fields}


def derive(
    columns: dict[str, Any],
    X: Any,
    example: dict[str, Any],
    prediction: Any,
    key: Sequence[str] = (),
) -> Contract:
    """Return the contract.

    Args:
        columns: pandera's, of schema.Inputs.
        X: the inputs of the newest periods, a frame.
        example: a record without gaps.
        prediction: the predictions for ``X``, shape (rows,) or (rows, classes).
        key: the columns that name a record.
    """
    fields = [_field(name, column, X[name], example[name]) for name, column in columns.items()]
    several = prediction.ndim == 2
    quantiles = np.quantile(prediction.max(axis=1) if several else prediction, QUANTILES)
    return Contract(
        name=project.NAME,
        task=project.TASK,
        fields=fields,
        key=list(key),
        classes=prediction.shape[1] if several else 0,
        quantiles=[float(value) for value in quantiles],
    )


def edges(task: str) -> list[float]:
    """Return the upper edges of every histogram of predictions: fixed, so that two compare.

    Each 0.02 of a probability; for a regression, eight a decade from 1e-3 to 1e9 on both sides.
    """
    if task == "classification":
        return [step / 50 for step in range(1, 51)]
    positive = [float(f"{10 ** (step / 8):.4g}") for step in range(-24, 73)]
    return [-edge for edge in reversed(positive)] + [0.0] + positive


def breaking(before: Contract, after: Contract) -> list[str]:
    """Say what a caller of ``before`` could no longer send, or would no longer get."""
    old = {field.name: field for field in before.fields}
    new = {field.name: field for field in after.fields}
    found = [f"{name}: is asked for now" for name in new.keys() - old.keys()]
    found += [f"{name}: is no known field now" for name in old.keys() - new.keys()]
    for name, field in new.items():
        found += _narrowed(old[name], field) if name in old else []
    if (before.task, before.classes) != (after.task, after.classes):
        found.append("prediction: has another form")
    return sorted(found)


def _narrowed(old: Field, new: Field) -> Iterable[str]:
    same = old.kind == new.kind or (old.kind, new.kind) == ("integer", "number")
    if not same:
        yield f"{old.name}: was {old.kind}, is {new.kind}"
    if old.nullable and not new.nullable:
        yield f"{old.name}: null is refused now"
    if new.minimum is not None and (old.minimum is None or old.minimum < new.minimum):
        yield f"{old.name}: from {new.minimum:g} on now, was {old.minimum}"
    if new.maximum is not None and (old.maximum is None or old.maximum > new.maximum):
        yield f"{old.name}: up to {new.maximum:g} now, was {old.maximum}"
    if new.choices is not None and (lost := set(old.choices or ["any"]) - set(new.choices)):
        yield f"{old.name}: {', '.join(sorted(lost))} is refused now"
    if new.pattern is not None and old.choices is None and old.pattern != new.pattern:
        yield f"{old.name}: must match {new.pattern} now, was {old.pattern}"


def _field(name: str, column: Any, values: Any, example: Any) -> Field:
    rules: dict[str, Any] = {}
    for check in column.checks:
        rules |= check.statistics
    kind = _kind(str(column.dtype))
    metadata = column.metadata or {}
    personal = bool(metadata.get("personal"))
    if personal:  # nobody's own value stands in a file that callers can read
        if "example" not in metadata and not column.nullable:
            raise MlopsError(
                f"schema: {name} is personal: give an example that is nobody's, "
                f'metadata={{"personal": True, "example": ...}}.'
            )
        example = metadata.get("example")
        values = values.iloc[:0]
    known = values.dropna()
    shared: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "description": column.description or "",
        "nullable": column.nullable,
        "personal": personal,
    }
    if kind == "text":
        counts = known.astype(str).value_counts()
        return Field(
            **shared,
            choices=[str(value) for value in rules["allowed_values"]]
            if "allowed_values" in rules
            else None,
            pattern=_anchored(rules.get("pattern")),
            example=example,
            typical=str(counts.index[0]) if len(counts) else example,
            usual=sorted(map(str, counts.index)),
        )
    cast = int if kind == "integer" else float
    low, middle, high = example or 0, example or 0, example or 0
    if len(known):
        low, middle, high = np.quantile(known, [0.001, 0.5, 0.999])
    return Field(
        **shared,
        minimum=rules.get("min_value"),
        maximum=rules.get("max_value"),
        example=None if example is None else cast(example),
        typical=cast(middle),
        usual=(float(low), float(high)),
    )


def _anchored(pattern: Any) -> str | None:
    """Return the pattern as pandera's ``str_matches`` means it: from the beginning."""
    text = getattr(pattern, "pattern", pattern)
    return text if text is None or text.startswith("^") else f"^(?:{text})"


def _kind(dtype: str) -> Kind:
    if dtype.startswith(("int", "Int", "uint", "UInt")):
        return "integer"
    return "number" if dtype.startswith(("float", "Float")) else "text"
