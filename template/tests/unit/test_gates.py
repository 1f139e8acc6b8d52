import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import SecretStr

from mlops import gates
from mlops.contract import Contract
from mlops.errors import GateError
from mlops.footprint import Footprint
from mlops.gates import Check, Record
from mlops.lineage import Lineage
from mlops.scorer import Scorer
from mlops.settings import Gates, Settings, load_gates

KEY = b"key"


@pytest.fixture
def limits(home: Path) -> Gates:
    return load_gates()


@pytest.mark.parametrize("rule", ["at most", "at least"])
@pytest.mark.parametrize("value", [np.nan, -np.nan])
def test_a_value_that_is_no_number_never_passes(rule: Any, value: float) -> None:
    assert not gates._check("any", value, rule, 0.0).passed


def test_the_limit_itself_passes_and_what_is_infinite_is_shown() -> None:
    assert gates._check("any", 0.5, "at most", 0.5).passed
    assert gates._check("any", 0.5, "at least", 0.5).passed
    refused = gates._check("any", np.inf, "at most", 0.5)
    assert (refused.passed, refused.value) == (False, 1e308)
    assert str(gates._check("a.b", 2, "at most", 0.5)) == "a.b: 2, allowed is at most 0.5"


def test_absolute(limits: Gates) -> None:
    limits.absolute["error"] = limits.absolute["accuracy"].model_copy(
        update={"min": None, "max": 0.2}
    )
    low, high = gates._absolute({"accuracy": 0.59, "error": 0.2}, limits)
    assert (low.gate, low.rule, low.passed) == ("absolute.accuracy", "at least", False)
    assert (high.gate, high.rule, high.passed) == ("absolute.error", "at most", True)
    with pytest.raises(GateError, match=r"absolute.accuracy is no metric.*which has f1"):
        gates._absolute({"f1": 1.0}, limits)


@pytest.mark.parametrize(("loss", "gain", "passed"), [(0.44, 0.12, True), (0.46, 0.08, False)])
def test_baseline(limits: Gates, loss: float, gain: float, passed: bool) -> None:
    check = gates._baseline({"baseline": {"loss": 0.5}, "challenger": {"loss": loss}}, limits)
    assert (round(check.value, 9), check.passed) == (gain, passed)


@pytest.mark.parametrize(("rise", "passed"), [(1.0, True), (1.01, False), (np.inf, False)])
def test_robustness(limits: Gates, rise: float, passed: bool) -> None:
    losses = dict.fromkeys(["clean", "missing", "noise", "unseen", "extreme"], 0.5)
    found = gates._robustness(losses | {"noise": 0.5 * (1 + rise)}, limits)
    assert {c.gate: c.passed for c in found}["robustness.noise"] is passed
    assert all(check.passed for check in found if check.gate != "robustness.noise")


@pytest.mark.parametrize(
    ("mine", "passed"), [(0.5, True), (0.5049, True), (0.5051, False), (np.nan, False)]
)
def test_loss_against_a_champion(limits: Gates, mine: float, passed: bool) -> None:
    check = gates._loss("champion", np.full(9, mine), np.full(9, 0.5), limits)
    assert (check.gate, check.passed) == ("champion.loss", passed)


def test_slices_fail_only_where_the_rise_is_certain(limits: Gates) -> None:
    shop = np.repeat(["bad", "few", "noisy"], [100, 19, 40])
    champion = np.full(159, 0.5)
    rise = np.select([shop == "bad", shop == "few"], [0.06, 9.0], 0.06 + (-1.0) ** np.arange(159))
    found = gates._slices(pd.DataFrame({"shop": shop}), champion + rise, champion, limits)
    verdicts = {entry["slice"]: entry["check"] and entry["check"]["passed"] for entry in found}
    assert verdicts == {"shop=bad": False, "shop=few": None, "shop=noisy": True}
    assert all(e["check"] is None for e in gates._slices(pd.DataFrame({"shop": shop}), champion,
                                                         None, limits))  # fmt: skip


def test_footprint_against_budget_and_champion(limits: Gates, home: Path) -> None:
    small = Footprint(size_mb=0.1, memory_mb=100, p50_ms=0.1, p99_ms=0.2)
    large = Footprint(size_mb=5.1, memory_mb=900, p50_ms=0.1, p99_ms=0.2)
    budget = {check.gate: check.passed for check in gates._budget(large, limits)}
    assert budget == {
        "footprint.size_mb": False,
        "footprint.memory_mb": True,
        "footprint.p99_ms": True,
    }
    limits.footprint.vs_champion = 10
    lineage = Lineage.read(home / "models/candidate")
    heavier = lineage.model_copy(update={"dependencies": {**lineage.dependencies, "zoo": "1"}})
    pair = {"challenger": large, "champion": small}
    failed = [str(c) for c in gates._against(pair, heavier, lineage, limits) if not c.passed]
    assert failed == [
        "footprint.size_vs_champion: 51, allowed is at most 10",
        "footprint.new_dependencies: 1, allowed is at most 0 (zoo)",
    ]


