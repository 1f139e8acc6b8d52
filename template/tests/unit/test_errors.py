from mlops import errors


def test_exit_codes_tell_the_refusals_apart() -> None:
    kinds = [errors.MlopsError, errors.DataError, errors.ConvergenceError, errors.GateError]
    assert [kind.exit_code for kind in kinds] == [1, 3, 4, 5]
    assert errors.PipelineError("ended", 124).exit_code == 124
