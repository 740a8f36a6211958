"""Rendering of the HTML pages from their jinja2 templates."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from eqflow.report.text import number, transit_times
from eqflow.runtime import replacing
from eqflow.version import __version__


def write_page(path: Path, template: str, **content: Any) -> None:
    """Render ``template`` of the folder ``templates`` with ``content`` and write it to ``path``.

    The file is replaced as a whole: a reader never sees half a page.
    """
    # jinja2 would escape by the ending of the file's name, which is .j2 here
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(number=number, transit_times=transit_times, version=__version__)
    page = environment.get_template(template).render(content)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
