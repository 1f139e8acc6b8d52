"""The command ``mlops``: parse, call one function, print."""

import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from .errors import MlopsError
from .settings import Paths, edit_params, load_params, load_settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From data to a gated, registered model.",
)
data = typer.Typer(no_args_is_help=True, help="Data versions: check, profile, compare.")
model = typer.Typer(no_args_is_help=True, help="Registered models, and the candidate.")
app.add_typer(data, name="data")
app.add_typer(model, name="model")
console = Console()

MODEL = Paths().model

Number = Annotated[int, typer.Argument(help="A version's number; `mlops model list` shows them.")]


@app.callback()
def root(context: typer.Context) -> None:
    """Work in the repository's root, from whichever folder below it the command is called."""
    here = context.obj = Path.cwd()  # files are named from here
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file():
            os.chdir(folder)
            return
    raise MlopsError(f"{here} lies in no project: no dvc.yaml here or above.")


@app.command()
def setup() -> None:
    """Finish what `make setup` began: git hooks, and the key that signs gate records."""
    from . import gates

    run([sys.executable, "-m", "pre_commit", "install"])
    gates.signing_key(load_settings())
    console.print("Ready: commit, then [bold]make candidate[/].")


@app.command()
def check(
    tiers: Annotated[list[str] | None, typer.Argument(help="Only these tiers.")] = None,
) -> None:
    """Lint, types, tests, sample build, notebooks, package: the quickest first."""
    from . import checks

    checks.check(tiers or [], console)


@app.command()
def quality() -> None:
    """Measure coverage, lint and complexity; refuse what is past its limit."""
    from . import checks

    paths = Paths()
    paths.reports.mkdir(exist_ok=True)
    console.print(checks.quality(paths.reports / "quality.json"))


@app.command()
def pipeline(
    sample: Annotated[float, typer.Option(help="Share of the records: a look in seconds.")] = 1.0,
    timeout: Annotated[int, typer.Option(help="Seconds after which it is ended.")] = 6 * 3600,
) -> None:
    """Run what has changed of ingest, validate, prepare, train and evaluate."""
    from . import candidate

    if sample == 1:
        candidate.reproduce(timeout)
    else:
        folder = candidate.sample(sample)
        console.print((folder / "reports/metrics.json").read_text())


@app.command("candidate")
def candidate_() -> None:
    """Run the pipeline, hold the model against every gate, write the report."""
    from . import candidate

    candidate.reproduce()
    verdict()


@app.command()
def retrain(
    last: Annotated[str, typer.Option(help="The newest period to use; else the next.")] = "",
    reason: Annotated[str, typer.Option(help="manual, schedule, drift or new-data")] = "new-data",
) -> None:
    """Take in new data and make a candidate of it."""
    from . import candidate

    os.environ["MLOPS_REASON"] = reason
    os.environ["MLOPS_KIND"] = "retraining-baseline"
    load_settings()  # refuses an unknown reason before anything is changed
    last = candidate.following(last)
    console.print(f"Data up to [bold]{last}[/]")
    candidate.attempt(data={"last": last}, train={"parent": 0})
    verdict()


@app.command()
def refine() -> None:
    """Start from the champion and train on the additional data only."""
    from . import candidate

    number = candidate.champion_number()
    console.print(f"Starting from version [bold]{number}[/]")
    candidate.attempt(train={"parent": number})
    verdict()


@app.command()
def tune(
    trials: Annotated[int, typer.Option(help="Trials in all; else params.yaml's.")] = 0,
    apply: Annotated[bool, typer.Option(help="Write the best into params.yaml.")] = False,
) -> None:
    """Search hyperparameters; run it again to go on."""
    from .pipeline import tune

    best = tune.tune(load_params(), Paths(), trials or None)
    console.print(best)
    if apply:
        edit_params("model", best)


@app.command()
def register() -> None:
    """Register the candidate that the gates accepted, as the challenger."""
    from . import candidate

    made = candidate.register(Paths())
    console.print(f"Version [bold]{made.number}[/], {', '.join(made.aliases) or 'no alias'}")


