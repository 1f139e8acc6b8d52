"""What the candidate itself must hold, whichever data and model the team has."""

import numpy as np
import pandas as pd
import pytest

from mlops import convert, project
from mlops.lineage import Lineage
from mlops.pipeline.evaluate import limits, robustness, scores
from mlops.pipeline.prepare import TARGET, inputs
from mlops.pipeline.train import constant
from mlops.scorer import Scorer
from mlops.settings import Paths, load_gates, load_params

COLUMNS = project.schema.Inputs.to_schema().columns
NULLABLE = [name for name, column in COLUMNS.items() if column.nullable]
TEXTS = [name for name, column in COLUMNS.items() if not limits(column)]


@pytest.fixture(scope="module")
def scorer(candidate: Paths) -> Scorer:
    return Scorer(candidate.model / convert.SERVED)


@pytest.fixture(scope="module")
def rows(candidate: Paths) -> pd.DataFrame:
    return pd.read_parquet(candidate.prepared / "test.parquet")


@pytest.fixture(scope="module")
def X(rows: pd.DataFrame) -> pd.DataFrame:  # noqa: N802
    return inputs(rows.head(200))


@pytest.mark.performance
def test_the_loss_lies_below_the_means(
    candidate: Paths, scorer: Scorer, rows: pd.DataFrame
) -> None:
    y, guess = rows[TARGET].to_numpy(), constant(Lineage.read(candidate.model).baseline, len(rows))
    reached, baseline = scores(y, scorer.predict(rows))["loss"], scores(y, guess)["loss"]
    assert reached < (1 - load_gates().baseline.min_gain) * baseline


@pytest.mark.performance
def test_both_forms_agree(candidate: Paths, scorer: Scorer, X: pd.DataFrame) -> None:
    difference = np.abs(convert.predict(convert.load(candidate.model), X) - scorer.predict(X))
    assert difference.max() <= load_gates().parity.tolerance


@pytest.mark.scenario
def test_gaps_wherever_the_schema_allows_them(scorer: Scorer, X: pd.DataFrame) -> None:
    empty = X.assign(**dict.fromkeys(NULLABLE, np.float32("nan")))
    assert np.isfinite(scorer.predict(empty)).all()


@pytest.mark.scenario
@pytest.mark.parametrize("name", TEXTS)
def test_a_category_never_seen(name: str, scorer: Scorer, X: pd.DataFrame) -> None:
    answers = scorer.predict(X.assign(**{name: "never seen"}))
    assert np.isfinite(answers).all()
    assert np.array_equal(answers, scorer.predict(X.assign(**{name: "nor this"})))


@pytest.mark.scenario
@pytest.mark.parametrize("name", [name for name in COLUMNS if name not in TEXTS])
def test_the_schemas_extremes(name: str, scorer: Scorer, X: pd.DataFrame) -> None:
    for limit in limits(COLUMNS[name]):
        assert np.isfinite(scorer.predict(X.assign(**{name: np.float32(limit)}))).all()


@pytest.mark.scenario
def test_an_answer_depends_on_its_own_row_alone(scorer: Scorer, X: pd.DataFrame) -> None:
    answers = scorer.predict(X)
    shuffled = X[X.columns[::-1]].iloc[::-1]
    assert np.array_equal(scorer.predict(shuffled)[::-1], answers)
    assert np.array_equal(scorer.predict(pd.concat([X, X])), [*answers, *answers])
    assert np.array_equal([scorer.predict(X.iloc[[row]])[0] for row in range(5)], answers[:5])
    assert len(scorer.predict(X.head(0))) == 0


@pytest.mark.robustness
def test_disturbed_inputs_cost_no_more_than_allowed(scorer: Scorer, rows: pd.DataFrame) -> None:
    found = robustness(scorer, rows, load_params().seed)
    rises = {name: loss / found["clean"] - 1 for name, loss in found.items() if name != "clean"}
    allowed = load_gates().robustness.model_dump()
    assert {name: rise for name, rise in rises.items() if not rise <= allowed[name]} == {}
