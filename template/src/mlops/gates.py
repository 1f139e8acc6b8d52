"""Decides whether a challenger may be registered. Every check has a name, a number and a limit."""

import hashlib
import hmac
import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel

from . import convert, project
from .contract import Contract, breaking
from .errors import GateError
from .footprint import Footprint, measure
from .keys import own_key
from .lineage import Lineage, now, sha256
from .pipeline.evaluate import robustness, scores
from .pipeline.prepare import TARGET, inputs
from .pipeline.train import constant
from .scorer import SERVED, Scorer
from .settings import Gates, Settings

Array = NDArray[np.floating[Any]]

KEY = Path(".secrets/gate.key")
CONFIDENCE = 1.645  # one-sided 95 %
# What decides, beside this module: a change of any of it calls for a new verdict.
CODE = ["contract.py", "footprint.py", "gates.py", "pipeline/evaluate.py", "scorer.py"]


class Check(BaseModel):
    """One gate's verdict."""

    gate: str
    value: float
    limit: float
    rule: Literal["at most", "at least"]
    passed: bool
    note: str = ""

    def __str__(self) -> str:
        return f"{self.gate}: {self.value:.4g}, allowed is {self.rule} {self.limit:.4g}{self.note}"


class Record(BaseModel):
    """What was decided about one model, on which data, against which champions. Signed."""

    model: str  # digest of the served form
    data: str  # digest of the rows that decided
    gates: str  # digest of the limits
    code: str = ""  # digest of the code that decided
    champion: int | None
    created: str
    passed: bool
    checks: list[Check]
    scores: dict[str, dict[str, float]]
    slices: list[dict[str, Any]]
    footprints: dict[str, Footprint]
    signature: str = ""

    def sign(self, key: bytes) -> "Record":
        """Return the record with its signature: HMAC-SHA256 (RFC 2104) over all else."""
        return self.model_copy(update={"signature": self._mac(key)})

    def verify(self, key: bytes, model: str) -> None:
        """Raise :class:`GateError` unless the record is unedited, passed, and about ``model``."""
        if not hmac.compare_digest(self.signature, self._mac(key)):
            raise GateError(
                "record.signature: the gate record was edited, or signed with another key "
                "(MLOPS_SIGNING_KEY): run `make candidate` again."
            )
        if self.model != model:
            raise GateError(
                f"record.model: the gate record is about model {self.model[:12]}, not "
                f"{model[:12]}: run `make candidate` again."
            )
        if self.code != code_digest():
            raise GateError(
                "record.code: uncertified: the code of the gates has changed since: run "
                "`make candidate` and `make register` again."
            )
        if not self.passed:
            failed = "\n  ".join(str(check) for check in self.checks if not check.passed)
            raise GateError(f"The challenger is refused:\n  {failed}")

    def _mac(self, key: bytes) -> str:
        # Records from before they had ``code`` keep their signature; they are refused by name.
        left_out = {"signature"} if self.code else {"signature", "code"}
        body = json.dumps(self.model_dump(mode="json", exclude=left_out), sort_keys=True)
        return hmac.new(key, body.encode(), hashlib.sha256).hexdigest()


def signing_key(settings: Settings) -> bytes:
    """Return MLOPS_SIGNING_KEY, or this machine's own key, which is made when first needed."""
    if settings.signing_key:
        return settings.signing_key.get_secret_value().encode()
    return own_key(KEY).encode()


def digest(limits: Gates) -> str:
    """Return the SHA-256 of the limits, comments and order aside."""
    return hashlib.sha256(limits.model_dump_json().encode()).hexdigest()


def code_digest() -> str:
    """Return the SHA-256 of the code that decides."""
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / name).read_bytes() for name in CODE)).hexdigest()


def judge(
    challenger: Path, test: Path, limits: Gates, seed: int, champions: dict[int, Path]
) -> Record:
    """Hold the model in ``challenger`` against every gate.

    Args:
        challenger: folder of the model.
        test: the prepared rows of the newest periods; every model is scored on them, now.
        limits: gates.yaml.
        seed: of the disturbances.
        champions: folders of the champion (first) and of earlier ones, by version.

    Returns:
        The record, unsigned. It holds failed checks; nothing is raised for them.
    """
    rows = pd.read_parquet(test)
    y = rows[TARGET].to_numpy()
    lineage, scorer = Lineage.read(challenger), Scorer(challenger / SERVED, threads=2)
    prediction = scorer.predict(rows)
    loss = project.model.loss(y, prediction)
    result = {
        "challenger": scores(y, prediction),
        "baseline": scores(y, constant(lineage.baseline, len(rows))),
    }
    footprints = {"challenger": measure(challenger)}
    checks = [
        *_absolute(result["challenger"], limits),
        _baseline(result, limits),
        *_robustness(robustness(scorer, rows, seed), limits),
        _parity(challenger, scorer, rows, limits),
        *_budget(footprints["challenger"], limits),
    ]
    sliced: list[dict[str, Any]] = []
    for index, (version, folder) in enumerate(champions.items()):
        name = "champion" if index == 0 else f"v{version}"
        other = _score(folder, rows, name)
        champion_loss = project.model.loss(y, other)
        result[name] = scores(y, other)
        checks.append(_loss(name, loss, champion_loss, limits))
        if index == 0:
            footprints[name] = measure(folder)
            sliced = _slices(rows, loss, champion_loss, limits)
            checks += [Check(**entry["check"]) for entry in sliced if entry["check"]]
            checks += _against(footprints, lineage, Lineage.read(folder), limits)
            checks.append(_contract(folder, challenger, limits))
    return Record(
        model=sha256(challenger / SERVED),
        data=sha256(test),
        gates=digest(limits),
        code=code_digest(),
        champion=next(iter(champions), None),
        created=now(),
        passed=all(check.passed for check in checks),
        checks=checks,
        scores=result,
        slices=sliced or _slices(rows, loss, None, limits),
        footprints=footprints,
    )