@app.command()
def promote(
    number: Number, environment: Annotated[str, typer.Option("--env", help="Environment")] = "dev"
) -> None:
    """Name a version champion of an environment that is not protected."""
    from . import candidate

    made = candidate.promote(number, environment)
    console.print(f"Version [bold]{made.number}[/], {', '.join(made.aliases)}")


@app.command()
def debug(stage: Annotated[str, typer.Argument(help="A stage, such as train")]) -> None:
    """Run one stage in the debugger."""
    from .pipeline import STAGES

    if stage not in STAGES:
        raise MlopsError(f"There is no stage {stage!r}: there are {', '.join(STAGES)}.")
    run([sys.executable, "-m", "pdb", "-c", "continue", "-m", f"mlops.pipeline.{stage}"])


@app.command()
def history(limit: Annotated[int, typer.Option(help="Runs shown")] = 20) -> None:
    """Show the latest runs."""
    from . import tracking

    rows = []
    for found in tracking.history(limit):
        metrics = {
            name.removeprefix("model."): f"{value:.4f}"
            for name, value in found.data.metrics.items()
            if name.startswith("model.")
        }
        loss = found.data.metrics.get("valid.loss")
        rows.append(
            {"run": found.info.run_id[:8], "name": found.info.run_name, "status": found.info.status}
            | metrics
            | ({"loss": f"{loss:.4f}"} if loss is not None else {})
        )
    table(rows)


@app.command()
def assets() -> None:
    """List every input and output of the pipeline, with its version."""
    import yaml

    stages = yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8"))["stages"]
    table(
        {"stage": name, "kind": kind[:-1], "asset": entry["path"], "version": entry["md5"]}
        for name, stage in stages.items()
        for kind in ("deps", "outs")
        for entry in stage.get(kind, [])
    )


@app.command()
def notebook(source: Path, target: Path) -> None:
    """Turn a notebook's code cells into a module, to be cut into functions from there."""
    import json

    cells = json.loads(source.read_text(encoding="utf-8"))["cells"]
    code = ["".join(cell["source"]).strip() for cell in cells if cell["cell_type"] == "code"]
    if target.exists():
        raise MlopsError(f"{target} exists: name a new file.")
    lines = [f'"""From {source.name}."""', *code]
    target.write_text("\n\n".join(lines) + "\n", encoding="utf-8")


@data.command("check")
def data_check(
    context: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(help="Files of records")] = None,
    revision: Annotated[str, typer.Option("--rev", help="A git revision's data")] = "",
) -> None:
    """Hold files, or an earlier data version, against the four validators."""
    import json

    from . import validators, versions
    from .settings import load_gates

    if revision:
        versions.check_data(revision)
        console.print(f"The data of {revision} is good.")
    profile = Paths().profile
    reference = json.loads(profile.read_text(encoding="utf-8")) if profile.is_file() else None
    named = [Path(os.path.relpath(context.obj / path)) for path in files or []]
    for path in named or ([] if revision else sorted(Paths().raw.glob("*.parquet"))):
        found = validators.validate(validators.read(path), load_gates().data, reference)
        validators.refuse(found, str(path))
        console.print(f"{path} is good.")


@data.command("profile")
def data_profile(context: typer.Context, file: Path) -> None:
    """Print a file's profile as JSON."""
    from . import profile, validators

    console.print_json(data=profile.profile(validators.read(context.obj / file)))


@data.command("list")
def data_list() -> None:
    """List the data's versions, newest first."""
    from .lineage import data_versions, git

    table(
        {"revision": line.split(" ", 1)[0], "commit": line.split(" ", 1)[1]}
        | data_versions(revision=line.split(" ", 1)[0])
        for line in git("log", "--format=%h %cs %s", "--", "dvc.lock").splitlines()
    )


@model.command("list")
def model_list() -> None:
    """List the registered versions."""
    from .registry import open_registry

    table(
        {
            "version": found.number,
            "aliases": ", ".join(found.aliases),
            "created": found.created,
            "commit": found.commit[:10],
            "model": found.digest[:12],
        }
        | {k[7:]: f"{float(v):.4f}" for k, v in found.tags.items() if k.startswith("metric.")}
        for found in open_registry(load_settings()).list()
    )


model.command("register")(register)
model.command("track")(history)
model.command("debug")(debug)


