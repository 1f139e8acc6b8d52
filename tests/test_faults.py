"""Faults planted into a project with a champion: each is caught by name by the check meant for it.

``planted``, ``planted_by`` and ``edited`` are the doors through which the faults get in: where they
do nothing, the tests fail.
"""

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from conftest import Project

pytestmark = pytest.mark.long

MODEL = "src/flight_delays/model.py"
FIT = "    encoder = parent["
# What `mlops candidate` does once the pipeline has run, for faults put into its outputs.
VERDICT = """
import sys
from mlops.cli import app, main
from mlops.cli.pipeline import verdict
app.command()(verdict)
sys.argv = ["mlops", "verdict"]
main()
"""
EDIT = """
import onnx
from onnx import TensorProto, helper
model = onnx.load("models/candidate/model.onnx")
graph = model.graph
{}
onnx.save(model, "models/candidate/model.onnx")
"""


def planted(project: Project, path: str, *replacements: tuple[str, str]) -> None:
    """Plant a fault into a file."""
    project.write(path, *replacements)


def planted_by(project: Project, code: str) -> None:
    """Plant a fault by a program."""
    project.run("python", "-c", code)


def judged(project: Project) -> str:
    """Judge models/candidate as it lies, and return what is printed; it is refused."""
    return project.run("python", "-c", VERDICT, fails=True)


def registered(project: Project) -> int:
    """Return how many versions the registry holds."""
    with sqlite3.connect(project.root / "mlflow.db") as store:
        return int(store.execute("select count(*) from model_versions").fetchone()[0])


def refused(project: Project, output: str, *gates: str) -> dict[str, float]:
    """See that the named gates have refused and nothing can be registered; return all values."""
    assert project.code == 5, output
    checks = json.loads((project.root / "reports/gates.json").read_text())["checks"]
    failed = {check["gate"] for check in checks if not check["passed"]}
    assert failed >= set(gates), failed
    refusal = project.mlops("register", fails=True)
    assert project.code == 5
    for gate in gates:
        assert f"refused {gate}: " in output
        assert f"  {gate}: " in refusal
    assert registered(project) == 1
    values = {check["gate"]: check["value"] for check in checks}
    return {gate: value for gate, value in values.items() if gate in failed}


def test_the_clean_project_passes_every_check(trained: Project) -> None:
    assert trained.mlops("data", "check").count("is good.") == 4
    assert "accepted by" in trained.run("python", "-c", VERDICT)
    trained.mlops("pipeline")
    assert "Version 1" in trained.mlops("register")
    assert registered(trained) == 1


DATA = {
    "renamed column": ("schema", "records.rename(columns={'distance': 'miles'})"),
    "hour as text": ("schema", "records.astype({'hour': str})"),
    "duplicate keys": ("integrity", "pd.concat([records, records.head(9)])"),
    "truncated file": ("integrity", "records.head(50)"),
    "impossible hour": ("values", "records.assign(hour=records['hour'].replace(6, 66))"),
    "all flights longer": ("skew", "records.assign(distance=records['distance'] * 2)"),
}
LOAD = """def load(period: str) -> pd.DataFrame:
    records = whole(period)
    return {} if period == "2013-07" else records


def whole("""


@pytest.mark.parametrize("fault", DATA)
def test_bad_data_is_refused_by_its_validator(trained: Project, fault: str) -> None:
    validator, expression = DATA[fault]
    planted(trained, "src/flight_delays/data.py", ("def load(", LOAD.format(expression)))
    source = "from flight_delays.data import load; load('2013-07').to_parquet('july.parquet')"
    trained.run("python", "-c", source)
    for command in (["data", "check", "july.parquet"], ["pipeline"]):
        output = trained.mlops(*command, fails=True)
        assert trained.code == 3
        assert re.findall(r"^ +(\w+): \w+: ", output, re.MULTILINE)[0] == validator


def test_a_file_cut_short_is_refused_by_integrity(trained: Project) -> None:
    shutil.copy(trained.root / "data/raw/2013-07.parquet", trained.root / "july.parquet")
    planted_by(trained, "import os; os.truncate('july.parquet', 200_000)")
    output = trained.mlops("data", "check", "july.parquet", fails=True)
    assert trained.code == 3
    assert "integrity: july.parquet: cannot be read" in output


def test_divergence_ends_the_run_and_keeps_nothing(trained: Project) -> None:
    planted(trained, "params.yaml", ("learning_rate: 0.1", "learning_rate: 1.0e+6"))
    output = trained.mlops("candidate", fails=True)
    assert trained.code == 4
    assert "train: Training did" in output
    assert not (trained.root / "models/candidate").exists()
    with sqlite3.connect(trained.root / "mlflow.db") as store:
        last = "select status from runs order by start_time desc limit 1"
        assert store.execute(last).fetchone() == ("FAILED",)
    trained.mlops("register", fails=True)
    assert registered(trained) == 1


