"""`mlops model`."""

import json
import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import MlopsError
from ..settings import Paths, load_settings
from .base import Number, console, table
from .pipeline import debug, history, register

app = typer.Typer(no_args_is_help=True, help="Registered models, and the candidate.")

MODEL = Paths().model


@app.command("list")
def model_list() -> None:
    """List the registered versions."""
    from ..registry import open_registry

    table(
        {
            "version": found.number,
            "aliases": ", ".join(found.aliases),
            "created": found.created,
            "commit": found.commit[:10],
            "model": found.digest[:12],
        }
        | {k[7:]: f"{float(v):.4f}" for k, v in found.tags.items() if k.startswith("metric.")}
        for found in open_registry(load_settings()).list()
    )


app.command("register")(register)
app.command("track")(history)
app.command("debug")(debug)


@app.command("compare")
def model_compare(numbers: Annotated[list[int], typer.Argument(help="Versions")]) -> None:
    """Show metrics side by side, a column a version."""
    from .. import versions

    columns = {number: versions.version(number).tags for number in numbers}
    names = sorted({k for tags in columns.values() for k in tags if k.startswith("metric.")})
    table(
        {"metric": name[7:]} | {f"v{n}": tags.get(name, "") for n, tags in columns.items()}
        for name in names
    )


@app.command("diff")
def model_diff(first: Number, second: Number) -> None:
    """Show in what two versions differ."""
    from .. import versions

    found = versions.difference(first, second)
    table({"fact": key, f"v{first}": a, f"v{second}": b} for key, (a, b) in found.items())


@app.command("lineage")
def model_lineage(
    number: Annotated[int, typer.Argument(help="A version's number")] = 0,
    data: Annotated[str, typer.Option(help="A data version's hash, or its beginning")] = "",
    commit: Annotated[str, typer.Option(help="A commit, or its beginning")] = "",
) -> None:
    """Show what a version is made from, or which versions came from a data version or commit."""
    from .. import versions

    if number:
        table({"fact": key, "value": value} for key, value in versions.facts(number).items())
    else:
        rows = versions.related(data, commit)
        table({"version": v.number, "commit": v.commit, "created": v.created} for v in rows)


@app.command("recreate")
def model_recreate(number: Number) -> None:
    """Train a version again from its lineage, and compare the model's hash."""
    from .. import versions

    registered, again = versions.recreate(number)
    if registered != again:
        raise MlopsError(f"Version {number} is {registered[:12]}; made again it is {again[:12]}.")
    console.print(f"Version {number} made again: the same model, {again[:12]}.")


@app.command("switch")
def model_switch(number: Number) -> None:
    """Check out a version's code, data and model."""
    from .. import versions

    commit = versions.switch(number)
    console.print(f"At {commit[:10]}. Back: `git switch BRANCH`, then `uv run dvc checkout`.")


@app.command("validate")
def model_validate(number: Number) -> None:
    """Verify a version's gate record: unedited, a pass, and about this very model."""
    from .. import candidate

    record = candidate.verify_version(number)
    console.print(f"Version {number} passed {len(record.checks)} checks on {record.created}.")


@app.command("profile")
def model_profile(folder: Annotated[Path, typer.Argument()] = MODEL) -> None:
    """Measure a model's size, memory and latency."""
    from .. import footprint

    console.print_json(data=footprint.measure(folder).model_dump())


@app.command("convert")
def model_convert(folder: Annotated[Path, typer.Argument()] = MODEL) -> None:
    """Convert the trained form to the served form again, and compare the bytes."""
    from .. import candidate

    console.print(candidate.convert_again(folder))


@app.command("tag")
def model_tag(
    number: Number,
    tag: Annotated[str, typer.Argument(help="compliance, review-candidate or deploy-trigger")],
    note: Annotated[str, typer.Option(help="What the tag says")] = "yes",
) -> None:
    """Tag a version; deploy-trigger asks for its release (`mlops release --tagged`)."""
    from ..lineage import who
    from ..registry import open_registry
    from ..registry.base import TAGS, find

    if tag not in TAGS:
        raise MlopsError(f"There is no tag {tag!r}: there are {', '.join(TAGS)}.")
    registry = open_registry(load_settings())
    find(registry, number)
    registry.annotate(number, {f"tag.{tag}": note, f"tag.{tag}.by": who()})
    console.print(f"Version {number} is tagged {tag}.")


@app.command("package")
def model_package(
    number: Number, out: Annotated[Path, typer.Option(help="Folder to write")] = Path("dist/model")
) -> None:
    """Put a version's files into a folder, for an image or a server."""
    from .. import candidate

    shutil.copytree(candidate.fetch(number), out, dirs_exist_ok=True)
    console.print(f"{out}: version {number}")


@app.command("use")
def model_use(
    number: Number,
    records: Annotated[Path | None, typer.Argument(help="JSON: a record or a list")] = None,
) -> None:
    """Print a version's predictions for records; for its own example, if none are given."""
    from .. import candidate
    from ..contract import Contract
    from ..scorer import SERVED, Scorer

    folder = candidate.fetch(number)
    example = Contract.read(folder).example
    rows = read_records(records) if records else [example]
    for index, row in enumerate(rows):
        if missing := [name for name in example if name not in row]:
            raise MlopsError(f"{records}: record {index} lacks {', '.join(missing)}.")
    columns = {name: [row[name] for row in rows] for name in example}
    console.print_json(data=Scorer(folder / SERVED).predict(columns).tolist())


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a JSON file: one, a list, or what the server takes."""
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise MlopsError(f"{path} is no file of JSON: {error}") from error
    if isinstance(given, dict):
        given = given.get("records", [given])
    if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
        raise MlopsError(f'{path}: give a record, a list of them, or {{"records": [...]}}.')
    return given
