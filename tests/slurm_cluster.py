"""A Slurm of one machine for tests: munge, controller and two boards, one of them down."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scancel", "scontrol")
FOLDERS = "/usr/sbin"
"""Where Debian has the programs that are not on everybody's path."""
PATIENCE = 30
"""Seconds that Slurm may take to start, or to stop."""

CONFIGURATION = """
ClusterName=lavaseg
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={daemon}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
KillWait=2
ReturnToService=0
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
NodeName=board-1 NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
NodeName=board-2 NodeHostname={host} NodeAddr=127.0.0.1 Port={other} CPUs={cores} State=DOWN
PartitionName=kp Nodes=board-1 Default=YES MaxTime=60 State=UP
PartitionName=vpx Nodes=board-2 MaxTime=60 State=UP
"""


def obstacle() -> str:
    """Why there can be no cluster here, or ''."""
    path = os.pathsep.join([os.environ["PATH"], FOLDERS])
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        return f"Slurm is not installed ({missing[0]} is missing): apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "Slurm's daemons are started as root, and this is another user"
    return ""


@contextmanager
def running_cluster(folder: Path) -> Iterator[Path]:
    """A cluster whose whole state lies in `folder`, gone at the end with all its jobs.

    Yields:
        Its configuration, for the environment variable SLURM_CONF.
    """
    with ExitStack() as stack:
        configuration = _start(folder, stack)
        environment = {**os.environ, "SLURM_CONF": str(configuration)}
        stack.callback(_end_jobs, environment)
        _wait_for_board(environment)
        yield configuration


def _start(folder: Path, stack: ExitStack) -> Path:
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    configuration = folder / "slurm.conf"
    controller, daemon, other = _free_ports(3)
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder,
            host=socket.gethostname().partition(".")[0],
            controller=controller,
            daemon=daemon,
            other=other,
            cores=os.cpu_count(),
        )
    )
    files = [
        f"--{name}={folder / file}"
        for name, file in (
            ("key-file", "munge.key"),
            ("socket", "munge.socket"),
            ("log-file", "munged.log"),
            ("pid-file", "munged.pid"),
            ("seed-file", "munge.seed"),
        )
    ]
    conf = str(configuration)
    _launch(stack, folder, ["munged", "--foreground", "--force", *files])
    _wait_until(lambda: (folder / "munge.socket").exists(), "munged")
    _launch(stack, folder, ["slurmctld", "-D", "-i", "-f", conf])
    _launch(stack, folder, ["slurmd", "-D", "-N", "board-1", "-f", conf])
    return configuration


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]


def _launch(stack: ExitStack, folder: Path, command: list[str]) -> None:
    log = stack.enter_context((folder / f"{command[0]}.out").open("wb"))
    path = os.pathsep.join([os.environ["PATH"], FOLDERS])
    program = shutil.which(command[0], path=path)
    assert program is not None
    daemon = subprocess.Popen(
        [program, *command[1:]], stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )
    stack.callback(_stop, daemon)


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.terminate()
    try:
        daemon.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _wait_for_board(environment: dict[str, str]) -> None:
    def idle() -> bool:
        return "idle" in _ask(["sinfo", "-h", "-n", "board-1", "-o", "%T"], environment)

    _wait_until(idle, "slurmctld and slurmd")


def _end_jobs(environment: dict[str, str]) -> None:
    _ask(["scancel", "--me"], environment)
    _wait_until(lambda: not _ask(["squeue", "-h"], environment).strip(), "the last jobs' end")


def _ask(command: list[str], environment: dict[str, str]) -> str:
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment
    ).stdout


def _wait_until(holds: Callable[[], bool], what: str) -> None:
    patience = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > patience:
            raise TimeoutError(f"{what}: not within {PATIENCE} s")
        time.sleep(0.05)
