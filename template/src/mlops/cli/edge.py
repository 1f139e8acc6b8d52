"""The model at the edge."""

from pathlib import Path
from typing import Annotated

import typer

from ..settings import load_settings
from .base import console
from .release import Environment, enter

app = typer.Typer()


@app.command()
def edge(
    number: Annotated[int, typer.Argument(help="A version; else the champion")] = 0,
    out: Annotated[Path, typer.Option(help="File to write")] = Path("dist/edge.zip"),
    environment: Environment = "dev",
) -> None:
    """Write a signed bundle that answers without network, and what a device needs to check it."""
    from .. import candidate
    from ..serve import edge

    enter(environment)
    number = number or candidate.champion_number()
    key = edge.signing_key(load_settings())
    made = edge.bundle(candidate.fetch(number), number, out, key)
    console.print(f"{made}: version {number}")
    console.print(f"{edge.kit(out.parent / 'device', key)}: goes to a device once, by another way")
