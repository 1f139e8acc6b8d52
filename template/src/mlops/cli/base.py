"""What every command uses to print and to run."""

import subprocess
from collections.abc import Iterable, Mapping
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

console = Console()

Number = Annotated[int, typer.Argument(help="A version's number; `mlops model list` shows them.")]


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