@model.command("compare")
def model_compare(numbers: Annotated[list[int], typer.Argument(help="Versions")]) -> None:
    """Show metrics side by side, a column a version."""
    from . import versions

    columns = {number: versions.version(number).tags for number in numbers}
    names = sorted({k for tags in columns.values() for k in tags if k.startswith("metric.")})
    table(
        {"metric": name[7:]} | {f"v{n}": tags.get(name, "") for n, tags in columns.items()}
        for name in names
    )


@model.command("diff")
def model_diff(first: Number, second: Number) -> None:
    """Show in what two versions differ."""
    from . import versions

    found = versions.difference(first, second)
    table({"fact": key, f"v{first}": a, f"v{second}": b} for key, (a, b) in found.items())


@model.command("lineage")
def model_lineage(
    number: Annotated[int, typer.Argument(help="A version's number")] = 0,
    data: Annotated[str, typer.Option(help="A data version's hash, or its beginning")] = "",
    commit: Annotated[str, typer.Option(help="A commit, or its beginning")] = "",
) -> None:
    """Show what a version is made from, or which versions came from a data version or commit."""
    from . import versions

    if number:
        table({"fact": key, "value": value} for key, value in versions.facts(number).items())
    else:
        rows = versions.related(data, commit)
        table({"version": v.number, "commit": v.commit, "created": v.created} for v in rows)


@model.command("recreate")
def model_recreate(number: Number) -> None:
    """Train a version again from its lineage, and compare the model's hash."""
    from . import versions

    registered, again = versions.recreate(number)
    if registered != again:
        raise MlopsError(f"Version {number} is {registered[:12]}; made again it is {again[:12]}.")
    console.print(f"Version {number} made again: the same model, {again[:12]}.")


@model.command("switch")
def model_switch(number: Number) -> None:
    """Check out a version's code, data and model."""
    from . import versions

    commit = versions.switch(number)
    console.print(f"At {commit[:10]}. Back: `git switch BRANCH`, then `uv run dvc checkout`.")


@model.command("validate")
def model_validate(number: Number) -> None:
    """Verify a version's gate record: unedited, a pass, and about this very model."""
    from . import candidate

    record = candidate.verify_version(number)
    console.print(f"Version {number} passed {len(record.checks)} checks on {record.created}.")


@model.command("profile")
def model_profile(folder: Annotated[Path, typer.Argument()] = MODEL) -> None:
    """Measure a model's size, memory and latency."""
    from . import footprint

    console.print_json(data=footprint.measure(folder).model_dump())


@model.command("convert")
def model_convert(folder: Annotated[Path, typer.Argument()] = MODEL) -> None:
    """Convert the trained form to the served form again, and compare the bytes."""
    from . import candidate

    console.print(candidate.convert_again(folder))


def verdict() -> None:
    """Judge the candidate, print the verdict, and leave with the gate's exit code if refused."""
    from . import candidate

    record = candidate.judge(Paths())
    failed = [check for check in record.checks if not check.passed]
    for one in failed:
        console.print(f"[red]refused[/] {one}")
    if not failed:
        console.print(f"[green]accepted[/] by {len(record.checks)} checks")
    console.print(f"Report: {Path('reports/report.html').resolve().as_uri()}")
    if failed:
        raise typer.Exit(5)


def table(rows: Iterable[Mapping[str, object]]) -> None:
    """Print rows as a table; on a pipe, as lines of tab-separated values."""
    listed = list(rows)
    columns = list(dict.fromkeys(key for row in listed for key in row))
    if not console.is_terminal:
        lines = [columns, *([str(row.get(key, "")) for key in columns] for row in listed)]
        print("\n".join("\t".join(line) for line in lines))
        return
    shown = Table(*columns)
    for row in listed:
        shown.add_row(*(str(row.get(key, "")) for key in columns))
    console.print(shown)


def run(command: list[str]) -> None:
    """Run a command with this terminal; leave with its exit code if it fails."""
    code = subprocess.run(command, check=False).returncode
    if code:
        raise typer.Exit(code)


def main() -> None:
    """Run the command; a refusal is one line and an exit code, not a traceback."""
    try:
        app()
    except MlopsError as error:
        Console(stderr=True).print(f"[red]{type(error).__name__}[/]: {error}", highlight=False)
        sys.exit(error.exit_code)
