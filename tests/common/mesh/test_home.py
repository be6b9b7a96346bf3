import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crystalmesh_common.mesh.errors import MeshError, MeshRunningError
from crystalmesh_common.mesh.home import MeshHome, MeshLock

HOLD = """
import sys
from pathlib import Path
from crystalmesh_common.mesh.home import MeshHome, MeshLock
lock = MeshLock(MeshHome(Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def home(tmp_path: Path) -> MeshHome:
    home = MeshHome(tmp_path / "mesh")
    home.prepare()
    return home


def test_only_one_mesh_runs_in_a_home(home: MeshHome) -> None:
    """The second is refused with the pid of the first, and comes in once the first has gone."""
    with MeshLock(home):
        assert home.running_pid() == os.getpid()
        with pytest.raises(MeshRunningError, match=f"supervisor pid {os.getpid()}"):
            MeshLock(home)
    assert home.running_pid() is None
    MeshLock(home).release()


def test_the_lock_of_a_killed_supervisor_is_free(home: MeshHome) -> None:
    """Kill -9 leaves no lock behind."""
    command = [sys.executable, "-c", HOLD, str(home.root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert home.running_pid() == holder.pid
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert home.running_pid() is None
    MeshLock(home).release()


def test_asking_who_runs_takes_nothing_from_who_starts(home: MeshHome) -> None:
    """A home that does not exist, or where nothing ever ran, has no mesh; asking creates nothing."""
    absent = MeshHome(home.root / "absent")
    assert absent.running_pid() is None
    assert not absent.root.exists()
    assert home.running_pid() is None


def test_a_home_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    """A file where the folder should be is told as such."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MeshError, match=r"cannot write to .*file"):
        MeshHome(tmp_path / "file" / "mesh").prepare()


def test_the_home_is_for_its_user_alone(home: MeshHome) -> None:
    """Logs and addresses are nobody else's."""
    assert home.root.stat().st_mode & 0o077 == 0
