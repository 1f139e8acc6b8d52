"""What goes wrong in a way that a person can mend."""


class FactoryError(Exception):
    """An error whose message names the value, the limit and the fix; ``code`` is the exit code."""

    code = 1


class RefusedError(FactoryError):
    """A repository that can't be worked on as it is: dirty, detached, of another template."""

    code = 4
