"""What LitServe and BentoML serve: the ONNX model, one thread, all rows in one call."""

import json
import os

import numpy as np
from onnxruntime import InferenceSession, SessionOptions


class Model:
    """Answers for records; ``BENCH_MODEL`` says where the ONNX file is."""

    def __init__(self):
        options = SessionOptions()
        options.intra_op_num_threads = 1
        self.session = InferenceSession(os.environ["BENCH_MODEL"], options)
        self.types = {
            i.name: object if i.type == "tensor(string)" else np.float32
            for i in self.session.get_inputs()
        }
        named = self.session.get_modelmeta().custom_metadata_map
        self.columns = {matrix: json.loads(named[matrix]) for matrix in self.types}

    def predict(self, records):
        """Return the probability of the positive class for each record."""
        feeds = {
            matrix: np.array(
                [[record[n] for n in columns] for record in records], self.types[matrix]
            )
            for matrix, columns in self.columns.items()
        }
        return self.session.run(["probabilities"], feeds)[0][:, 1].tolist()
