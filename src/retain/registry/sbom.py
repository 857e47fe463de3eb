"""The installed packages as a software bill of materials, in CycloneDX's JSON.

Written without the library of CycloneDX, which needs four times as long and puts a time and a
random number in; a test checks the result with it. The format is
https://cyclonedx.org/docs/1.6/json/.
"""

import re
from functools import cache
from importlib.metadata import Distribution, distributions
from typing import Any

from retain.project import files

REQUIREMENT = re.compile(r"\s*([\w.-]+)[^;]*(?:;\s*(.*))?")


@cache
def build() -> str:
    """Return the bill of the running environment: the same bytes for the same packages.

    Each package has its name, version and package URL (`pkg:pypi/…`), and which of the others it
    requires here.
    """
    from packaging.utils import canonicalize_name

    # Of two of one name, Python imports the first.
    installed: dict[str, Distribution] = {}
    for found in distributions():
        if found.name:  # None for what an upgrade that was aborted left (`~umpy-2.0.dist-info`)
            installed.setdefault(canonicalize_name(found.name), found)
    urls = {name: f"pkg:pypi/{name}@{found.version}" for name, found in installed.items()}
    components = [
        {
            "type": "library",
            "bom-ref": urls[name],
            "name": name,
            "version": installed[name].version,
            "purl": urls[name],
        }
        for name in sorted(installed)
    ]
    dependencies = [
        {
            "ref": urls[name],
            "dependsOn": sorted(urls[other] for other in _required(installed[name]) & urls.keys()),
        }
        for name in sorted(installed)
    ]
    content: dict[str, Any] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "components": components,
        "dependencies": dependencies,
    }
    return files.to_json(content)


def _required(found: Distribution) -> set[str]:
    """Return the names of the packages that one requires, without those of its extras."""
    from packaging.markers import Marker
    from packaging.utils import canonicalize_name

    names = set()
    for match in filter(None, map(REQUIREMENT.match, found.requires or ())):
        if not match[2] or Marker(match[2]).evaluate():  # an extra's is false
            names.add(str(canonicalize_name(match[1])))
    return names
