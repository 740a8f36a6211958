"""Files: written atomically, locked while they are built, named by content hashes, not pickled."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from safetensors import SafetensorError

from eqflow.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Context of a temporary path beside ``path``, renamed to ``path`` when the block succeeds.

    An ``OSError`` of the block names ``path``: Python names no file where a disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        error.filename = str(path)
        raise
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        if not number:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove temporary files of ``name`` below ``folder``, left by processes that were killed."""
    for temporary in folder.rglob(f".{name}.*"):
        if temporary.suffix[1:].isdigit():
            temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON with sorted keys, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


def content_hash(content: Any) -> str:
    """sha256 of the canonical JSON of ``content``."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes, or of the names and bytes of a folder's files."""
    if path.is_dir():
        return content_hash({p.name: file_hash(p) for p in path.iterdir() if p.is_file()})
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def locked(path: Path) -> FileLock:
    """Lock under which ``path`` is built; the system releases it when the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f"{path.name}.lock"))


def save_stage(path: Path, stage: str, content: dict[str, Any]) -> None:
    """Write the checkpoint of a finished stage: its name, ``state_dict`` and plain containers."""
    save(path, {"stage": stage, **content})


def save(path: Path, content: dict[str, Any]) -> None:
    """Write plain containers of tensors, atomically."""
    buffer = BytesIO()  # on a full disk Python's files raise OSError, torch's do not
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def save_array(path: Path, shape: tuple[int, ...], chunks: Iterable[torch.Tensor]) -> None:
    """Write a float32 ``.npy`` of ``shape`` atomically, from chunks of rows taken one at a time."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in chunks:
            file.write(chunk.contiguous().numpy().astype("<f4", copy=False).data)


def load_stage(path: Path, option: str) -> dict[str, Any]:
    """Content of a stage's checkpoint, read without pickle.

    Raises ``InputError`` that names ``option`` for a file that is absent or is no checkpoint.
    """
    expected = "expected a run's checkpoints/score.ckpt or flow.ckpt"
    if not path.is_file():
        raise InputError(f"{option}: no file {path}; {expected}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise InputError(f"{option}: {path} cannot be read as a checkpoint; {expected}") from error
    if not isinstance(content, dict) or not {"stage", "state_dict"} <= content.keys():
        raise InputError(f"{option}: {path} holds no stage of a run; {expected}")
    return content


def fill(module: torch.nn.Module, state: dict[str, torch.Tensor], option: str) -> None:
    """Load parameters into ``module``.

    Raises ``InputError`` that names ``option`` and the first parameter whose name or shape differs.
    """
    stored = {name: tuple(tensor.shape) for name, tensor in state.items()}
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    for name in sorted(stored.keys() | expected.keys()):
        if stored.get(name) != expected.get(name):
            raise InputError(
                f"{option} belongs to another architecture: found {name} of shape "
                f"{stored.get(name)}, expected {expected.get(name)}"
            )
    module.load_state_dict(state)
