"""The pages at `/` of the servers: each extends page.html.j2, those of lines line_page.html.j2."""

from jinja2 import Environment, PackageLoader


def page(template: str) -> str:
    """Return a page; `template` is its path in the package, such as `serving/lines.html.j2`."""
    pages = Environment(loader=PackageLoader("retain", ""), trim_blocks=True, autoescape=True)
    return pages.get_template(template).render()
