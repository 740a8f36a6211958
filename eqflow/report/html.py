"""The pages' templates, and how a page is written."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from eqflow.report.style import number
from eqflow.runtime import replacing
from eqflow.version import __version__


def write_page(path: Path, template: str, **content: Any) -> None:
    """Render ``template`` of this folder with ``content`` into ``path``, atomically."""
    # autoescape by hand: the default decides by the file's name, and ours end in .j2
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(number=number, version=__version__)
    page = environment.get_template(template).render(content)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
