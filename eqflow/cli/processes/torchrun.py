"""torchrun for the ranks of this machine, silent if a rank has stored the reason of its failure."""

import logging
import os
import sys
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

from eqflow.cli.processes.launch import FAILURE_FILE_VARIABLE

if __name__ == "__main__":
    logging.disable(logging.ERROR)  # torchrun reports every rank that it ends
    try:
        main()
    except ChildFailedError:
        if not Path(os.environ[FAILURE_FILE_VARIABLE]).is_file():
            raise
        sys.exit(1)
