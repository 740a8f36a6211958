"""The search space of an Optuna study, written as Hydra writes sweeps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    QuotedString,
    RangeSweep,
)

from eqflow.errors import InputError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Space = dict[str, "BaseDistribution"]
"""Option -> the distribution that Optuna draws it from."""


def parse(texts: Sequence[str], parser: OverridesParser) -> tuple[list[str], Space]:
    """The overrides that all trials share, and the space of those written as sweeps.

    Sweeps are ``choice(...)``, ``range(...)`` of whole numbers and ``interval(...)``, which
    ``tag(log, interval(...))`` samples on a logarithmic scale and ``int(interval(...))`` in whole
    numbers. A later override of an option replaces an earlier one. Raises ``InputError`` for other
    sweeps and for an empty space.
    """
    overrides = {o.get_key_element(): o for o in parser.parse_overrides(list(texts))}
    fixed = [
        f"{key}={override.get_value_element_as_str()}"
        for key, override in overrides.items()
        if not override.is_sweep_override()
    ]
    space = {k: distribution(o) for k, o in overrides.items() if o.is_sweep_override()}
    if not space:
        raise InputError(
            "hydra.sweeper.params: nothing to search for; expected values to vary, as in "
            "'flow.training.learning_rate=tag(log,interval(0.001,0.1))'"
        )
    return fixed, space


def distribution(override: Override) -> "BaseDistribution":
    """Optuna's distribution for a sweep; raises ``InputError`` where there is none."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    sweep, key = override.value(), override.get_key_element()
    try:
        if isinstance(sweep, ChoiceSweep):
            return CategoricalDistribution([_plain(value) for value in sweep.list])
        logarithmic = isinstance(sweep, IntervalSweep | RangeSweep) and "log" in sweep.tags
        if isinstance(sweep, IntervalSweep):
            kind = IntDistribution if isinstance(sweep.start, int) else FloatDistribution
            assert sweep.start is not None
            assert sweep.end is not None
            return kind(sweep.start, sweep.end, log=logarithmic)
        if isinstance(sweep, RangeSweep) and isinstance(sweep.start, int):
            last = range(sweep.start, int(sweep.stop or 0), int(sweep.step))[-1]
            return IntDistribution(sweep.start, last, step=int(sweep.step), log=logarithmic)
    except (ValueError, IndexError) as error:
        raise InputError(f"{override.input_line}: {error}; expected a range to search") from None
    raise InputError(
        f"{key}: {override.input_line} found; expected choice(...), interval(...) or a range(...) "
        "of whole numbers"
    )


def _plain(value: Any) -> Any:
    """An element in a type that Optuna stores; lists and dictionaries as text of an override."""
    if isinstance(value, QuotedString):
        return value.text
    if isinstance(value, list | dict):
        return Override._get_value_element_as_str(value)
    return value
