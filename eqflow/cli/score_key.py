"""Name of a trained score in the cache: a hash of everything that determines it."""

from omegaconf import DictConfig

from eqflow.cli.parts import plain
from eqflow.cli.resume import user_files
from eqflow.model import FlowModel
from eqflow.runtime import store
from eqflow.version import __version__

IRRELEVANT_TO_SCORE = ("path", "groups", "velocities", "epoch_steps", "cache_dir", "symmetrise")
"""Options of data and score that do not change what is trained, or whose files are hashed."""


def score_key(cfg: DictConfig, model: FlowModel, warm: str | None) -> str:
    """Hash of data, score, seed, precision, limits of training, version and the user's files.

    ``warm`` is the stage that starts from ``ckpt_path``, or None.
    """
    files = user_files(cfg)
    if warm != "score":
        files.pop(cfg.ckpt_path, None)
    files.pop(cfg.data.get("velocities"), None)
    # a field of the raw snapshots is built on the empirical score, whichever is configured
    built, configured = model.config["score"], plain(cfg.score)
    score = configured if built["name"] == configured["name"] else built
    data, score = (
        {name: value for name, value in node.items() if name not in IRRELEVANT_TO_SCORE}
        for node in (plain(cfg.data), score)
    )
    return store.content_hash(
        {
            "data": data,
            "score": score,
            "seed": cfg.seed,
            "precision": cfg.trainer.precision,
            "limits": [cfg.trainer.max_steps, cfg.trainer.get("limit_train_batches")],
            "version": __version__,
            "files": sorted(files.values()),
        }
    )
