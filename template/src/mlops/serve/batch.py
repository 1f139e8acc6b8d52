"""Scores whole files of records: in their order, in flat memory, and resumed where it was killed.

A row that breaks the contract is not answered: its prediction is null and ``refused`` says why.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel
from rich.console import Console
from rich.progress import Progress

from ..contract import FILE, Contract, Field
from ..errors import DataError, MlopsError
from ..lineage import sha256
from ..scorer import SERVED, Scorer
from ..settings import Paths

ROWS = 20_000  # of one part: what is held in memory, and what is lost when killed
LIMIT = 0.01  # share of rows that may break the contract

PREDICTION, VERSION, REFUSED = "prediction", "version", "refused"
NONE = "no prediction for these values"
TEXT = pa.string()


class Summary(BaseModel):
    """What was scored."""

    target: Path
    rows: int
    refused: int

    def __str__(self) -> str:
        return f"{self.rows:,} records, {self.refused:,} refused: {self.target}"


class Answerer:
    """Answers tables of records with one model: the same function here and on Ray's workers.

    One thread, as online: the sums of a prediction are then made in the same order.
    """

    def __init__(self, model: Path, version: int) -> None:
        self._contract, self._version = Contract.read(model), version
        self._scorer = Scorer(model / SERVED)

    def __call__(self, records: pa.Table) -> pa.Table:
        """Return a row for each record: its key columns, prediction, version and refusal.

        ``prediction`` is float32, or ``prediction_0``, ``prediction_1``, ... of several classes.
        """
        fields = self._contract.fields
        columns = {field.name: _typed(field, records[field.name]) for field in fields}
        refused = faults(self._contract, columns)
        good = np.array(pc.is_null(refused))
        several = self._contract.classes
        answers = np.full((len(good), several) if several else len(good), np.nan, np.float32)
        if good.any():
            kept = {name: np.asarray(column)[good] for name, column in columns.items()}
            answers[good] = self._scorer.predict(kept)
        finite = np.isfinite(answers.sum(axis=1) if several else answers)
        refused = pc.if_else(pa.array(good & ~finite), NONE, refused)
        good &= finite
        named = {f"{PREDICTION}_{k}": answers[:, k] for k in range(several)}
        if not several:
            named = {PREDICTION: answers}
        key = [name for name in self._contract.key if name in records.column_names]
        return pa.table(
            {name: records[name] for name in key}
            | {name: pa.array(values, mask=~good) for name, values in named.items()}
            | {VERSION: pa.array(np.full(len(good), self._version, np.int32)), REFUSED: refused}
        )


def score(model: Path, source: Path, target: Path, version: int, ray: bool = False) -> Summary:
    """Score every record of ``source`` into the Parquet file ``target``.

    The answers are written in parts beside it. The same call goes on after the last part; another
    model, version or source starts afresh. The parts become one file at once, at the end.

    Args:
        model: folder of model.onnx and contract.json.
        source: a Parquet file, or a folder of them, read in the order of their names.
        target: the file to write; it is replaced.
        version: of the model; it stands in every row.
        ray: on the cluster of RAY_ADDRESS, else on one of Ray's own on this machine. Its workers
            reach ``model`` and ``source`` by the same paths. Killed, it answers all rows again.

    Raises:
        MlopsError: there is nothing to read, or ``target`` would be read the next time.
        DataError: a column is missing or of another type: nothing is scored. Or more rows than
            :data:`LIMIT` break the contract: the file is there, and says why row by row.
    """
    model, files = model.resolve(), _files(source, target)
    columns = _columns(Contract.read(model), files)
    parts = target.with_name(f"{target.name}.parts")
    done = _open(parts, _job(model, version, files, ray))
    answers = (_on_ray if ray else _here)(model, version, files, columns, len(done))
    with Progress(console=Console(stderr=True), transient=True) as progress:
        rows, scored = sum(map(_rows, files)), sum(map(_rows, done))
        task = progress.add_task(target.name, total=rows, completed=scored)
        for number, answer in enumerate(answers, start=len(done)):
            _write(parts / f"{number:08}.parquet", answer.schema, [answer])
            progress.update(task, advance=answer.num_rows)
    summary = _join(parts, Answerer(model, version)(_empty(files[0], columns)).schema, target)
    if summary.refused > LIMIT * summary.rows:
        raise DataError(
            f"{summary.refused:,} of {summary.rows:,} records break the contract, and {LIMIT:.0%} "
            f"may: the column {REFUSED!r} of {target} says why. Mend the source, and score again."
        )
    return summary


def locate(source: str) -> Path:
    """Return the file or folder of that name, else the raw data of the period of that name."""
    path = Path(source)
    return path if path.exists() else Paths().raw / f"{source}.parquet"


def faults(contract: Contract, columns: Mapping[str, pa.Array]) -> pa.Array:
    """Return how each row breaks the contract; null for one that keeps to it."""
    found: dict[int, list[str]] = {}
    for field in contract.fields:
        for row in np.flatnonzero(~np.asarray(_kept(field, columns[field.name]))):
            found.setdefault(int(row), []).append(f"{field.name}: not {field.allowed}")
    rows = len(columns[contract.fields[0].name])
    return pa.array(("; ".join(found[row]) if row in found else None for row in range(rows)), TEXT)


def _kept(field: Field, values: pa.Array) -> pa.Array:
    """Return which rows keep to a field's rules, as the server would."""
    if field.choices:
        good = pc.is_in(values, value_set=pa.array(field.choices, TEXT))
    elif field.kind == "text":
        good = pc.match_substring_regex(values, field.pattern or "")
    else:
        low, high = field.limits
        good = pc.and_(pc.greater_equal(values, low), pc.less_equal(values, high))
        if field.kind == "integer":  # pandas makes floats of integers among which one is missing
            good = pc.and_(good, pc.equal(pc.floor(values), values))
    return pc.if_else(pc.is_null(values), field.nullable, good)


