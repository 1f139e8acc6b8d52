"""The stages together; each has a file of its own besides."""

from pathlib import Path

import pytest

from mlops import pipeline
from mlops.errors import DataError
from mlops.settings import Params, Paths


def refuse(params: Params, paths: Paths) -> None:
    raise DataError("p1 is rejected")


def crash(params: Params, paths: Paths) -> None:
    _ = 1 / 0


@pytest.mark.parametrize(
    ("stage", "code", "message"),
    [(refuse, 3, "refuse: p1 is rejected"), (crash, 1, "crash: division by zero")],
)
def test_a_stage_tells_why_it_failed(stage, code: int, message: str, home: Path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SystemExit) as left:
        pipeline.main(stage)
    assert left.value.code == code
    failure = pipeline.failure(Paths())
    assert failure is not None
    assert (str(failure), failure.exit_code) == (message, code)
    pipeline.forget(Paths())
    assert pipeline.failure(Paths()) is None
