"""`mlops infra`: what stands in infra/, planned, applied, checked. `make infra-NAME` calls each."""

from typing import Annotated

import typer

from .. import project

app = typer.Typer(no_args_is_help=True, help="Infrastructure as code.")

Environment = Annotated[
    str, typer.Option("--env", envvar="ENV", help=f"One of {', '.join(project.ENVIRONMENTS)}")
]


@app.command()
def check() -> None:
    """Format, schemas, tests and policies of infra/; nobody logs in."""
    from .. import infra

    infra.check()


@app.command()
def bootstrap(environment: Environment = "dev") -> None:
    """Make the place of the environment's state: once, by an administrator."""
    from .. import infra

    infra.bootstrap(environment)


@app.command()
def plan(
    environment: Environment = "dev",
    every: Annotated[bool, typer.Option("--all", help="Every environment, in their order")] = False,
) -> None:
    """Say what would change."""
    from .. import infra

    if every:
        infra.plan_all()
    else:
        infra.plan(environment)


@app.command()
def comment() -> None:
    """Put the plans into a comment of their own in the pull request."""
    from .. import infra
    from ..ci import comment, open_forge

    forge = open_forge()
    print(comment.show(forge, infra.summary(forge.run_url()), infra.MARKER))


@app.command()
def apply(environment: Environment = "dev") -> None:
    """Make the environment what infra/ says."""
    from .. import infra

    infra.apply(environment)


@app.command()
def destroy(environment: Environment = "dev") -> None:
    """Take it all away: after `protect = false` has been applied."""
    from .. import infra

    infra.destroy(environment)


@app.command()
def drift() -> None:
    """Refuse if an environment is not what infra/ says."""
    from .. import infra

    infra.drift()
