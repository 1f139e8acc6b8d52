"""No module without tests: src/mlops/<path>/<name>.py has tests/unit/test_<name>.py, or its
package's; the team's <name>.py has tests/<package>/test_<name>.py."""

from pathlib import Path

import pytest

from mlops import project

ROOT = Path(__file__).parents[2]
MODULES = [
    path.relative_to(ROOT / "src")
    for path in sorted((ROOT / "src").rglob("*.py"))
    if path.name not in ("__init__.py", "__main__.py")
]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_module_has_tests(module: Path) -> None:
    team = module.parts[0] == project.PACKAGE
    folder = ROOT / "tests" / (project.PACKAGE if team else "unit")
    names = [module.stem, *([] if team else module.parts[1:-1])]
    assert any((folder / f"test_{name}.py").is_file() for name in names)
