"""What determines a trained score, as the name of its file in the cache."""

from omegaconf import DictConfig

from eqflow.cli.parts import plain
from eqflow.cli.resume import user_files
from eqflow.model import FlowModel
from eqflow.runtime import store
from eqflow.version import __version__

IRRELEVANT_TO_SCORE = ("path", "groups", "velocities", "epoch_steps", "cache_dir", "symmetrise")
"""Options that change nothing of it; the last is of its use alone."""


def score_key(cfg: DictConfig, model: FlowModel, warm: str | None) -> str:
    """Hash of the nodes, the seed, the precision, the limits and the bytes of the user's files.

    ``warm`` is the stage that starts from ``ckpt_path``.
    """
    files = user_files(cfg)
    if warm != "score":
        files.pop(cfg.ckpt_path, None)
    files.pop(cfg.data.get("velocities"), None)
    # fields of the snapshots themselves are built on another score than the one asked for
    built, asked = model.config["score"], plain(cfg.score)
    score = asked if built["name"] == asked["name"] else built
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
