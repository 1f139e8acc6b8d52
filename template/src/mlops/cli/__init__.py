"""The command ``mlops``: parse, call one function, print."""

import os
import signal
import sys
from importlib import import_module
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from .. import project
from ..errors import MlopsError
from . import ci, data, doctor, model, pipeline, release

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From data to a gated, registered, released model.",
)


@app.callback()
def root(context: typer.Context) -> None:
    """Work in the repository's root, from whichever folder below it the command is called."""
    here = context.obj = Path.cwd()  # files are named from here
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file():
            os.chdir(folder)
            return
    raise MlopsError(f"{here} lies in no project: no dvc.yaml here or above.")


app.add_typer(pipeline.app)
app.add_typer(release.app)
app.add_typer(doctor.app)
for way in project.SERVING:
    app.add_typer(import_module(f".{way}", __name__).app)
if project.TRAINING == "job":
    app.add_typer(import_module(".jobs", __name__).app)
if project.PROVIDER != "local":
    app.add_typer(import_module(".infra", __name__).app, name="infra")
app.add_typer(data.app, name="data")
app.add_typer(model.app, name="model")
app.add_typer(ci.app, name="ci")


def main() -> None:
    """Run the command; a refusal is one line and an exit code, not a traceback."""
    # A job that a platform cancels ends as by Ctrl-C: a release gives the traffic back first.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        app()
    except MlopsError as error:
        Console(stderr=True).print(
            f"[red]{type(error).__name__}[/]: {escape(str(error))}", highlight=False
        )
        sys.exit(error.exit_code)
