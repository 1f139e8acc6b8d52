"""LitServe: ``python with_litserve.py PORT BATCH``."""

import sys

import litserve
from onnx_model import Model


class Api(litserve.LitAPI):
    """One record a request; with a batch size, those that wait are answered together."""

    def setup(self, device):
        self.model = Model()

    def decode_request(self, request):
        return request["records"]

    def predict(self, records):
        return self.model.predict(records)

    def encode_response(self, predictions):
        return {"predictions": predictions}


class Batched(Api):
    """The same, of the first record of each request."""

    def decode_request(self, request):
        return request["records"][0]

    def encode_response(self, prediction):
        return {"predictions": [prediction]}


if __name__ == "__main__":
    port, size = map(int, sys.argv[1:])
    api = Batched(max_batch_size=size, batch_timeout=0.001) if size > 1 else Api()
    server = litserve.LitServer(api, accelerator="cpu", devices=1, workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=port,
        num_api_servers=1,
        log_level="warning",
        access_log=False,
        generate_client_file=False,
    )
