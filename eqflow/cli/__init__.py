"""The command line: compose a config, run its stages, return the tuned metric."""

import logging
import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from eqflow.cli.resume import with_stored_overrides
from eqflow.errors import InputError

_HERE = Path(__file__).resolve()
CONF = next(path for path in (_HERE.parents[1] / "conf", _HERE.parents[2] / "conf") if path.is_dir())
"""The configuration: inside the installed package, or beside it in a checkout."""


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(cfg: DictConfig) -> float | None:
    """Run one composed configuration; its folder exists, its checks are done."""
    from eqflow.cli.launch import launch

    cfg.run_dir = HydraConfig.get().runtime.output_dir
    OmegaConf.resolve(cfg)
    return launch(cfg)


def main() -> None:
    """Entry point of ``run.py`` and of the console command ``eqflow``.

    A user's mistake ends with one sentence and exit code 2; a bug keeps its traceback.
    """
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    try:
        sys.argv[1:] = with_stored_overrides(sys.argv[1:])
        job()
    except (InputError, HydraException, OmegaConfBaseException) as error:
        logging.getLogger(__name__).debug("stopped", exc_info=True)
        print(f"error: {sentence(error)}", file=sys.stderr)
        sys.exit(2)


def sentence(error: Exception) -> str:
    """An error as one line; Hydra's and OmegaConf's come on several."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(line for line in lines if not line.startswith(("full_key:", "object_type=")))
    return text.removesuffix(" Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.")
