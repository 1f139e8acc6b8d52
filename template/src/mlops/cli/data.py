"""`mlops data`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ..settings import Paths
from .base import console, table
from .release import Environment, Why, enter

app = typer.Typer(no_args_is_help=True, help="Data versions: check, profile, compare.")


@app.command("check")
def data_check(
    context: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(help="Files of records")] = None,
    revision: Annotated[str, typer.Option("--rev", help="A git revision's data")] = "",
) -> None:
    """Hold files, or an earlier data version, against the four validators."""
    import json

    from .. import validators, versions
    from ..settings import load_gates

    if revision:
        versions.check_data(revision)
        console.print(f"The data of {revision} is good.")
    profile = Paths().profile
    reference = json.loads(profile.read_text(encoding="utf-8")) if profile.is_file() else None
    named = [Path(os.path.relpath(context.obj / path)) for path in files or []]
    for path in named or ([] if revision else sorted(Paths().raw.glob("*.parquet"))):
        found = validators.validate(validators.read(path), load_gates().data, reference)
        validators.refuse(found, str(path))
        console.print(f"{path} is good.")


@app.command("profile")
def data_profile(context: typer.Context, file: Path) -> None:
    """Print a file's profile as JSON."""
    from .. import profile, validators

    console.print_json(data=profile.profile(validators.read(context.obj / file)))


@app.command("list")
def data_list() -> None:
    """List the datasets: whose they are, who may read them, at which version they are here."""
    from .. import project
    from ..lineage import data_versions
    from ..settings import load_catalogue

    versions = data_versions()
    columns = project.schema.Records.to_schema().columns.items()
    personal = [name for name, column in columns if (column.metadata or {}).get("personal")]
    table(
        {"dataset": path, "version": versions.get(Path(path).name, "")}
        | entry.model_dump()
        | {"consumers": ", ".join(entry.consumers), "personal": ", ".join(personal)}
        for path, entry in load_catalogue().items()
    )


@app.command("versions")
def data_history() -> None:
    """List the data's versions, newest first."""
    from ..lineage import data_versions, git

    table(
        {"revision": line.split(" ", 1)[0], "commit": line.split(" ", 1)[1]}
        | data_versions(revision=line.split(" ", 1)[0])
        for line in git("log", "--format=%h %cs %s", "--", "dvc.lock").splitlines()
    )


@app.command("release")
def data_release(
    number: Annotated[
        int, typer.Argument(envvar="VERSION", help="Whose data; else this commit's")
    ] = 0,
    environment: Environment = "dev",
    why: Why = "",
) -> None:
    """Push data, once it is known to be good, to the environment's own remote."""
    from .. import versions

    enter(environment)
    record = versions.release_data(environment, number, why)
    console.print(f"{record['remote']} of {environment} has the data of {record['commit'][:10]}")
    table({"data": name, "version": version} for name, version in record["data"].items())


@app.command("replicate")
def data_replicate(
    number: Annotated[
        int, typer.Argument(envvar="VERSION", help="Whose data; else this commit's")
    ] = 0,
    environment: Environment = "dev",
    why: Why = "",
) -> None:
    """Mask the last environment's data for those below it, as the schema says."""
    from ..replicate import replicate

    enter(environment)
    record = replicate(environment, number, why)
    console.print(f"The replica has the data of {record['commit'][:10]}: git tag {record['tag']}")
    table({"column": name, "mask": mask} for name, mask in record["masks"].items())
