"""The one exception for a user's mistake."""


class InputError(ValueError):
    """A wrong option or file: one sentence naming it, what was found and what is expected.

    The command line prints the sentence alone and exits with code 2; every other exception is a
    bug and keeps its traceback.
    """
