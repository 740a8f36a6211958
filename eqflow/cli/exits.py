"""How the command line ends: a sentence and code 2 for a mistake, a traceback and 1 for a bug."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException, InstantiationException
from omegaconf.errors import OmegaConfBaseException

from eqflow.errors import InputError


@contextmanager
def exit_codes() -> Iterator[None]:
    """End the program on an exception: 2 for the user's mistake, 1 with a traceback for ours."""
    try:
        yield
    except InstantiationException:  # ours are constructors: what they refuse is an InputError
        traceback.print_exc()
        sys.exit(1)
    except (InputError, HydraException, OmegaConfBaseException) as error:
        print(f"error: {sentence(error)}", file=sys.stderr)
        sys.exit(2)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def sentence(error: Exception) -> str:
    """An error as one line; Hydra's and OmegaConf's come on several."""
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(_NOISE))


_NOISE = (
    "Config search path",
    "See https://",
    "Set the environment variable",
    "full_key:",
    "object_type=",
    "provider=",
)
