"""torchrun for the ranks of this machine, silent where the launcher knows why they ended."""

import logging
import os
import sys
from pathlib import Path

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

from eqflow.cli.processes.launch import FAILURE_FILE_VARIABLE

if __name__ == "__main__":
    logging.disable(logging.ERROR)  # torchrun reports every rank that it ends
    try:
        main()
    except SignalException as told:
        sys.exit(128 + told.sigval)
    except (ChildFailedError, FileNotFoundError):
        failure = Path(os.environ[FAILURE_FILE_VARIABLE])
        if failure.parent.is_dir() and not failure.is_file():
            raise
        sys.exit(1)  # the reason is written down, or the launcher did not wait for it