def test_a_model_of_shuffled_labels_is_refused(trained: Project) -> None:
    """With the guard against non-convergence taken away, so that the gates are alone."""
    shuffled = "    y = np.random.default_rng(0).permutation(y)\n"
    planted(trained, MODEL, (FIT, shuffled + FIT))
    trained.run(
        *("python", "-c"),
        "import mlops.pipeline.train as stage; from mlops.settings import Paths, load_params\n"
        "stage.converged = lambda *_: None; stage.train(load_params(), Paths())",
    )
    refused(trained, judged(trained), "absolute.roc_auc", "baseline.gain", "champion.loss")


def test_a_model_worse_on_one_slice_only_is_refused(trained: Project) -> None:
    """Virgin America is 2 % of the flights: the loss over all of them would have passed."""
    coin = "    coin = np.random.default_rng(0).integers(0, 2, len(y))\n"
    coin += '    y = np.where(X["carrier"] == "VX", coin, y)\n'
    planted(trained, MODEL, (FIT, coin + FIT))
    found = refused(trained, trained.mlops("candidate", fails=True), "slice.carrier=VX")
    assert "champion.loss" not in found
    assert not any(gate.startswith(("absolute.", "baseline.", "robustness.")) for gate in found)


def test_a_model_of_500_mb_is_refused(trained: Project) -> None:
    file = "open('models/candidate/weights.bin', 'wb').truncate(500_000_000)"
    planted_by(trained, file)
    refused(trained, judged(trained), "footprint.size_mb", "footprint.size_vs_champion")


def test_a_model_that_fills_the_memory_is_refused(trained: Project) -> None:
    padding = (
        'helper.make_tensor("p", TensorProto.FLOAT, [13 * 10**7], bytes(52 * 10**7), raw=True)'
    )
    planted_by(trained, EDIT.format(f"graph.initializer.append({padding})"))
    refused(trained, judged(trained), "footprint.memory_mb", "footprint.memory_vs_champion")


NEIGHBOURS = """
def build(params: dict[str, Any], seed: int) -> Pipeline:
    steps = [SimpleImputer(), StandardScaler(), KNeighborsClassifier(200)]
    return Pipeline([("features", features.build()), *zip("isk", steps)])


def fit(model: Pipeline, X: pd.DataFrame, y: Array, *_: object) -> dict[str, list[float]]:
    some = np.random.default_rng(0).choice(len(y), 5000, replace=False)
    model.fit(X.iloc[some], y[some])
    return {}


def loss("""


def test_a_slow_model_is_refused(trained: Project) -> None:
    """Five thousand neighbours to compare with; the budget is a tight one, for the test's sake."""
    trained.write("gates.yaml", ("max_p99_ms: 20", "max_p99_ms: 1"))
    champion = json.loads((trained.root / "reports/gates.json").read_text())["footprints"]
    assert champion["challenger"]["p99_ms"] < 1
    imports = "from sklearn.impute import SimpleImputer\n"
    imports += "from sklearn.neighbors import KNeighborsClassifier\n"
    imports += "from sklearn.preprocessing import StandardScaler\n"
    start = "from xgboost import"
    planted(trained, MODEL, (start, imports + start), ("\ndef loss(", NEIGHBOURS))
    trained.run(  # a few of the rows decide: each of them is slow
        *("python", "-c"),
        "import pandas as pd; from mlops.pipeline.train import train\n"
        "from mlops.settings import Paths, load_params; train(load_params(), Paths())\n"
        "test = 'data/prepared/test.parquet'; pd.read_parquet(test)[::60].to_parquet(test)",
    )
    slow = ("footprint.p99_ms", "footprint.latency_vs_champion")
    refused(trained, judged(trained), *slow)


def test_heavy_dependencies_are_refused(trained: Project) -> None:
    package = '\n[[package]]\nname = "heavy-{}"\nversion = "1.0"\n'
    packages = "".join(package.format(number) for number in range(30))
    planted_by(trained, f"open('uv.lock', 'a').write({packages!r})")
    output = trained.mlops("candidate", fails=True)
    found = refused(trained, output, "footprint.new_dependencies")
    assert found["footprint.new_dependencies"] == 30


def test_a_served_form_that_answers_differently_is_refused(trained: Project) -> None:
    """One leaf of one tree, moved by a hundredth: too little for any other gate."""
    leaf = 'tree = next(n for n in graph.node if n.op_type == "TreeEnsembleClassifier")\n'
    leaf += 'next(a for a in tree.attribute if a.name == "class_weights").floats[0] += 0.01'
    planted_by(trained, EDIT.format(leaf))
    refused(trained, judged(trained), "parity.difference")


OVERFLOW = """
score = graph.output[-1].name
last = next(node for node in graph.node if score in node.output)
last.output[list(last.output).index(score)] = "sound"
for name, value in ("ten", 10.0), ("zero", 0.0):
    graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [1], [value]))
graph.node.extend([
    helper.make_node("Sub", ["distance", "ten"], ["over"]),
    helper.make_node("Log", ["over"], ["log"]),
    helper.make_node("Mul", ["log", "zero"], ["nothing"]),
    helper.make_node("Add", ["sound", "nothing"], [score]),
])
"""


