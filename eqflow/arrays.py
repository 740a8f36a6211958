"""Arrays as users pass them, numpy, torch or nested lists, as checked tensors; and back.

Raw units throughout. A mistake raises ``InputError`` with the name of the argument.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from typing_extensions import TypeAliasType

from eqflow.data import KnownVelocities, check_states, checked_velocities, group_numbers
from eqflow.errors import InputError
from eqflow.text import shortened

Array = TypeAliasType("Array", ArrayLike | Tensor)
"""A numpy array, a torch tensor, nested lists, or anything else that numpy makes an array of."""


def group_of_each(groups: Array | None, n: int) -> Tensor | None:
    """Number of each snapshot's group, ``(n,)``, whatever names groups have."""
    if groups is None:
        return None
    names = np.asarray(groups)
    if names.shape != (n,):
        raise InputError(
            f"groups: found shape {names.shape}; expected one for each snapshot, ({n},)"
        )
    return group_numbers(names, "groups")


def checked_snapshots(X: Array) -> Tensor:
    """Checked snapshots in float64."""
    x = numbers(X, "X", "(N, d) or (N, C, H, W)")
    if x.ndim and not len(x):
        raise InputError(f"X: found an array of shape {tuple(x.shape)}; expected snapshots")
    check_states(x, "X")
    return x


def numbers(values: Array, name: str, expected: str) -> Tensor:
    """``values`` in float64; raises ``InputError`` unless they are an array of numbers."""
    if isinstance(values, str | Path):
        raise InputError(
            f"{name}={values} found; expected an array, {expected}, as numpy reads it from the "
            f"file, or on the command line python run.py data=snapshots data.path={values}"
        )
    try:
        if torch.is_complex(values) if isinstance(values, Tensor) else np.iscomplexobj(values):
            raise TypeError("complex numbers")
        array = values if isinstance(values, Tensor) else np.asarray(values, dtype=float)
        return torch.as_tensor(array, dtype=torch.double).cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{name}: found {type(values).__name__} that is no array of numbers "
            f"({shortened(error)}); expected {expected}"
        ) from None


def known_velocities(pair: tuple[Any, ...], x: Tensor) -> KnownVelocities:
    """Checked states and their velocities, of the snapshots ``x``."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InputError(
            f"velocities: found {type(pair).__name__}; expected two arrays, states and velocities, "
            "(x, v)"
        )
    states, velocities = (numbers(part, "velocities", "(n, d)") for part in pair)
    return checked_velocities(states, velocities, x, "velocities")


def like(x: Array, values: Tensor) -> Any:
    """``values`` as an array of the kind of ``x``: torch on its device, else numpy."""
    return values.to(x.device) if isinstance(x, Tensor) else np.asarray(values)