def test_parity_sees_another_model(limits: Gates, home: Path) -> None:
    folder, rows = home / "models/candidate", pd.read_parquet("data/prepared/test.parquet")
    scorer = Scorer(folder / "model.onnx")
    assert gates._parity(folder, scorer, rows, limits).passed
    off = type("Off", (), {"predict": lambda self, X: scorer.predict(X) + 0.001})()
    assert not gates._parity(folder, off, rows, limits).passed


def record(**changes: Any) -> Record:
    check = Check(gate="a", value=1, limit=2, rule="at most", passed=True)
    one = Footprint(size_mb=1, memory_mb=1, p50_ms=1, p99_ms=1)
    facts = {"model": "m", "data": "d", "gates": "g", "champion": 3, "created": "c"}
    facts["code"] = gates.code_digest()
    lists = {"checks": [check], "scores": {"s": {"x": 1.0}}, "slices": [{"slice": "a=b"}]}
    return Record(**facts | lists | {"passed": True, "footprints": {"f": one}} | changes)


EDITED = {"champion": 4, "passed": False, "checks": [], "scores": {}} | {
    "slices": [],
    "footprints": {},
}


@pytest.mark.parametrize("field", [*Record.model_fields])
def test_a_record_edited_in_any_field_is_refused(field: str) -> None:
    signed = record().sign(KEY)
    Record.model_validate_json(signed.model_dump_json()).verify(KEY, "m")
    edited = signed.model_copy(update={field: EDITED.get(field, "edited")})
    with pytest.raises(GateError, match=r"record.signature: .*edited"):
        edited.verify(KEY, edited.model)


def test_a_record_of_another_key_or_model_or_a_refusal_is_refused() -> None:
    with pytest.raises(GateError, match=r"record.signature: .*another key"):
        record().sign(b"other").verify(KEY, "m")
    with pytest.raises(GateError, match=r"record.model: .* is about model m, not n"):
        record().sign(KEY).verify(KEY, "n")
    failed = Check(gate="a.b", value=3, limit=2, rule="at most", passed=False)
    with pytest.raises(GateError, match=r"(?s)refused:\n  a.b: 3, allowed is at most 2$"):
        record(passed=False, checks=[failed]).sign(KEY).verify(KEY, "m")


def test_a_verdict_of_other_code_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    signed = record().sign(KEY)
    monkeypatch.setattr(gates, "CODE", [*gates.CODE, "report.py"])  # as if a line had changed
    with pytest.raises(GateError, match=r"record.code: uncertified"):
        signed.verify(KEY, "m")


def test_what_callers_rely_on_stays(limits: Gates, home: Path) -> None:
    folder, narrower = home / "models/candidate", home / "narrower"
    shutil.copytree(folder, narrower)
    contract = Contract.read(folder)
    assert gates._contract(folder, narrower, limits).passed
    field = next(field for field in contract.fields if field.name == "size")
    field.maximum = 5.0
    contract.write(narrower)
    check = gates._contract(folder, narrower, limits)
    assert str(check) == "contract.breaking: 1, allowed is at most 0 (size: up to 5 now, was 10.0)"
    limits.contract.breaking = 1
    assert gates._contract(folder, narrower, limits).passed
    assert gates._contract(narrower, folder, limits).passed


def test_judge_accepts_its_equal_and_refuses_the_worse(limits: Gates, home: Path) -> None:
    folder, test = home / "models/candidate", home / "data/prepared/test.parquet"
    equal = gates.judge(folder, test, limits, 7, {4: folder})
    assert [check.gate for check in equal.checks if not check.passed] == []
    assert (equal.champion, equal.model) == (4, Lineage.read(folder).digest)
    assert json.loads(equal.model_dump_json())["scores"].keys() == {
        "challenger", "baseline", "champion",
    }  # fmt: skip
    rows = pd.read_parquet(test)
    rows.assign(_target=1 - rows["_target"]).to_parquet(test)  # now it is always wrong
    worse = {check.gate for check in gates.judge(folder, test, limits, 7, {}).checks
             if not check.passed}  # fmt: skip
    assert worse == {"absolute.accuracy", "baseline.gain"}


def test_a_champion_that_needs_a_dropped_column_is_named(limits: Gates, home: Path) -> None:
    with pytest.raises(GateError, match=r"v2.inputs: it needs the column 'size'"):
        gates._score(home / "models/candidate", pd.DataFrame({"colour": ["red"]}), "v2")


def test_the_key_is_made_once_and_kept_private(home: Path) -> None:
    shutil.rmtree(".secrets", ignore_errors=True)
    key = gates.signing_key(Settings())
    assert len(key) == 64
    assert gates.KEY.stat().st_mode & 0o077 == 0
    assert gates.signing_key(Settings()) == key
    assert gates.signing_key(Settings(signing_key=SecretStr("mine"))) == b"mine"
