from pathlib import Path

import yaml

from mlops.project import schema
from mlops.settings import load_catalogue

ROOT = Path(__file__).parents[2]
CATALOGUE = load_catalogue(ROOT / "docs/team/catalogue.yaml")


def test_every_dataset_of_the_pipeline_is_in_the_catalogue() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
    made = {out for stage in stages for out in stage.get("outs", []) if isinstance(out, str)}
    assert {out for out in made if out.startswith("data/")} == CATALOGUE.keys()


def test_personal_data_is_restricted() -> None:
    columns = schema.Records.to_schema().columns.values()
    personal = [column.name for column in columns if (column.metadata or {}).get("personal")]
    others = [name for name, one in CATALOGUE.items() if one.classification != "restricted"]
    assert not (personal and others)
