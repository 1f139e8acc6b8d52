"""What can go wrong, each with an exit code of its own."""


class MlopsError(Exception):
    """A refusal: its message names the value, the limit and what to do."""

    exit_code = 1


class DataError(MlopsError):
    """A validator has rejected the data."""

    exit_code = 3


class ConvergenceError(MlopsError):
    """Training did not converge: nothing was kept."""

    exit_code = 4


class GateError(MlopsError):
    """A gate has refused the challenger, or its record is missing, stale or edited."""

    exit_code = 5


class PipelineError(MlopsError):
    """A stage of the pipeline has failed; the exit code is the stage's."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