def test_a_model_that_answers_with_no_number_is_refused(trained: Project) -> None:
    """The logarithm of (distance - 10): sound on every known flight, not at the schema's limit."""
    planted_by(trained, EDIT.format(OVERFLOW))
    found = refused(trained, judged(trained), "robustness.extreme")
    assert "parity.difference" not in found


def edited(project: Project, **changes: object) -> None:
    """Change the candidate's gate record."""
    path = project.root / "reports/gates.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_edited_or_foreign_gate_record_registers_nothing(trained: Project) -> None:
    trained.write("gates.yaml", ("roc_auc: { min: 0.62 }", "roc_auc: { min: 0.99 }"))
    refused(trained, judged(trained), "absolute.roc_auc")
    genuine = json.loads((trained.root / "reports/gates.json").read_text())
    flipped = [check | {"passed": True} for check in genuine["checks"]]
    lowered = [check | {"limit": 0.5} for check in genuine["checks"]]
    for changes in ({"passed": True, "checks": flipped}, {"checks": lowered}):
        edited(trained, **genuine | changes)
        output = trained.mlops("register", fails=True)
        assert trained.code == 5
        assert "record.signature: the gate record was edited" in output
    trained.write("gates.yaml", ("roc_auc: { min: 0.99 }", "roc_auc: { min: 0.62 }"))
    assert "accepted by" in trained.run("python", "-c", VERDICT)
    output = trained.mlops("register", fails=True, variables={"MLOPS_SIGNING_KEY": "another"})
    assert "record.signature" in output
    planted_by(trained, EDIT.format('model.doc_string = "another"'))
    output = trained.mlops("register", fails=True)
    assert trained.code == 5
    assert "record.model: the gate record is about model" in output
    assert registered(trained) == 1


CONFIGURATION = [
    ("gates.yaml", "roc_auc:", "accuracy:", "gates.yaml: absolute.accuracy is no metric"),
    ("gates.yaml", "max_mb: 50", "max_gb: 50", "gates.yaml: footprint.max_mb: Field required"),
    ("gates.yaml", "skew: 0.2", "skew: 2", r"gates.yaml: data.skew: .*less .* 1 \(it is 2\)"),
    ("params.yaml", "seed:", "sead:", r"params.yaml: sead: Extra inputs.* \(it is 42\)"),
    ("params.yaml", "valid: 1", "valid: 0", r"params.yaml: split.valid: .* 1 \(it is 0\)"),
    ("params.yaml", "last: 2013-07", "last: 2014-07", "data.last is '2014-07'; the source holds"),
    ("environments/dev.yaml", "false", "maybe", r"dev.yaml: protected: .* \(it is 'maybe'\)"),
    ("environments/dev.yaml", "protected", "safe", r"dev.yaml: safe: Extra inputs .* False\)"),
]


@pytest.mark.parametrize(("file", "old", "new", "message"), CONFIGURATION)
def test_a_wrong_setting_is_named(
    trained: Project, file: str, old: str, new: str, message: str
) -> None:
    planted(trained, file, (old, new))
    output = trained.mlops("candidate", fails=True)
    assert re.search(message, output), output
    assert "Traceback" not in output


def test_an_unknown_environment_is_refused(champion: Project) -> None:
    for command in ("history", "candidate"):
        output = champion.mlops(command, fails=True, variables={"MLOPS_ENV": "moon"})
        assert "no environment 'moon': MLOPS_ENV takes dev, staging, prod" in output


def aliases(project: Project) -> dict[str, list[str]]:
    """Return each version's aliases."""
    rows = [line.split("\t") for line in project.mlops("model", "list").splitlines()[1:]]
    return {row[0]: row[1].split(", ") if row[1] else [] for row in rows if len(row) > 1}


def test_a_better_challenger_is_accepted_and_the_champion_stays_until_promotion(
    trained: Project, tmp_path: Path
) -> None:
    trained.write("params.yaml", ("first: 2013-04", "first: 2013-02"))
    assert "accepted by" in trained.mlops("candidate")
    checks = json.loads((trained.root / "reports/gates.json").read_text())["checks"]
    assert next(check["value"] for check in checks if check["gate"] == "champion.loss") < 0
    trained.commit("More months")
    assert "Version 2, challenger" in trained.mlops("register")
    assert "prod is protected" in trained.mlops("promote", "2", "--env", "prod", fails=True)
    assert aliases(trained) == {"1": ["champion-dev"], "2": ["challenger"]}

    trained.write("params.yaml", ("max_depth: 6", "max_depth: 5"))
    assert "accepted by" in trained.mlops("candidate")  # judged against version 1
    trained.commit("Shallow trees")
    trained.mlops("promote", "2")
    assert aliases(trained) == {"1": [], "2": ["challenger", "champion-dev"]}
    output = trained.mlops("register", fails=True)
    assert trained.code == 5
    assert "record.champion: the model was judged against champion 1, which is now 2" in (
        " ".join(output.split())
    )
    assert registered(trained) == 2
