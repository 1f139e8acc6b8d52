"""Turn raw records into what the model is fitted on: inputs, slices and target."""

import json

import pandas as pd

from .. import project
from ..errors import MlopsError
from ..lineage import Lineage
from ..settings import Params, Paths
from ..validators import read
from . import log, main
from .validate import split

TARGET = "_target"


def prepare(params: Params, paths: Paths) -> None:
    """Write data/prepared/train.parquet, valid.parquet and test.parquet."""
    periods = [path.stem for path in sorted(paths.raw.glob("*.parquet"))]
    parts = split(periods, params.split)
    if params.train.parent:
        parts["train"] = additional(parts["train"], Lineage.read(paths.parent))
    paths.prepared.mkdir(parents=True, exist_ok=True)
    for part, names in parts.items():
        records = pd.concat([read(paths.raw / f"{name}.parquet") for name in names])
        frame = frame_of(records)
        if frame.empty:
            raise MlopsError(f"{', '.join(names)}: no record has a known outcome yet.")
        frame.to_parquet(paths.prepared / f"{part}.parquet", index=False)
        log.info("%s: %d records of %s", part, len(frame), ", ".join(names))
    (paths.prepared / "periods.json").write_text(json.dumps(parts), encoding="utf-8")


def additional(periods: list[str], parent: Lineage) -> list[str]:
    """Return the periods that the parent was not trained on; there must be one."""
    new = [period for period in periods if period not in parent.periods["train"]]
    if not new:
        raise MlopsError(
            f"The parent knows every training period up to {periods[-1]}: raise data.last in "
            "params.yaml, or set train.parent to 0 to train from nothing."
        )
    return new


def frame_of(records: pd.DataFrame) -> pd.DataFrame:
    """Return inputs, slices and target of the records whose outcome is known."""
    frame = inputs(records)
    for name in project.features.SLICES:
        if name not in frame:
            frame[name] = records[name]
    frame[TARGET] = project.features.target(records).to_numpy(dtype=float)
    return frame[frame[TARGET].notna()].reset_index(drop=True)


def inputs(records: pd.DataFrame) -> pd.DataFrame:
    """Return the model's inputs as it is given them: texts, and numbers as float32."""
    types = {"number": "float32", "text": "object"}
    return pd.DataFrame({name: records[name].astype(types[kind]) for name, kind in kinds().items()})


def kinds() -> dict[str, str]:
    """Return whether each of the model's inputs is a number or a text, by the schema."""
    columns = project.schema.Inputs.to_schema().columns
    numeric = ("int", "uint", "float", "bool")
    return {
        name: "number" if str(column.dtype).lower().startswith(numeric) else "text"
        for name, column in columns.items()
    }


if __name__ == "__main__":
    main(prepare)
