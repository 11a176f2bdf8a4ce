"""The network whose synapses the spikes of a description drive, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from lavaseg.errors import LavasegError
from lavaseg.export.lowering.clock import split_clocks
from lavaseg.export.lowering.fold import fold_averages, fold_norms
from lavaseg.export.lowering.merge import merge_parallel
from lavaseg.export.lowering.trial import untrained
from lavaseg.export.lowering.unroll import unroll_currents
from lavaseg.network import Network, Relay
from lavaseg.network.levels import refolded
from lavaseg.results.energy import fires_as, trains_only, uncountable
from lavaseg.system.words import command


def unrolled(network: Network) -> Network:
    """A description without its currents, whatever its weights will be.

    Its projections are those whose synapses the spikes of the trained network drive: as in
    `deployed`, but with auxiliary read-outs, and whether or not neurons and norms are Loihi's.

    Raises:
        LavasegError: a current cannot be unrolled; the message says why.
    """
    weighted = untrained(network)
    for step in (fold_averages, fold_norms, unroll_currents, merge_parallel, split_clocks):
        weighted = step(weighted)
    return weighted.network


def countable(
    network: Network, measured: Collection[str] | None = None, *, run: object = "RUN"
) -> tuple[Network | None, str]:
    """The network in which `lavaseg.results.energy.account` counts the spikes of `network`.

    It is `network` itself, or that without its currents.

    Args:
        network: as trained or as exported.
        measured: the nodes whose spikes were measured; all by default, currents (whose sums a
            relay would send) included, as in a recording.
        run: the run, as the command line that the reason names takes it.

    Returns:
        The network and "", or None and the reason as a sentence.
    """
    found, reason = network, trains_only(network)
    if reason is None and uncountable(network):
        try:
            found = unrolled(network)
        except LavasegError as error:
            reason = str(error)
    reason = reason or _unseen_relay(found, network, measured, run)
    return (None, f"synaptic operations are not counted: {reason}") if reason else (found, "")


def described(
    network: Network, trained: Network | None, measured: Mapping[str, object]
) -> tuple[Network, str]:
    """The description whose dense MACs papers would count for spikes of `network`.

    Unrolled sums have up to several times the MACs of the residual streams that they were, so an
    exported network is counted as what it was trained as, less the auxiliary read-outs, which
    only training has.

    Args:
        network: as evaluated.
        trained: the description that it was exported from; None where that is not known.
        measured: nodes whose spikes were measured.

    Returns:
        The description, its integer neurons as populations with levels, and "" or a remark on
        what it is.
    """
    if trained is not None:
        without = trained.without_auxiliaries()
        if fires_as(without, measured):
            return without, ""
    return refolded(network), (
        "dense MACs are those of the network as exported, since the description that it was "
        "trained as is not beside it; residual streams are unrolled there"
    )


def _unseen_relay(
    found: Network, network: Network, measured: Collection[str] | None, run: object
) -> str | None:
    """The reason that lies in a relay of `found` whose spikes nobody measured in `network`."""
    relays = [node.name for node in found.nodes if isinstance(node, Relay)]
    for name in relays:
        if name not in network.shapes:
            return (
                f"the relay {name!r} would send what no current of the network as trained shows; "
                "count the exported network"
            )
    for name in sorted(relays):
        if measured is not None and name not in measured:
            return (
                f"{name} sends sums, which an evaluation in floats does not look at; "
                f"{command('record', run)} counts them"
            )
    return None
