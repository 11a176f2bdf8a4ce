"""Checks of Slurm and of the boards that it, or the network, gives: none of them is reserved.

Names of variables and states are those of lava-nc 0.10.0, `lava/utils/slurm.py` and `loihi.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from lavaseg.deploy.doctor.check import GOOD, MISSING, WRONG, Check
from lavaseg.deploy.doctor.probes import Answer, Probes
from lavaseg.deploy.loihi2.system import GENERATIONS
from lavaseg.deploy.slurm.cluster import NODES, Node, nodes_of

PATIENCE = 5.0
"""Seconds that Slurm's commands have; a controller that is away makes them wait for minutes."""
LAVA_PATIENCE = 1.0
"""Seconds that `lava.utils.slurm` gives `sinfo`; after them it says that there is no Slurm."""


def cluster(probes: Probes) -> list[Check]:
    """Slurm with its partitions and nodes, and what the environment asks of it."""
    answer = probes.ask(NODES, PATIENCE)
    nodes = () if answer is None or answer.fault else nodes_of(answer.output)
    return [_slurm(answer, nodes), *_away(nodes), _board(probes, nodes)]


def _slurm(answer: Answer | None, nodes: Sequence[Node]) -> Check:
    name, needed_for = "Slurm", ("slurm",)
    if answer is None:
        remedy = "apt-get install slurm-client munge, with the cluster's slurm.conf and munge.key"
        return Check(name, MISSING, "no sinfo on the path", remedy, needed_for)
    if answer.fault:
        remedy = "scontrol ping says whether the controller answers"
        return Check(
            name, WRONG, f"sinfo: {answer.fault.removeprefix('sinfo: ')}", remedy, needed_for
        )
    if not nodes:
        remedy = "ask the cluster's administrators for a partition"
        return Check(name, WRONG, "sinfo lists no node", remedy, needed_for)
    parts = {node.partition: [n for n in nodes if n.partition == node.partition] for node in nodes}
    found = ", ".join(
        f"{partition} ({sum(n.up for n in group)} of {len(group)} nodes up)"
        for partition, group in parts.items()
    )
    if not any(node.up for node in nodes):
        remedy = f"scontrol update nodename={nodes[0].name} state=resume"
        return Check(name, WRONG, f"no node is up: {found}", remedy, needed_for)
    if answer.seconds > LAVA_PATIENCE:
        found = f"{found}; sinfo took {answer.seconds:.1f} s, Lava waits for {LAVA_PATIENCE:.0f} s"
        remedy = "run where the controller is near, for example on its login node"
        return Check(name, WRONG, found, remedy, needed_for)
    return Check(name, GOOD, found, needed_for=needed_for)


def _away(nodes: Sequence[Node]) -> list[Check]:
    """Nodes that are down, if others are up."""
    away = {node.name: node.state for node in nodes if not node.up}
    if not away or not any(node.up for node in nodes):
        return []
    found = ", ".join(f"{name} is {state}" for name, state in away.items())
    remedy = f"scontrol update nodename={','.join(away)} state=resume"
    return [Check("nodes", WRONG, found, remedy)]


def _board(probes: Probes, nodes: Sequence[Node]) -> Check:
    """The board that Loihi's driver would take: that of BOARD, PARTITION or NXSDKHOST."""
    name, needed_for = "board", ("loihi2",)
    asked = {key: os.environ[key] for key in ("BOARD", "PARTITION", "NXSDKHOST", "LOIHI_GEN")
             if os.environ.get(key)}  # fmt: skip
    found = ", ".join(f"{key}={value}" for key, value in asked.items())
    fault, remedy = _contradiction(asked) or _fault(probes, asked, nodes) or ("", "")
    if fault:
        return Check(name, WRONG, f"{found}: {fault}", remedy, needed_for)
    if set(asked) & {"BOARD", "PARTITION", "NXSDKHOST"}:
        return Check(name, GOOD, found, needed_for=needed_for)
    remedy = "export BOARD=NODE, or PARTITION=NAME of `sinfo`, or NXSDKHOST=ADDRESS of a board"
    return Check(name, MISSING, "none is chosen", remedy, needed_for)


def _contradiction(asked: Mapping[str, str]) -> tuple[str, str] | None:
    """What is wrong with the variables among themselves, and what mends it."""
    if "BOARD" in asked and "PARTITION" in asked:
        return "a board or a partition is chosen, not both", "unset PARTITION"
    if "NXSDKHOST" in asked and os.environ.get("SLURM") == "1":
        return "a host and Slurm exclude each other", "unset SLURM; export NOSLURM=1"
    generation = asked.get("LOIHI_GEN", GENERATIONS[0])
    if generation not in GENERATIONS:
        return f"generations are {', '.join(GENERATIONS)}", f"export LOIHI_GEN={GENERATIONS[0]}"
    return None


def _fault(
    probes: Probes, asked: Mapping[str, str], nodes: Sequence[Node]
) -> tuple[str, str] | None:
    """What is wrong with the board that the variables choose, and what mends it."""
    board, partition = asked.get("BOARD"), asked.get("PARTITION")
    if board is not None or partition is not None:
        chosen = [node for node in nodes if board == node.name or partition == node.partition]
        up = [node.name for node in nodes if node.up]
        key = "BOARD" if board is not None else "PARTITION"
        known = up if board is not None else sorted({node.partition for node in nodes if node.up})
        other = f"export {key}={known[0]}" if known else "scontrol ping"
        if not nodes:
            return "Slurm does not say whether it is there", "mend Slurm first: scontrol ping"
        if not chosen:
            return f"Slurm knows {', '.join(known) or 'none that is up'}", other
        if not any(node.up for node in chosen):
            states = ", ".join(sorted({f"{node.name} is {node.state}" for node in chosen}))
            return states, f"{other}, or scontrol update nodename={chosen[0].name} state=resume"
        return None
    if "NXSDKHOST" in asked:
        answer = probes.ask(["ping", "-c", "1", asked["NXSDKHOST"]], PATIENCE)
        if answer is None:
            return "there is no ping, which Lava calls", "apt-get install iputils-ping"
        if answer.fault:
            return "it does not answer a ping", "switch the board on, or export another NXSDKHOST"
    return None
