"""The model online, on this machine."""

import contextlib
from typing import Annotated

import typer

from ..errors import MlopsError
from ..settings import Paths, load_settings
from .base import console
from .release import Environment, enter

app = typer.Typer()


@app.command("serve")
def serve(environment: Environment = "dev") -> None:
    """Let the environment's champion answer on this machine, behind Envoy."""
    from ..release import controller, status

    enter(environment)
    at_work = controller.open_controller(environment, console.print)
    at_work.stand()
    console.print(status.addresses(at_work.target.state()))


@app.command()
def stop(environment: Environment = "dev") -> None:
    """Take the environment on this machine down."""
    from ..release.journal import open_journal
    from ..release.targets import open_target

    enter(environment)
    with open_journal(environment).lock():  # not while there is a release
        open_target(environment, load_settings(environment)).stop()
    console.print(f"{environment} is down.")


@app.command()
def status(
    environment: Environment = "dev",
    watch: Annotated[bool, typer.Option(help="Go on until Ctrl-C")] = False,
) -> None:
    """Show who answers which share, and both slots' figures."""
    from ..release import status

    enter(environment)
    status.show(environment, console, watch)


@app.command("test-live")
def verify_live(environment: Environment = "dev") -> None:
    """Ask the live service: valid, batch, invalid, readiness; compare with the model itself."""
    from ..release import controller

    enter(environment)
    count = controller.open_controller(environment).verify()
    console.print(f"{environment} answers as its champion does: {count} requests.")


@app.command()
def bench(environment: Environment = "dev") -> None:
    """Put the environment under load, and hold it against its budget."""
    from ..serve import load

    enter(environment)
    console.print(str(load.bench(environment)))


@app.command()
def explain(request_id: str, environment: Environment = "dev") -> None:
    """Explain a prediction that was given: what each input added, and what was unusual."""
    from ..serve import explain

    enter(environment)
    console.print_json(data=explain.by_request(request_id).model_dump())


@app.command()
def image(
    number: Annotated[
        int, typer.Argument(envvar="VERSION", help="A version; else the champion")
    ] = 0,
    repository: Annotated[str, typer.Option("--image", envvar="IMAGE", help="Pushed there")] = "",
    environment: Environment = "dev",
) -> None:
    """Build the image of a version, and push it if there is a repository for it."""
    from .. import candidate, image
    from ..ci import open_forge

    enter(environment)
    number, run = number or candidate.champion_number(), ""
    with contextlib.suppress(MlopsError):  # outside a pipeline there is none
        run = open_forge().run_url()
    made = image.build(number, repository, run)
    text = made if repository else f"{made}: on this machine only, as IMAGE is not set"
    console.print(text, soft_wrap=True)


@app.command()
def sign(
    key: Annotated[str, typer.Option(envvar="COSIGN_KEY", help="Else the job's own identity")] = "",
) -> None:
    """Sign the pushed image, and attest its SBOM and provenance, by cosign."""
    from .. import image

    console.print(image.sign(key), soft_wrap=True)


@app.command()
def compose(
    challenger: Annotated[int, typer.Option(min=0, max=100, help="Percent of the requests")] = 0,
    champion: Annotated[str, typer.Option(help="The champion's slot: blue or green")] = "blue",
    environment: Environment = "prod",
) -> None:
    """Write what Envoy reads in compose.yaml; a running one takes the traffic up at once."""
    from ..release.targets import compose
    from ..release.traffic import Slots, Traffic

    enter(environment)
    traffic = Traffic(champion=100 - challenger, challenger=challenger)
    slots = Slots.model_validate({"champion": champion})
    folder = Paths().deployments / "compose"
    compose.write(folder, load_settings(environment).serving, traffic, slots)
    console.print(f"{folder}: champion/challenger {traffic}")
