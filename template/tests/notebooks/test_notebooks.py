"""Notebooks and experiments run from start to end, so that they can be trusted next year."""

import py_compile
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))


def execute(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    nbformat.validate(notebook)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
    )
    return client.execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    stored = [cell for cell in notebook.cells if cell.get("outputs")]
    assert stored == [], "clear the outputs: they may hold data, and every run changes them"
    execute(notebook)


@pytest.mark.parametrize("code", ["1 / 0", "1 +", "import no_such_module"])
def test_a_broken_notebook_fails(code: str) -> None:
    cells = [nbformat.v4.new_code_cell(code)]
    with pytest.raises(CellExecutionError):
        execute(nbformat.v4.new_notebook(cells=cells))


def test_every_experiment_compiles(tmp_path: Path) -> None:
    for path in (ROOT / "experiments").rglob("*.py"):
        py_compile.compile(str(path), cfile=str(tmp_path / "compiled"), doraise=True)
