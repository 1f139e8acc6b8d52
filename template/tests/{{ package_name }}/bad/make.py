"""Write the known-bad files, each bad in one way, and the good one they are made from.

uv run python tests/<package>/bad/make.py
"""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from mlops.project import data

HERE = Path(__file__).parent
ROWS = 310


def good() -> pd.DataFrame:
    """Take every n-th record of a month, in an order in which each place and hour has its share."""
    ordered = ["dest", "carrier", "hour", "day", "flight", "origin"]
    records = data.load("2013-03").sort_values(ordered)
    return records.iloc[:: len(records) // ROWS].head(ROWS).reset_index(drop=True)


SPOILERS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "good": lambda r: r,
    "wrong_schema": lambda r: r.drop(columns="distance").rename(columns={"temp": "temperature"}),
    "duplicate_keys": lambda r: pd.concat([r, r.head(20)]),
    "shifted_distribution": lambda r: r.assign(hour=(r["hour"] + 8).clip(upper=23)),
    "impossible_value": lambda r: r.assign(distance=r["distance"].mask(r.index < 5, -1)),
    "truncated": lambda r: r,
}


def main() -> None:
    for name, spoil in SPOILERS.items():
        path = HERE / f"{name}.parquet"
        spoil(good()).to_parquet(path, index=False, compression="zstd", compression_level=19)
        if name == "truncated":
            path.write_bytes(path.read_bytes()[:8000])


if __name__ == "__main__":
    main()
