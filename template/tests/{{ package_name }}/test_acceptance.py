"""What the business was promised, held against the candidate."""

import pandas as pd
import pytest

from mlops import convert, project
from mlops.pipeline.prepare import TARGET
from mlops.scorer import Scorer
from mlops.settings import Paths

pytestmark = pytest.mark.acceptance

LIFT = 1.5


def test_calling_the_riskiest_tenth_pays(candidate: Paths) -> None:
    """Of the tenth of flights ranked riskiest, the share that is late is 1.5 times the average."""
    test = pd.read_parquet(candidate.prepared / "test.parquet")
    test["risk"] = Scorer(candidate.model / convert.SERVED).predict(test)
    test["late"] = test[TARGET] > (0.5 if project.TASK == "classification" else 15)
    riskiest = test.nlargest(len(test) // 10, "risk")
    assert riskiest["late"].mean() >= LIFT * test["late"].mean()
