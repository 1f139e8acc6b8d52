"""Releases, and what stands in each environment."""

import contextlib
import os
from collections.abc import Iterator
from typing import Annotated

import typer

from .. import project
from ..errors import MlopsError
from ..settings import CHANGE, STRATEGY, in_pipeline, load_settings
from .base import Number, console, table

app = typer.Typer()

Environment = Annotated[str, typer.Option("--env", envvar="MLOPS_ENV", help="Environment")]
Why = Annotated[str, typer.Option(envvar="WHY", help="For the ledger")]
Strategy = Annotated[STRATEGY | None, typer.Option(help="Another than the environment's")]
Change = Annotated[CHANGE | None, typer.Option(help="Its kind, which chooses the strategy")]


@app.command()
def release(
    number: Annotated[int, typer.Argument(help="A version; else the challenger")] = 0,
    environment: Environment = "dev",
    strategy: Strategy = None,
    change: Change = None,
    tagged: Annotated[bool, typer.Option(help="The version tagged deploy-trigger")] = False,
    dry_run: Annotated[bool, typer.Option(help="Show the plan only")] = False,
    why: Why = "",
) -> None:
    """Release a version by the environment's strategy; again, to finish an interrupted one."""
    from ..release import controller, strategies

    enter(environment)
    chosen = strategy or (strategies.choose(change) if change else None)
    at_work = controller.open_controller(environment, console.print)
    number = number or at_work.next_version(tagged)
    order = controller.order(number, at_work.settings, chosen, why)
    if dry_run:
        console.print(f"Version {number} to {environment} by {order.strategy}")
        table(
            {"step": step.name, "traffic": str(step.traffic), "hold": f"{step.hold:g} s"}
            | {"samples": step.samples, "checks": ", ".join(step.checks)}
            for step in order.plan
        )
        return
    at_work.release(order)


@app.command("roll-forward")
def roll_forward(number: Number, environment: Environment = "dev", why: Why = "hot fix") -> None:
    """Release a version at once, past the same gates: all traffic, watched for its health."""
    from ..release import deploy

    if number < 1:
        raise MlopsError("A hot fix is a version: `make roll-forward VERSION=N`.")
    enter(environment)
    with shared():
        deploy.roll_forward(environment, number, why, console.print)


@app.command()
def rollback(environment: Environment = "dev", why: Why = "") -> None:
    """End the release under way; without one, go back to the champion before this one."""
    from ..release import controller

    enter(environment)
    with shared():
        controller.open_controller(environment, console.print).rollback(why)


@app.command()
def settle(environment: Environment = "dev") -> None:
    """Give all traffic to the champion where a release was left by what carried it out.

    This machine does so by itself. On a provider, let a scheduler run it every few minutes.
    """
    from ..release import controller

    enter(environment)
    left = controller.open_controller(environment, console.print).settle()
    console.print(
        f"{environment}: a release was left; the champion answers alone. The same command goes on "
        "with it, `make rollback` ends it."
        if left
        else f"{environment}: no release was left."
    )


@app.command()
def cd(
    number: Annotated[int, typer.Argument(help="A version; else the challenger")] = 0,
    why: Why = "",
) -> None:
    """Release a version through all environments in their order; the first refusal ends it."""
    from ..release import controller

    for environment in project.ENVIRONMENTS:
        enter(environment)
        at_work = controller.open_controller(environment, console.print)
        number = number or at_work.next_version()
        current = at_work.champion()
        if current and current.number == number:
            console.print(f"{environment}: version {number} is the champion already.")
            continue
        console.print(f"[bold]{environment}[/]")
        at_work.release(controller.order(number, at_work.settings, None, why))


@app.command()
def deploy(
    number: Annotated[int, typer.Argument(help="A version; else the challenger")] = 0,
    environment: Environment = "dev",
    why: Why = "",
) -> None:
    """Bring a version into an environment as a pipeline does, and back if it answers wrongly.

    With deploy-code the environment trains the version's commit itself, and releases what it made.
    """
    from .. import versions
    from ..release import deploy

    enter(environment)
    with shared():
        if project.PROMOTION == "deploy-code":
            if number:
                versions.switch(number)
            number = deploy.train(environment).number
        deploy.deploy(environment, number, why, console.print)


@app.command()
def deployments(environment: Environment = "dev") -> None:
    """Show the ledger: who released what, when, why, by which steps, and how it ended."""
    from ..release.journal import open_journal

    enter(environment)
    table(
        {
            "release": one.release,
            "version": one.version,
            "model": one.digest[:12],
            "gate": one.gate[:12],
            "strategy": one.strategy,
            "slot": one.slot,
            "weights": " > ".join(one.weights),
            "who": one.who,
            "why": one.why,
            "started": one.started,
            "finished": one.finished,
            "verdict": one.verdict or "under way",
        }
        for one in open_journal(environment).deployments()
    )


@contextlib.contextmanager
def shared() -> Iterator[None]:
    """Push what a release adds to git, whatever becomes of it: a job's clone is lost."""
    try:
        yield
    finally:
        if in_pipeline() and (project.REGISTRY == "gto" or project.PROMOTION == "deploy-code"):
            from ..ci import open_forge, steps

            steps.share_tags(open_forge())


def enter(environment: str) -> None:
    """Let this environment be the one that everything reads; refuse an unknown one."""
    load_settings(environment)
    os.environ["MLOPS_ENV"] = environment
