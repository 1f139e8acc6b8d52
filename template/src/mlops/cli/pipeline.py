"""From data to a registered challenger: the everyday commands."""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from ..errors import MlopsError
from ..settings import Paths, edit_params, in_pipeline, load_params, load_settings
from .base import Number, console, run, table

app = typer.Typer()


@app.command()
def setup() -> None:
    """Finish what `make setup` began: git hooks, and the key that signs gate records."""
    from .. import gates

    run([sys.executable, "-m", "pre_commit", "install"])
    gates.signing_key(load_settings())
    console.print("Ready: commit, then [bold]make candidate[/].")


@app.command()
def check(
    tiers: Annotated[list[str] | None, typer.Argument(help="Only these tiers.")] = None,
) -> None:
    """Lint, types, tests, sample build, notebooks, package: the quickest first."""
    from .. import checks

    load_settings()  # an unknown environment is refused before anything runs
    checks.check(tiers or [], console)


@app.command()
def quality() -> None:
    """Measure coverage, lint and complexity; refuse what is past its limit."""
    from .. import checks

    paths = Paths()
    paths.reports.mkdir(exist_ok=True)
    console.print(checks.quality(paths.reports / "quality.json"))


@app.command()
def pipeline(
    sample: Annotated[float, typer.Option(help="Share of the records: a look in seconds.")] = 1.0,
    timeout: Annotated[
        int, typer.Option(help="Seconds after which it is ended; else training.timeout.")
    ] = 0,
    until: Annotated[str, typer.Option(help="The last stage to run; else all.")] = "",
    anew: Annotated[str, typer.Option(help="A stage to run even if nothing has changed.")] = "",
) -> None:
    """Run what has changed of ingest, validate, prepare, train and evaluate."""
    from .. import candidate

    if sample == 1:
        candidate.reproduce(timeout or load_settings().training.timeout, until, anew)
    else:
        folder = candidate.sample(sample)
        console.print((folder / "reports/metrics.json").read_text())


@app.command("candidate")
def candidate_() -> None:
    """Run the pipeline, hold the model against every gate, write the report."""
    from .. import candidate

    candidate.reproduce()
    verdict()


@app.command()
def retrain(
    last: Annotated[str, typer.Option(help="The newest period to use; else the next.")] = "",
    reason: Annotated[str, typer.Option(help="manual, schedule, drift or new-data")] = "new-data",
) -> None:
    """Take in new data and make a candidate of it."""
    from .. import candidate

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
    from .. import candidate

    number = candidate.champion_number()
    console.print(f"Starting from version [bold]{number}[/]")
    candidate.attempt(train={"parent": number})
    verdict()


@app.command()
def tune(
    trials: Annotated[
        int, typer.Option(envvar="TRIALS", help="Trials in all; else params.yaml's.")
    ] = 0,
    apply: Annotated[bool, typer.Option(help="Write the best into params.yaml.")] = False,
) -> None:
    """Search hyperparameters; run it again to go on."""
    from .. import candidate

    settings = load_settings()
    options = [*(["--trials", str(trials)] if trials else []), *(["--apply"] if apply else [])]
    if candidate.submitted("tune", *options):
        return
    if in_pipeline():  # nothing is here yet
        candidate.reproduce(until="prepare")
    way = "search" if settings.training.where == "ray" else "tune"
    best = import_module(f"...pipeline.{way}", __name__).tune(
        load_params(), Paths(), trials or None
    )
    console.print(best)
    if apply:
        edit_params("model", best)


@app.command()
def register() -> None:
    """Register the candidate that the gates accepted, as the challenger."""
    from .. import candidate

    made = candidate.register(Paths())
    console.print(f"Version [bold]{made.number}[/], {', '.join(made.aliases) or 'no alias'}")


@app.command()
def promote(
    number: Number, environment: Annotated[str, typer.Option("--env", help="Environment")] = "dev"
) -> None:
    """Name a version champion of an environment that is not protected."""
    from .. import candidate

    made = candidate.promote(number, environment)
    console.print(f"Version [bold]{made.number}[/], {', '.join(made.aliases)}")


@app.command()
def debug(stage: Annotated[str, typer.Argument(help="A stage, such as train")]) -> None:
    """Run one stage in the debugger."""
    from ..pipeline import STAGES

    if stage not in STAGES:
        raise MlopsError(f"There is no stage {stage!r}: there are {', '.join(STAGES)}.")
    run([sys.executable, "-m", "pdb", "-c", "continue", "-m", f"mlops.pipeline.{stage}"])


@app.command()
def history(limit: Annotated[int, typer.Option(help="Runs shown")] = 20) -> None:
    """Show the latest runs."""
    from .. import tracking

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


def verdict() -> None:
    """Judge the candidate, print the verdict, and leave with the gate's exit code if refused."""
    from .. import candidate

    record = candidate.judge(Paths())
    failed = [check for check in record.checks if not check.passed]
    for one in failed:
        console.print(f"[red]refused[/] {one}")
    if not failed:
        console.print(f"[green]accepted[/] by {len(record.checks)} checks")
    console.print(f"Report: {Path('reports/report.html').resolve().as_uri()}")
    if failed:
        raise typer.Exit(5)
