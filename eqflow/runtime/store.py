"""What is written to disk, and found again: atomically, without pickle, under a content hash."""

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
    """A temporary path beside ``path`` that takes its place when the block succeeds.

    An ``OSError`` inside names ``path``: a write to a full disk would name no file.
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


def clear(folder: Path, name: str = "*") -> None:
    """Remove from ``folder`` what processes left that were killed while they wrote ``name``."""
    for part in folder.rglob(f".{name}.*"):
        if part.suffix[1:].isdigit():
            part.unlink(missing_ok=True)


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
    """The lock under which ``path`` is built; it ends with its process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(path.with_name(f"{path.name}.lock"))


def save_stage(path: Path, stage: str, content: dict[str, Any]) -> None:
    """Write a finished stage: its name, ``state_dict`` and other plain containers."""
    save(path, {"stage": stage, **content})


def save(path: Path, content: dict[str, Any]) -> None:
    """Write plain containers with tensors, atomically."""
    buffer = BytesIO()  # a full disk is an OSError of Python's own files, but not of torch's
    torch.save(content, buffer)
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getbuffer())


def save_array(path: Path, shape: tuple[int, ...], chunks: Iterable[torch.Tensor]) -> None:
    """Write one float32 ``.npy`` of ``shape`` from chunks of rows, of which few are in memory."""
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in chunks:
            file.write(chunk.contiguous().numpy().astype("<f4", copy=False).data)


def load_stage(path: Path, option: str) -> dict[str, Any]:
    """What a checkpoint holds, its ``stage`` included; raises ``InputError`` naming ``option``."""
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
    """Load parameters; raises ``InputError`` when they belong to another architecture."""
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    for name in sorted(found.keys() | expected.keys()):
        if found.get(name) != expected.get(name):
            raise InputError(
                f"{option} belongs to another architecture: found {name} of shape "
                f"{found.get(name)}, expected {expected.get(name)}"
            )
    module.load_state_dict(state)
