"""Remarks on an integer network on hardware: cost of delays, saturation, channels that are lost."""

from __future__ import annotations

from lavaseg.network.delays import plan
from lavaseg.network.grids import fan_out
from lavaseg.network.integers import IntegerNetwork
from lavaseg.network.ranges import check_ranges


def delay_cost(net: IntegerNetwork) -> dict[str, int]:
    """Neurons and synapses that make spikes wait: `relay_neurons` and `delayed_synapses`."""
    network = net.network
    found = plan(network, net.steps)
    delayed = [network.projection(name) for name in found.synapses]
    return {
        "relay_neurons": sum(found.relays(network, key) for key in (*found.chains, *found.rows))
        + sum(network.neurons(name) for name in found.echoes),
        "delayed_synapses": sum(
            int(fan_out(p.operator, network.shape(p.source)).sum()) for p in delayed
        ),
    }


def saturation(net: IntegerNetwork) -> str:
    """The verdict of the range proof, as one sentence without a full stop.

    Raises:
        RangeError: an input can wrap a current.
    """
    clipped = [item.name for item in check_ranges(net) if not item.proved]
    if not clipped:
        return "proved: no input can wrap a current or clip a membrane"
    return (
        "proved: no input can wrap a current; whether a membrane is clipped depends "
        f"on the data in {', '.join(clipped)} (clipping is computed exactly everywhere)"
    )


def lost_gains(net: IntegerNetwork) -> list[str]:
    """A sentence for each pool, upsampling or skip that no longer passes some channels on."""
    found = []
    for projection in net.network.projections:
        gain = net.weights[projection.name]
        if net.network.weight_shape(projection) is None and not gain.all():
            found.append(
                f"{projection.name}: {int((gain == 0).sum())} of {len(gain)} channels "
                f"are 0: beside the other weights into {projection.target} they round to nothing"
            )
    return found
