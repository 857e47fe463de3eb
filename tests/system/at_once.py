"""Two clones register at once: each waits behind a call until the other one is there, too."""

from pathlib import Path

from .test_stopped import start

# Of the call's words that are versions, the numbers are in the name of the file it leaves.
REGISTER = """
import pkgutil, runpy, sys, time
from pathlib import Path

module, _, name = sys.argv[1].partition(":")
meeting, own = Path(sys.argv[2]), sys.argv[3]
module = pkgutil.resolve_name(module)
call = getattr(module, name)

def wait(*words):
    found = list(call(*words))
    numbers = [str(word.version) for word in words if type(word).__name__ == "ModelVersion"]
    (meeting / " ".join([own, *numbers])).touch()
    deadline = time.monotonic() + 120
    while len({path.name.split()[0] for path in meeting.iterdir()}) < 2:
        assert time.monotonic() < deadline, "the other one did not come"
        time.sleep(0.01)
    return found

setattr(module, name, wait)
sys.argv = ["register.py", "small"]
runpy.run_path("pipelines/register.py", run_name="__main__")
"""


def register_at_once(
    call: str, folders: dict[str, Path], variables: list[dict[str, str]]
) -> set[str]:
    """Register what clones trained; return what each of them left behind a call.

    Args:
        call: which both must have made before one of them goes on, as `module:function`.
        folders: of the clones, by a name of one word.
        variables: of the environment of each.

    Returns:
        For each call the name of its clone, and the numbers of the versions that it was given.
    """
    meeting = next(iter(folders.values())).with_name("meeting")
    meeting.mkdir()
    started = [
        start(folder, "python", "-c", REGISTER, call, str(meeting), own, **given)
        for (own, folder), given in zip(folders.items(), variables, strict=True)
    ]
    said = [process.communicate(timeout=240) for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    return {path.name for path in meeting.iterdir()}
