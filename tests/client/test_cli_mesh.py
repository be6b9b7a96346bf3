"""`crystalmesh up`, `status`, `logs` and `down` as a person runs them: real processes, real signals."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

PATIENCE_SECONDS = 40.0
COMMAND = [sys.executable, "-m", "crystalmesh_client.cli"]


class Shell:
    """Runs the command line in a home of its own, and ends what is left there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        clean = {k: v for k, v in os.environ.items() if not k.startswith("CRYSTALMESH_")}
        self.environment = {**clean, "CRYSTALMESH_HOME": str(home), "NO_COLOR": "1"}
        self.environment.pop("TERM", None)
        self._started: list[subprocess.Popen[str]] = []

    def run(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment | variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Run beside the test."""
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._started.append(process)
        return process

    def up(self, *services: str) -> dict[str, Any]:
        """Start a mesh in the background; what it prints as JSON."""
        result = self.run("up", "--detach", "--json", *services)
        assert result.returncode == 0, result.stderr
        return dict(json.loads(result.stdout))

    def status(self) -> tuple[int, dict[str, Any]]:
        result = self.run("status", "--json")
        return result.returncode, json.loads(result.stdout)

    def close(self) -> None:
        if (self.home / "mesh.json").exists():
            self.run("down")
        for process in self._started:
            if process.poll() is None:
                process.kill()
            with process:
                process.wait()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path / "mesh")
    yield shell
    shell.close()


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {PATIENCE_SECONDS} s: {what}"
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """What a process prints up to and including the line with `text`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"it ended without {text!r}: {''.join(lines)}")


def pids(mesh: Mapping[str, Any]) -> dict[str, int]:
    return {service["service"]: service["pid"] for service in mesh["services"]}


def test_a_mesh_in_the_background(shell: Shell) -> None:
    """Up returns once all serve; status, logs and a second up tell of it; down ends it, twice if you like."""
    mesh = shell.up("retrieval", "agent")
    assert mesh["ready"]
    assert [service["state"] for service in mesh["services"]] == ["ready", "ready"]
    assert (shell.home / "endpoints.json").exists()

    code, status = shell.status()
    assert code == 0
    assert pids(status) == pids(mesh)
    assert [service["health"] for service in status["services"]] == ["serving", "serving"]

    second = shell.run("up", "agent")
    assert second.returncode == 1
    assert second.stderr.startswith("crystalmesh: a mesh is running here already")
    assert f"supervisor pid {mesh['supervisor_pid']}" in second.stderr
    assert second.stderr.count("\n") == 1

    logs = shell.run("logs", "agent", "--lines", "1")
    assert json.loads(logs.stdout)["event"] == "ready"
    everything = shell.run("logs").stdout
    assert re.search(r"^retrieval  .*ready", everything, re.MULTILINE)
    assert re.search(r"^mesh       .*2 services ready after", everything, re.MULTILINE)

    unknown = shell.run("logs", "generation")
    assert unknown.returncode == 2
    assert "there are agent, mesh, retrieval" in unknown.stderr

    assert shell.run("down").stdout == f"stopped the mesh (pid {mesh['supervisor_pid']})\n"
    assert all(is_gone(pid) for pid in pids(mesh).values())
    assert not (shell.home / "endpoints.json").exists()
    again = shell.run("down")
    assert (again.returncode, again.stdout) == (0, "no mesh is running here\n")


