"""Do the parts of a stage in this process, in several, on a Ray cluster, or on machines of others.

One verb: `engine.map(function, parts, job)`. The outputs are the same bytes with every engine.
"""

from retain.engine.choice import in_process
from retain.engine.mapping import Job, Part, map, project_of

__all__ = ["Job", "Part", "in_process", "map", "project_of"]
