"""Random numbers, processes, memory and files: what every other package builds on."""

from eqflow.runtime.distributed import global_means, rank_and_world, rows
from eqflow.runtime.memory import allocate, check_disk, check_memory, chunks
from eqflow.runtime.random import Draws, generator, hashed, normal, normal_batch
from eqflow.runtime.store import file_hash, locked, remove_leftovers, replacing, write_json

__all__ = [
    "Draws",
    "allocate",
    "check_disk",
    "check_memory",
    "chunks",
    "file_hash",
    "generator",
    "global_means",
    "hashed",
    "locked",
    "normal",
    "normal_batch",
    "rank_and_world",
    "remove_leftovers",
    "replacing",
    "rows",
    "write_json",
]