def _check(
    gate: str, value: float, rule: Literal["at most", "at least"], limit: float, note: str = ""
) -> Check:
    # A value that is no number compares as false: it never passes.
    passed = value <= limit if rule == "at most" else value >= limit
    shown = value if math.isfinite(value) else math.copysign(1e308, value)
    return Check(gate=gate, value=shown, limit=limit, rule=rule, passed=passed, note=note)


def _absolute(reached: dict[str, float], limits: Gates) -> list[Check]:
    checks = []
    for name, bound in limits.absolute.items():
        if name not in reached:
            raise GateError(
                f"gates.yaml: absolute.{name} is no metric of model.metrics, which has "
                f"{', '.join(reached)}."
            )
        if bound.min is not None:
            checks.append(_check(f"absolute.{name}", reached[name], "at least", bound.min))
        if bound.max is not None:
            checks.append(_check(f"absolute.{name}", reached[name], "at most", bound.max))
    return checks


def _baseline(result: dict[str, dict[str, float]], limits: Gates) -> Check:
    gain = -_rise(result["challenger"]["loss"], result["baseline"]["loss"])
    return _check("baseline.gain", gain, "at least", limits.baseline.min_gain)


def _robustness(losses: dict[str, float], limits: Gates) -> list[Check]:
    return [
        _check(f"robustness.{name}", _rise(losses[name], losses["clean"]), "at most", limit)
        for name, limit in limits.robustness.model_dump().items()
    ]


def _parity(folder: Path, scorer: Scorer, rows: pd.DataFrame, limits: Gates) -> Check:
    X = inputs(rows)
    difference = np.abs(convert.predict(convert.load(folder), X) - scorer.predict(X))
    return _check("parity.difference", float(difference.max()), "at most", limits.parity.tolerance)


def _budget(footprint: Footprint, limits: Gates) -> list[Check]:
    budget = limits.footprint
    return [
        _check("footprint.size_mb", footprint.size_mb, "at most", budget.max_mb),
        _check("footprint.memory_mb", footprint.memory_mb, "at most", budget.max_memory_mb),
        _check("footprint.p99_ms", footprint.p99_ms, "at most", budget.max_p99_ms),
    ]


def _against(
    footprints: dict[str, Footprint], mine: Lineage, theirs: Lineage, limits: Gates
) -> list[Check]:
    challenger, champion = footprints["challenger"], footprints["champion"]
    new = sorted(mine.dependencies.keys() - theirs.dependencies.keys())
    note = f" ({', '.join(new[:5])})" if new else ""
    ratios = {
        "size": challenger.size_mb / champion.size_mb,
        "memory": challenger.memory_mb / champion.memory_mb,
        "latency": challenger.p50_ms / champion.p50_ms,
    }
    return [
        *(
            _check(f"footprint.{name}_vs_champion", ratio, "at most", limits.footprint.vs_champion)
            for name, ratio in ratios.items()
        ),
        _check(
            "footprint.new_dependencies",
            len(new),
            "at most",
            limits.footprint.new_dependencies,
            note,
        ),
    ]


def _contract(champion: Path, challenger: Path, limits: Gates) -> Check:
    found = breaking(Contract.read(champion), Contract.read(challenger))
    note = f" ({'; '.join(found[:5])})" if found else ""
    return _check("contract.breaking", len(found), "at most", limits.contract.breaking, note)


def _score(folder: Path, rows: pd.DataFrame, name: str) -> Array:
    try:
        return Scorer(folder / SERVED, threads=2).predict(rows)
    except KeyError as error:
        raise GateError(
            f"{name}.inputs: it needs the column {error}, which the data no longer has; keep the "
            "column in schema.Inputs until a model without it is champion."
        ) from error


def _loss(name: str, loss: Array, champion: Array, limits: Gates) -> Check:
    rise = _rise(float(loss.mean()), float(champion.mean()))
    return _check(f"{name}.loss", rise, "at most", limits.champion.tolerance)


def _slices(
    rows: pd.DataFrame, loss: Array, champion: Array | None, limits: Gates
) -> list[dict[str, Any]]:
    """Compare row by row on each slice.

    A slice fails where its rise in loss lies beyond the tolerance with 95 % confidence (a one-sided
    paired z-test), so that chance on a small slice refuses nobody.
    """
    found = []
    for column in project.features.SLICES:
        for value, index in sorted(rows.groupby(column).indices.items()):
            entry: dict[str, Any] = {
                "slice": f"{column}={value}",
                "rows": len(index),
                "challenger": float(loss[index].mean()),
                "champion": None if champion is None else float(champion[index].mean()),
                "check": None,
            }
            if champion is not None and len(index) >= limits.slices.min_rows:
                rise = loss[index] - champion[index]
                error = float(rise.std(ddof=1)) / math.sqrt(len(index))
                sure = entry["champion"] + float(rise.mean()) - CONFIDENCE * error
                certain = _rise(sure, entry["champion"])
                gate = f"slice.{entry['slice']}"
                check = _check(gate, certain, "at most", limits.slices.tolerance)
                entry["check"] = check.model_dump()
            found.append(entry)
    return found


def _rise(value: float, reference: float) -> float:
    """Return by what share ``value`` lies above ``reference``; infinite above a zero."""
    if reference == 0:
        return math.inf if value > 0 else 0.0
    return (value - reference) / reference
