"""Print rows of a project's test split as JSON, by the names of the contract."""

import json
import sys
from pathlib import Path

import pandas as pd

project, count = Path(sys.argv[1]), int(sys.argv[2])
contract = json.loads((project / "models/candidate/contract.json").read_text("utf-8"))
frame = pd.read_parquet(project / "data/prepared/test.parquet")
fields = contract["fields"]
kinds = {field["name"]: "int64" for field in fields if field["kind"] == "integer"}
names = [field["name"] for field in fields]
rows = frame[names].sample(count, random_state=0).astype(kinds)
print(rows.to_json(orient="records"))
