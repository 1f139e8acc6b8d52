"""The model in batches."""

from pathlib import Path
from typing import Annotated

import typer

from .base import console
from .release import Environment, enter

app = typer.Typer()


@app.command()
def batch(
    source: Annotated[str, typer.Argument(help="A period, or Parquet: a file or a folder")],
    out: Annotated[Path, typer.Option(help="File to write")] = Path("build/predictions.parquet"),
    number: Annotated[int, typer.Option("--model", help="A version; else the champion")] = 0,
    ray: Annotated[bool, typer.Option(help="On Ray, past one machine (extra: ray)")] = False,
    environment: Environment = "dev",
) -> None:
    """Score records to Parquet; again, to go on with an interrupted run."""
    from .. import candidate
    from ..serve import batch

    enter(environment)
    number = number or candidate.champion_number()
    made = batch.score(candidate.fetch(number), batch.locate(source), out, number, ray)
    console.print(f"Version {number}: {made}")
