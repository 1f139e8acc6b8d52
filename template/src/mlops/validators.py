"""The four validators: schema, integrity, values and skew. Each names what it rejects."""

from pathlib import Path

import pandas as pd
from pandera.errors import SchemaErrors
from pydantic import BaseModel

from . import project
from .errors import DataError, MlopsError
from .profile import Profile, skew
from .settings import DataGates

# Which validator pandera's findings belong to; anything else is about values.
SCHEMA = {"COLUMN_NOT_IN_DATAFRAME", "COLUMN_NOT_IN_SCHEMA", "WRONG_DATATYPE", "DATATYPE_COERCION"}
INTEGRITY = {"SERIES_CONTAINS_NULLS", "SERIES_CONTAINS_DUPLICATES", "DUPLICATES"}
SHOWN = 5


class Finding(BaseModel):
    """What one validator holds against the data."""

    validator: str
    column: str
    message: str

    def __str__(self) -> str:
        return f"{self.validator}: {self.column}: {self.message}"


def read(path: Path) -> pd.DataFrame:
    """Read a file of records (Parquet or CSV).

    Raises:
        DataError: the file cannot be read, as when it is truncated (validator ``integrity``).
    """
    try:
        return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except FileNotFoundError as error:
        raise MlopsError(f"{path} is missing.") from error
    except Exception as error:  # pyarrow and pandas each have many of their own
        raise DataError(f"integrity: {path}: cannot be read, is it whole? ({error})") from error


def validate(
    records: pd.DataFrame, limits: DataGates, reference: Profile | None = None
) -> list[Finding]:
    """Return all that is wrong with ``records``; nothing, if they are good.

    Skew is looked at only with a ``reference``, and not for columns marked ``skew: False``.
    """
    findings = [*_pandera(records), *_integrity(records, limits)]
    if reference is not None and not findings:
        findings += _skew(records, limits, reference)
    return findings


def refuse(findings: list[Finding], what: str) -> None:
    """Raise :class:`DataError` if there is any finding."""
    if findings:
        shown = "\n  ".join(map(str, findings[:SHOWN]))
        more = f"\n  and {len(findings) - SHOWN} more" if len(findings) > SHOWN else ""
        raise DataError(f"{what} is rejected:\n  {shown}{more}")


def _pandera(records: pd.DataFrame) -> list[Finding]:
    try:
        # Pandera fails to say which rows are duplicates if their labels are, too.
        project.schema.Records.validate(records.reset_index(drop=True), lazy=True)
    except SchemaErrors as errors:
        found = []
        for error in errors.schema_errors:
            reason = error.reason_code.name if error.reason_code else ""
            name = (
                "schema" if reason in SCHEMA else "integrity" if reason in INTEGRITY else "values"
            )
            column = str(error.schema.name if error.schema is not None else "")
            if reason == "COLUMN_NOT_IN_SCHEMA":
                column = str(error.failure_cases)
            message = " ".join(str(error).split())[:200]
            found.append(Finding(validator=name, column=column, message=message))
        return found
    return []


def _integrity(records: pd.DataFrame, limits: DataGates) -> list[Finding]:
    found = []
    if len(records) < limits.min_rows:
        message = f"{len(records)} rows, fewer than {limits.min_rows}: is the file whole?"
        found.append(Finding(validator="integrity", column="rows", message=message))
    for column, share in records.isna().mean().items():
        if share > limits.max_null_share:
            message = f"{share:.0%} are null, more than {limits.max_null_share:.0%}"
            found.append(Finding(validator="integrity", column=str(column), message=message))
    return found


def _skew(records: pd.DataFrame, limits: DataGates, reference: Profile) -> list[Finding]:
    columns = project.schema.Records.to_schema().columns
    watched = [name for name in columns if (columns[name].metadata or {}).get("skew", True)]
    return [
        Finding(
            validator="skew",
            column=name,
            message=f"distance {distance} to the training profile, more than {limits.skew}",
        )
        for name, distance in skew(reference, records[watched]).items()
        if distance > limits.skew
    ]
