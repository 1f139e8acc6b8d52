"""What an environment lacks: `make doctor ENV=prod`."""

import json
from typing import Annotated

import typer
from rich.text import Text

from .base import console
from .release import Environment, enter

app = typer.Typer()

STYLES = {"ok": "green", "fault": "red", "unseen": "yellow", "n/a": "dim"}


@app.command()
def doctor(
    environment: Environment = "dev",
    as_json: Annotated[bool, typer.Option("--json", help="For machines")] = False,
) -> None:
    """Check login, roles, data, registry, endpoint and budget from outside; say what to fix."""
    from .. import doctor

    enter(environment)
    findings = []
    for one in doctor.examine(environment):
        findings.append(one)
        if not as_json:
            fix = f" Fix: {one.fix}" if one.fix else ""
            line = Text.assemble((f"{one.verdict:<8}", STYLES[one.verdict]), f"{one.check:<10}")
            console.print(line + Text(f"{one.found}.{fix}"), soft_wrap=True)
    if as_json:
        print(json.dumps([one._asdict() for one in findings], indent=2))
    doctor.refuse(findings, environment)
