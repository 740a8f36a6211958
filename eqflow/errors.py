"""Exceptions that are no bugs: a wrong input, and a job that its search gave up."""


class InputError(ValueError):
    """A wrong option or file: one sentence naming it, what was found and what is expected.

    The command line prints the sentence alone and exits with code 2; every other exception is a
    bug and keeps its traceback.
    """


class Pruned(Exception):  # noqa: N818 - it is no error
    """A search gave this job up: others were better at the same step."""
