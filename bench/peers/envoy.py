"""Write what the local target's Envoy reads: ``python envoy.py FOLDER PORT SERVER ADMIN``."""

import json
import sys
from pathlib import Path

from mlops.release.targets import envoy
from mlops.release.traffic import CHAMPION, Slots
from mlops.settings import Serving

folder, (port, server, admin) = Path(sys.argv[1]), map(int, sys.argv[2:])
serving = Serving(port=port)
folder.mkdir(parents=True, exist_ok=True)
for name, content in {
    "bootstrap.json": envoy.bootstrap(serving, ("127.0.0.1", admin), str(folder)),
    envoy.ROUTES: envoy.routes(CHAMPION, Slots(), serving),
    "blue.json": envoy.endpoints("blue", [("127.0.0.1", server)]),
    "green.json": envoy.endpoints("green", []),
}.items():
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
