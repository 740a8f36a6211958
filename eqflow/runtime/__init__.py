"""Random numbers as functions of their place, processes, memory and files."""

from eqflow.runtime.distributed import global_means, rank_and_world, rows
from eqflow.runtime.memory import check_disk, check_memory, chunks, room
from eqflow.runtime.random import Draws, drawn, generator, hashed, normal
from eqflow.runtime.store import clear, file_hash, locked, replacing, write_json

__all__ = [
    "Draws",
    "check_disk",
    "check_memory",
    "chunks",
    "clear",
    "drawn",
    "file_hash",
    "generator",
    "global_means",
    "hashed",
    "locked",
    "normal",
    "rank_and_world",
    "replacing",
    "room",
    "rows",
    "write_json",
]
