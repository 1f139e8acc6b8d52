"""BentoML: ``bentoml serve with_bentoml:Plain`` or ``with_bentoml:Batched``."""

import bentoml
from onnx_model import Model

logs = {"access": {"enabled": False}}


@bentoml.service(workers=1, logging=logs)
class Plain:
    """A request is answered by itself."""

    def __init__(self):
        self.model = Model()

    @bentoml.api
    async def predict(self, records: list[dict]) -> list[float]:
        return self.model.predict(records)


@bentoml.service(workers=1, logging=logs)
class Batched:
    """Requests that wait are answered together."""

    def __init__(self):
        self.model = Model()

    @bentoml.api(batchable=True)
    def predict(self, records: list[dict]) -> list[float]:
        return self.model.predict(records)
