"""Hold every period against the validators, and store the training data's profile."""

import json
from pathlib import Path

import pandas as pd

from .. import project
from ..errors import MlopsError
from ..profile import profile, skew
from ..settings import Params, Paths, SplitParams, load_gates
from ..validators import read, refuse
from ..validators import validate as findings_of
from . import log, main


def validate(params: Params, paths: Paths) -> None:
    """Write data/profile.json and data/validation.json.

    Raises:
        DataError: a period is rejected; its message names validators, columns and limits.
    """
    limits = load_gates().data
    files = {path.stem: path for path in sorted(paths.raw.glob("*.parquet"))}
    parts = split(list(files), params.split)
    frames = {period: read(path) for period, path in files.items()}
    if params.data.sample < 1:  # a sample's files are small because they were asked to be
        limits = limits.model_copy(update={"min_rows": 1})
    for period, records in frames.items():
        refuse(findings_of(records, limits), period)
    training = pd.concat([frames[period] for period in parts["train"]])
    reference = profile(training.drop(columns=_personal(), errors="ignore"))
    distances = {}
    for period in parts["test"]:
        if params.data.sample == 1:
            refuse(findings_of(frames[period], limits, reference), period)
        distances[period] = skew(reference, frames[period])
    _write(paths.profile, reference)
    _write(
        paths.validation,
        {"rows": {period: len(records) for period, records in frames.items()}, "skew": distances},
    )
    log.info("%d periods are good: schema, integrity, values, skew", len(files))


def _personal() -> list[str]:
    """Return the personal columns: the profile goes into git, and holds values."""
    columns = project.schema.Records.to_schema().columns.items()
    return [name for name, column in columns if (column.metadata or {}).get("personal")]


def split(periods: list[str], params: SplitParams) -> dict[str, list[str]]:
    """Return which periods train, steer early stopping, and decide: the newest decide."""
    kept = params.valid + params.test
    if len(periods) <= kept:
        raise MlopsError(
            f"{len(periods)} periods are too few: split keeps {kept} from training. "
            "Lower data.first or raise data.last in params.yaml."
        )
    return {
        "train": periods[:-kept],
        "valid": periods[-kept : -params.test],
        "test": periods[-params.test :],
    }


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(validate)
