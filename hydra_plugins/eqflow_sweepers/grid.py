"""Every combination of the values given."""

from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from hydra_plugins.eqflow_sweepers.common import check_jobs, closing, open_folder, pin_folder


class GridSweeper(BasicSweeper):
    """Hydra's own grid; all jobs are checked before the first starts, and none ends another.

    ``params`` are sweeps from the config, which those of the command line replace;
    ``max_batch_size`` jobs go to the launcher at a time, all of them if None.
    """

    def setup(self, **parts: Any) -> None:
        pin_folder(parts["config"])
        super().setup(**parts)

    def sweep(self, arguments: list[str]) -> Any:
        assert self.config is not None
        assert self.hydra_context is not None
        check_jobs(self.hydra_context, self.config, self.jobs(arguments))
        open_folder(self.config)
        with closing(self.hydra_context, self.config):
            return super().sweep(arguments)

    def jobs(self, arguments: list[str]) -> Sequence[Sequence[str]]:
        """The overrides of every job."""
        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        overrides = parser.parse_overrides([*self._parse_config(), *arguments])
        return self.split_arguments(overrides, None)[0]
