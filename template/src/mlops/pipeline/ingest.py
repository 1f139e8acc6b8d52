"""Bring in the raw records, one file a period."""

import shutil

from .. import project
from ..errors import MlopsError
from ..settings import DataParams, Params, Paths
from . import log, main


def ingest(params: Params, paths: Paths) -> None:
    """Write data/raw/<period>.parquet for each period from the first to the last."""
    wanted = chosen(project.data.periods(), params.data)
    shutil.rmtree(paths.raw, ignore_errors=True)
    paths.raw.mkdir(parents=True)
    for period in wanted:
        records = project.data.load(period)
        if params.data.sample < 1:
            records = records.sample(frac=params.data.sample, random_state=params.seed)
        records.to_parquet(paths.raw / f"{period}.parquet", index=False)
        log.info("%s: %d records", period, len(records))


def chosen(available: list[str], data: DataParams) -> list[str]:
    """Return the periods from the first to the last, both included."""
    for key in ("first", "last"):
        if getattr(data, key) not in available:
            raise MlopsError(
                f"params.yaml: data.{key} is {getattr(data, key)!r}; the source holds "
                f"{available[0]} to {available[-1]}."
            )
    start, end = available.index(data.first), available.index(data.last)
    if start > end:
        raise MlopsError(f"params.yaml: data.first {data.first!r} lies after {data.last!r}.")
    return available[start : end + 1]


if __name__ == "__main__":
    main(ingest)
