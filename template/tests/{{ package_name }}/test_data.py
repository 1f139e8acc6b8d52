from itertools import pairwise

import numpy as np
import pandas as pd

from mlops.project import data, schema

FLIGHTS = pd.DataFrame({
    "year": 2013, "month": 1, "day": [1, 6], "sched_dep_time": [515, 2359],
    "dep_time": 517.0, "dep_delay": 2.0, "arr_time": 830.0, "sched_arr_time": [819, 5],
    "arr_delay": [11.0, np.nan], "carrier": ["UA", "B6"], "flight": [1545, 7],
    "tailnum": ["N14228", None], "origin": ["EWR", "JFK"], "dest": ["IAH", "XXX"],
    "air_time": 227.0, "distance": [1400, 100], "hour": [5, 23], "minute": [15, 59],
    "time_hour": ["2013-01-01T10:00:00Z", "2013-01-07T04:00:00Z"],
})  # fmt: skip
# The hour of the first flight, the hours beside it, and the same hour elsewhere.
HOURS = ["2013-01-01T09:00:00Z", "2013-01-01T10:00:00Z", "2013-01-01T11:00:00Z"]
WEATHER = pd.DataFrame({"origin": ["EWR"] * 3 + ["LGA"], "time_hour": [*HOURS, HOURS[1]]}).assign(
    **{name: [1.0, 2.0, 3.0, 4.0] for name in data.WEATHER}
)
PLANES = pd.DataFrame({"tailnum": ["N14228", "N1"], "year": [1999, 2000], "seats": [149, 2]})
AIRPORTS = pd.DataFrame({"faa": ["IAH", "EWR"], "lat": [29.9, 40.7], "lon": [-95.3, -74.2],
                         "alt": [97, 18]})  # fmt: skip


def test_golden_join() -> None:
    first, second = data.join(FLIGHTS, WEATHER, PLANES, AIRPORTS).to_dict("records")
    assert first == {
        "year": 2013, "month": 1, "day": 1, "arr_delay": 11.0, "carrier": "UA", "flight": 1545,
        "origin": "EWR", "dest": "IAH", "distance": 1400, "hour": 5, "minute": 15,
        **dict.fromkeys(data.WEATHER, 2.0), "plane_year": 1999.0, "seats": 149.0,
        "dest_lat": 29.9, "dest_lon": -95.3, "dest_alt": 97.0, "weekday": 1, "arr_hour": 8,
    }  # fmt: skip
    # A flight without weather, plane and known destination stays, with gaps.
    gaps = {name for name, value in second.items() if pd.isna(value)}
    places = {"dest_lat", "dest_lon", "dest_alt"}
    assert gaps == {*data.WEATHER, "plane_year", "seats", "arr_delay", *places}
    assert (second["weekday"], second["arr_hour"]) == (6, 0)  # a Sunday, past midnight


def test_nothing_known_after_departure_is_left() -> None:
    late = {"dep_time", "dep_delay", "arr_time", "air_time"}
    assert not late & {*data.join(FLIGHTS, WEATHER, PLANES, AIRPORTS)}


def test_a_period_holds_its_own_month_and_what_the_schema_names() -> None:
    records = data.load("2013-02")
    assert (len(records), set(records["month"])) == (24951, {2})
    assert {*records} == {*schema.Records.to_schema().columns}
    assert all(earlier < later for earlier, later in pairwise(data.periods()))
