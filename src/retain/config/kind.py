"""The kinds of problems: a new one is a package with the rooms of docs/architecture.md, named here.

No stage depends on this file, so that a line more runs nothing again: what it says of a problem's
own kind stands in the list of modules that `pipelines/code.py` writes.
"""

KINDS = {
    "forecast": "retain.kinds.forecast",
    "recall": "retain.kinds.recall",
    "text": "retain.kinds.text",
}
# What a person asks a champion of each kind with.
COMMANDS = {"forecast": "retain forecast", "recall": "retain ask", "text": "retain complete"}
