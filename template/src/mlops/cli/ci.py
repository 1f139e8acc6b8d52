"""`mlops ci`: what the jobs of a pipeline say to its platform. `make ci-NAME` calls each."""

from typing import Annotated

import typer

from ..ci.variables import Job
from ..settings import Paths
from .pipeline import verdict

app = typer.Typer(no_args_is_help=True, help="What pipelines do on their platform.")

Workflow = Annotated[str, typer.Argument(help="Its name")]
Version = Annotated[int, typer.Argument(envvar="VERSION", help="A version; else the challenger")]


@app.command()
def ready(job: Annotated[Job, typer.Argument(help="What is about to be done")]) -> None:
    """Refuse at once what lacks a variable or storage that others see."""
    from ..ci import steps

    steps.ready(job)


@app.command()
def retrain(
    reason: Annotated[str, typer.Option(envvar="REASON", help="Recorded with the run")] = "manual",
    last: Annotated[str, typer.Option(envvar="LAST", help="The newest period to use")] = "",
) -> None:
    """Make a candidate with the next data; without any, judge the present model again."""
    from ..ci import steps

    steps.retrain(reason, last, print)
    verdict()


@app.command()
def share() -> None:
    """Push data, models and the run cache; a fork's stay with it."""
    from ..ci import open_forge, steps

    steps.share(open_forge(), print)


@app.command()
def publish(
    workflow: Annotated[str, typer.Argument(envvar="WORKFLOW", help="Its name")] = "integrate",
) -> None:
    """Commit the pipeline's outputs on a branch, and propose it."""
    from ..ci import open_forge, steps

    steps.publish(open_forge(), workflow, print)


@app.command()
def version() -> None:
    """Hand the candidate's version on to later jobs, in release.env."""
    from ..ci import open_forge, steps

    print(f"Version {steps.version(open_forge()).number}")


@app.command()
def plan(number: Version = 0) -> None:
    """Pin the version that is released, once its gate record is known to be genuine."""
    from ..ci import steps

    found = steps.plan(number)
    print(f"Version {found.number}, model {found.digest[:12]}, commit {found.commit[:10]}")


@app.command()
def start(workflow: Workflow, number: Version) -> None:
    """Start another pipeline for a version, tagged deploy-trigger."""
    from ..ci import open_forge, steps

    steps.start(open_forge(), workflow, number, print)


@app.command()
def template() -> None:
    """Take in the template's improvements, as a pull request."""
    from ..ci import open_forge, steps

    steps.template(open_forge(), print)


@app.command()
def setup(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say the commands")] = False,
) -> None:
    """Make environments, approvals and branch rules what the repository says."""
    from ..ci import protection

    protection.setup(print, dry_run)


@app.command()
def verify() -> None:
    """Tell what is not so on the platform, variables and secrets included."""
    from ..ci import protection

    protection.verify(print)
    print("All is as wanted.")


@app.command()
def comment() -> None:
    """Put the report into the pull request's one comment."""
    from ..ci import comment, open_forge

    forge = open_forge()
    print(comment.post(forge, Paths()))
    comment.refuse_uncited(forge)


@app.command()
def alert(workflow: Workflow) -> None:
    """Open one work item for a failure, or add to it; tell those in MLOPS_NOTIFY."""
    from ..ci import alert, open_forge

    print(alert.alert(open_forge(), workflow))