def _typed(field: Field, values: pa.ChunkedArray) -> pa.Array:
    """Return a column as text or float64; where it is no number, as null."""
    if field.kind == "text":
        return values.combine_chunks().cast(TEXT)
    numbers = values.combine_chunks().cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)


def _here(
    model: Path, version: int, files: list[Path], columns: list[str], done: int
) -> Iterator[pa.Table]:
    return map(Answerer(model, version), islice(_records(files, columns), done, None))


def _records(files: list[Path], columns: list[str]) -> Iterator[pa.Table]:
    for path in files:
        # Read as it is needed: otherwise a whole group of rows is fetched, which may be the file.
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            for batch in file.iter_batches(ROWS, columns=columns):
                yield pa.Table.from_batches([batch])


def _on_ray(
    model: Path, version: int, files: list[Path], columns: list[str], done: int
) -> Iterator[pa.Table]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
    try:
        import ray
    except ModuleNotFoundError as error:
        raise MlopsError("Ray is not installed: `uv sync --extra ray`.") from error
    ray.init(ignore_reinit_error=True, log_to_driver=False)
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    answers = ray.data.read_parquet([str(path) for path in files], columns=columns).map_batches(
        _answer,
        fn_kwargs={"model": model, "version": version},
        batch_format="pyarrow",
        batch_size=ROWS,
    )
    return islice(answers.iter_batches(batch_format="pyarrow", batch_size=ROWS), done, None)


def _answer(records: pa.Table, model: Path, version: int) -> pa.Table:
    return _worker(model, version)(records)


@cache
def _worker(model: Path, version: int) -> Answerer:
    # Ray's processes live as long as one run: each loads the model once.
    return Answerer(model, version)


def _files(source: Path, target: Path) -> list[Path]:
    files = sorted(source.glob("*.parquet")) if source.is_dir() else [source]
    if not files or not files[0].is_file():
        raise MlopsError(f"{source} is no Parquet file and no folder of them, nor a period here.")
    if target.resolve().parent == source.resolve() or target.resolve() == source.resolve():
        raise MlopsError(f"{target} would be read as a source the next time: name another folder.")
    return [path.resolve() for path in files]


def _columns(contract: Contract, files: list[Path]) -> list[str]:
    """Return the columns to read; refuse files that lack one, or hold another type in it."""
    first = pq.read_schema(files[0])
    key = [name for name in contract.key if name in first.names]
    for path in files:
        schema = pq.read_schema(path)
        for field in contract.fields:
            if field.name not in schema.names:
                raise DataError(f"{path.name} has no column {field.name!r}, which the model reads.")
            if not _suits(field, schema.field(field.name).type):
                kind = schema.field(field.name).type
                raise DataError(f"{path.name}: {field.name!r} is {kind}, it must be {field.kind}.")
        for name in key:
            if name not in schema.names or schema.field(name).type != first.field(name).type:
                raise DataError(f"{path.name}: {name!r} is not as in {files[0].name}.")
    return list(dict.fromkeys([*key, *(field.name for field in contract.fields)]))


def _suits(field: Field, type_: pa.DataType) -> bool:
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    known = pa.types
    tests = [known.is_null]
    if field.kind == "text":
        tests += [known.is_string, known.is_large_string]
    else:
        tests += [known.is_integer, known.is_floating]
    return any(test(type_) for test in tests)


def _empty(path: Path, columns: list[str]) -> pa.Table:
    return pq.read_schema(path).empty_table().select(columns)


def _rows(path: Path) -> int:
    return int(pq.read_metadata(path).num_rows)


def _job(model: Path, version: int, files: list[Path], ray: bool) -> str:
    job = {
        "model": {name: sha256(model / name) for name in (SERVED, FILE)},
        "version": version,
        "source": {str(path): sha256(path) for path in files},
        "parts": {"rows": ROWS, "ray": ray},  # which rows lie in which part
    }
    return json.dumps(job, indent=1)


def _open(parts: Path, job: str) -> list[Path]:
    """Return the parts that are done; there are none if they are another job's."""
    manifest = parts / "job.json"
    if not manifest.is_file() or manifest.read_text(encoding="utf-8") != job:
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
        manifest.write_text(job, encoding="utf-8")
    return sorted(parts.glob("*.parquet"))


def _write(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    unfinished = path.with_name(f"{path.name}.unfinished")
    with pq.ParquetWriter(unfinished, schema) as writer:
        for table in tables:
            writer.write_table(table)
    os.replace(unfinished, path)


def _join(parts: Path, schema: pa.Schema, target: Path) -> Summary:
    rows = refused = 0

    def tables() -> Iterator[pa.Table]:
        nonlocal rows, refused
        for path in sorted(parts.glob("*.parquet")):
            table = pq.read_table(path)
            rows += table.num_rows
            refused += table.num_rows - table[REFUSED].null_count
            yield table

    _write(target, schema, tables())
    shutil.rmtree(parts)
    return Summary(target=target, rows=rows, refused=refused)
