"""What a record looks like. The validators, the model's inputs and the server read this.

``description`` and the limits are shown to callers. ``metadata={"skew": False}`` says that a
column's distribution is expected to move (seasons), so that no alarm follows from it. ``"mask"``
says how a replica for other environments hides the values: src/mlops/mask.py. What is of a person
is marked ``"personal": True``; nothing here is.
"""

import pandera.pandas as pa

SEASONAL = {"skew": False}
HASHED = {"mask": "hash"}  # a flight's number leads to its crew


class Inputs(pa.DataFrameModel):
    """What is known before departure: the columns that the model is given."""

    carrier: str = pa.Field(str_matches=r"^[A-Z0-9]{2}$", description="Airline, IATA code")
    origin: str = pa.Field(isin=["EWR", "JFK", "LGA"], description="Airport of departure")
    dest: str = pa.Field(str_matches=r"^[A-Z]{3}$", description="Airport of arrival, IATA code")
    weekday: int = pa.Field(ge=0, le=6, description="0 is Monday")
    hour: int = pa.Field(ge=0, le=23, description="Scheduled hour of departure, local")
    minute: int = pa.Field(ge=0, le=59, description="Scheduled minute of departure")
    arr_hour: int = pa.Field(ge=0, le=24, description="Scheduled hour of arrival, local")
    distance: int = pa.Field(ge=10, le=12_000, description="Miles flown")
    temp: float = pa.Field(ge=-60, le=140, nullable=True, metadata=SEASONAL, description="°F")
    dewp: float = pa.Field(
        ge=-80, le=100, nullable=True, metadata=SEASONAL, description="Dew point, °F"
    )
    humid: float = pa.Field(
        ge=0, le=100, nullable=True, metadata=SEASONAL, description="Relative humidity, %"
    )
    wind_dir: float = pa.Field(
        ge=0, le=360, nullable=True, metadata=SEASONAL, description="Degrees"
    )
    wind_speed: float = pa.Field(
        ge=0, le=250, nullable=True, metadata=SEASONAL, description="Miles per hour"
    )
    precip: float = pa.Field(
        ge=0, le=20, nullable=True, metadata=SEASONAL, description="Inches in the hour"
    )
    pressure: float = pa.Field(
        ge=870, le=1090, nullable=True, metadata=SEASONAL, description="Millibars at sea level"
    )
    visib: float = pa.Field(ge=0, le=100, nullable=True, metadata=SEASONAL, description="Miles")
    plane_year: float = pa.Field(
        ge=1903, le=2013, nullable=True, description="Year in which the plane was built"
    )
    seats: float = pa.Field(ge=1, le=900, nullable=True, description="Seats of the plane")
    dest_lat: float = pa.Field(ge=-90, le=90, nullable=True, description="Degrees north")
    dest_lon: float = pa.Field(ge=-180, le=180, nullable=True, description="Degrees east")
    dest_alt: float = pa.Field(ge=-1500, le=15_000, nullable=True, description="Feet")


class Records(Inputs):
    """What arrives: the inputs, what identifies a flight, and how it ended."""

    year: int = pa.Field(ge=2013, le=2013)
    month: int = pa.Field(ge=1, le=12, metadata=SEASONAL)
    day: int = pa.Field(ge=1, le=31)
    flight: int = pa.Field(ge=1, le=9999, metadata=SEASONAL | HASHED)
    arr_delay: float = pa.Field(
        ge=-120, le=2000, nullable=True, metadata=SEASONAL, description="Minutes; null: cancelled"
    )

    class Config:
        """Unknown columns are refused; a flight is named by these columns."""

        strict = True
        unique = ["year", "month", "day", "carrier", "flight", "origin"]  # noqa: RUF012