def test_of_two_ups_at_once_one_runs(shell: Shell) -> None:
    """However close they start, one mesh runs and the other command is refused."""
    both = [shell.start("up", "--detach", "agent") for _ in range(2)]
    outputs = [process.communicate(timeout=PATIENCE_SECONDS)[0] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    assert sum("a mesh is running here already" in output for output in outputs) == 1
    assert shell.status()[0] == 0


def test_a_killed_service_is_told_by_status(shell: Shell) -> None:
    """After kill -9 a service serves again on its address, and status counts the restart."""
    mesh = shell.up("agent")
    (before,) = mesh["services"]
    os.kill(before["pid"], signal.SIGKILL)

    def restarted() -> bool:
        _, status = shell.status()
        (now,) = status["services"]
        return bool(now["restarts"] == 1 and now["health"] == "serving" and now["state"] == "ready")

    eventually(restarted, "the service is back")
    code, status = shell.status()
    (now,) = status["services"]
    assert code == 0
    assert now["address"] == before["address"]
    assert now["reason"] == "killed by SIGKILL"


def test_status_of_a_service_that_does_not_answer(shell: Shell) -> None:
    """A service that hangs is unreachable, and status ends with 1."""
    mesh = shell.up("agent")
    pid = pids(mesh)["agent"]
    os.kill(pid, signal.SIGSTOP)
    try:
        code, status = shell.status()
        assert code == 1
        assert status["services"][0]["health"] == "unreachable"
    finally:
        os.kill(pid, signal.SIGCONT)


def test_without_a_mesh(shell: Shell) -> None:
    """Status and logs end with 4 where nothing runs or ever ran, down with 0, each with one line."""
    status = shell.run("status")
    assert (status.returncode, status.stderr) == (4, "no mesh is running here: `crystalmesh up` starts one\n")
    code, fields = shell.status()
    assert (code, fields["running"]) == (4, False)
    logs = shell.run("logs")
    assert logs.returncode == 4
    assert "no mesh has run here yet" in logs.stderr
    assert shell.run("down").returncode == 0
    assert not shell.home.exists()


def test_ctrl_c_stops_a_mesh_in_the_foreground(shell: Shell) -> None:
    """SIGINT drains every service, removes the map and is no failure; a pipe gets no control codes."""
    process = shell.start("up", "retrieval", "agent")
    output = read_until(process, "2 services ready after")
    assert "\x1b" not in output
    _, status = shell.status()
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert [line.split("  ")[1] for line in rest.splitlines()] == [
        "stopping; once more to stop at once",
        "stopped",
    ]
    assert all(is_gone(pid) for pid in pids(status).values())
    assert not (shell.home / "endpoints.json").exists()


def test_ctrl_c_twice_does_not_wait(shell: Shell) -> None:
    """The second SIGINT kills what does not drain, and the command ends as interrupted."""
    process = shell.start("up", "agent")
    read_until(process, "1 service ready after")
    _, status = shell.status()
    pid = pids(status)["agent"]
    os.kill(pid, signal.SIGSTOP)  # a stopped process does not drain
    process.send_signal(signal.SIGINT)
    read_until(process, "stopping")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert is_gone(pid)


def test_a_reader_that_goes_away_disturbs_nothing(shell: Shell) -> None:
    """A mesh whose output nobody reads any more goes on, restarts what crashes, and stops as asked."""
    process = shell.start("up", "agent")
    read_until(process, "1 service ready after")
    assert process.stdout is not None
    process.stdout.close()
    _, status = shell.status()
    os.kill(pids(status)["agent"], signal.SIGKILL)
    eventually(lambda: shell.status()[1]["services"][0]["restarts"] == 1, "the service is back")
    process.send_signal(signal.SIGHUP)
    assert process.wait(PATIENCE_SECONDS) == 0
    assert not (shell.home / "endpoints.json").exists()


def test_a_killed_supervisor_leaves_nothing_that_lasts(shell: Shell) -> None:
    """After kill -9 of the supervisor its services end by themselves, and the next up just works."""
    mesh = shell.up("retrieval", "agent")
    os.kill(mesh["supervisor_pid"], signal.SIGKILL)
    status = shell.run("status")
    assert status.returncode == 4
    assert f"the last one (pid {mesh['supervisor_pid']}) was killed" in status.stderr
    eventually(lambda: all(is_gone(pid) for pid in pids(mesh).values()), "the orphans have ended")
    assert shell.up("agent")["ready"]


def test_up_right_after_a_killed_supervisor_ends_its_orphans(shell: Shell) -> None:
    """A new mesh does not share the machine with what a killed one left behind, nor wait for it."""
    mesh = shell.up("agent")
    pid = pids(mesh)["agent"]
    os.kill(pid, signal.SIGSTOP)  # it cannot notice by itself that its supervisor is gone
    os.kill(mesh["supervisor_pid"], signal.SIGKILL)
    eventually(lambda: is_gone(mesh["supervisor_pid"]), "the supervisor is gone")
    assert shell.up("retrieval")["ready"]
    assert is_gone(pid)


def test_bad_settings_end_up_in_one_line(shell: Shell, tmp_path: Path) -> None:
    """A wrong setting, from a variable or a file, ends the command with 2 and its reason, tried once."""
    result = shell.run("up", "--detach", "agent", CRYSTALMESH_AGENT_PORT="many")
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("agent: settings of agent: port: Input should be a valid integer")
    config = tmp_path / "mesh.toml"
    config.write_text("[common\n")
    result = shell.run("up", "retrieval", "agent", "--config", str(config))
    assert result.returncode == 2
    assert f"CRYSTALMESH_CONFIG: {config} is not TOML" in result.stderr
    status = shell.run("status")
    assert status.returncode == 4
    assert "the last one failed: " in status.stderr


def test_a_port_in_use_is_told_as_such(shell: Shell) -> None:
    """A configured port that somebody else has is a setting that cannot be used."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = shell.run("up", "-d", "agent", CRYSTALMESH_AGENT_PORT=str(port))
    assert result.returncode == 2
    assert result.stderr.startswith(f"agent: cannot listen on 127.0.0.1:{port}")


def test_a_crash_loop_ends_up_with_its_reason_and_log(shell: Shell, tmp_path: Path) -> None:
    """A service that cannot run is given up after some tries; the command shows the end of its log."""
    broken = tmp_path / "broken" / "crystalmesh_agent"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("")
    (broken / "__main__.py").write_text("print('looking for the model')\nraise OSError('no model here')")
    result = shell.run("up", "--detach", "agent", PYTHONPATH=str(broken.parent))
    assert result.returncode == 1
    first, *tail = result.stderr.splitlines()
    assert first == "agent: failed at once 5 times in a row, exit 1: OSError: no model here"
    assert tail[0] == f"the end of {shell.home}/logs/agent.log:"
    assert "  looking for the model" in tail


def test_an_unknown_service_is_a_usage_error(shell: Shell) -> None:
    """A name that does not exist ends with 2 and those that do."""
    result = shell.run("up", "proprety")
    assert result.returncode == 2
    assert "no service is called proprety; there are agent, generation" in result.stderr


def test_logs_follow_until_interrupted(shell: Shell) -> None:
    """With --follow new lines appear as they are written, also those of a restart; Ctrl-C is no failure."""
    mesh = shell.up("agent")
    process = shell.start("logs", "--follow", "--lines", "1")
    read_until(process, "agent  ")
    os.kill(pids(mesh)["agent"], signal.SIGKILL)
    assert "mesh   " in read_until(process, "restarting: killed by SIGKILL")
    read_until(process, '"event": "ready"')
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0


def test_the_table_fits_a_terminal_of_80_columns(shell: Shell) -> None:
    """On a terminal the services are a table that is redrawn until all are ready, no line too long."""
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [*COMMAND, "up", "retrieval", "agent"],
        env=shell.environment | {"TERM": "xterm"},
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    try:
        screen = _read_terminal(terminal, "2 services ready after")
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the supervisor and its children
        screen += _read_terminal(terminal, "stopped")
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)
    lines = re.split(r"[\r\n]+", screen)
    assert max(map(len, lines)) <= 80
    header = "service    state        address              pid  restarts   since  ready in"
    assert header in (line.rstrip() for line in lines)
    assert re.search(r"agent      ready        127\.0\.0\.1:\d+ +\d+ +0 +\d+ s +\d\.\d s", screen)


def _read_terminal(terminal: int, text: str) -> str:
    """What is printed there up to and including `text`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    output = b""
    while text not in (plain := _plain(output.decode(errors="ignore"))):
        readable, _, _ = select.select([terminal], [], [], 1)
        if readable:
            output += os.read(terminal, 4096)
        assert time.monotonic() < deadline, f"not printed: {text!r}, but {plain!r}"
    return plain


def _plain(output: str) -> str:
    """The text without control codes; where the cursor moves up, a line begins."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", re.sub(r"\x1b\[\d*A", "\n", output))
