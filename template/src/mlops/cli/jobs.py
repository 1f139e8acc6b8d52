"""Commands as jobs on the provider's machines."""

from typing import Annotated

import typer

from .base import console
from .release import Environment, enter

app = typer.Typer()


@app.command()
def submit(
    command: Annotated[list[str] | None, typer.Argument(help="After --; else pipeline")] = None,
    environment: Environment = "dev",
    spot: Annotated[
        bool | None, typer.Option(help="On spare capacity; else as training.spot says.")
    ] = None,
    timeout: Annotated[
        int, typer.Option(help="Seconds after which it is ended; else training.timeout.")
    ] = 0,
) -> None:
    """Run a command of this commit on a machine of the provider, and bring back what it made."""
    from .. import jobs

    enter(environment)
    jobs.run(command or ["pipeline"], timeout or None, spot, say)


@app.command("image-job")
def image_job(environment: Environment = "dev") -> None:
    """Build the image that jobs run in, from uv.lock, and push it as cloud.job_image says."""
    from .. import image
    from ..cloud import open_cloud
    from ..settings import load_settings

    enter(environment)
    console.print(image.build_job(open_cloud(load_settings(), environment).job_image))


def say(line: str) -> None:
    """Print a job's line as it is: brackets in it are no markup."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)
