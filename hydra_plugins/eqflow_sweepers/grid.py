"""Hydra's sweeper for grids: every combination of the values given."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from hydra_plugins.eqflow_sweepers.common import (
    check_jobs,
    create_folder,
    pin_folder,
    with_closing_callbacks,
)


class GridSweeper(BasicSweeper):
    """Hydra's basic sweeper, with all jobs checked before the first starts.

    A job that fails ends no other. Raises ``InputError`` for the first job that cannot run.

    Args:
        params: option -> values to vary; those of the command line replace them.
        max_batch_size: jobs handed to Hydra's launcher at a time; None for all.
    """

    def setup(self, **parts: Any) -> None:
        pin_folder(parts["hydra_context"], parts["config"])
        super().setup(**parts)

    def sweep(self, arguments: list[str]) -> Any:
        assert self.config is not None
        assert self.hydra_context is not None
        check_jobs(self.hydra_context, self.config, self.jobs(arguments))
        create_folder(self.config)
        with with_closing_callbacks(self.hydra_context, self.config):
            return super().sweep(arguments)

    def jobs(self, arguments: list[str]) -> Sequence[Sequence[str]]:
        """The overrides of every job."""
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        return self.split_arguments(overrides, None)[0]
