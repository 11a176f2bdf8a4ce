"""Networks that SLAYER's own blocks exported: NetX HDF5 of lava-dl 0.6, CUBA neurons.

The code that writes each block is `export_hdf5` of lava.lib.dl.slayer.block.base. Pairs (kernel,
stride, padding, dilation) are (height, width), as SLAYER writes them and NetX reads them; a
single number, which NetX accepts too, stands for both. Of what SLAYER does, a file leaves two
things out. `delay_shift` is no part of the network: it is the step that a layer takes on
hardware, which logical time does not count. And SLAYER fires at v >= threshold + threshold_eps,
Loihi at v > threshold: with `threshold_eps = 1 / s_scale` they agree, by default they may not.

SLAYER delays the spikes that leave a channel: here the projections that take them have a delay for
each channel of their source. The spikes of a last layer that fires are counted by a read-out of its
own, whose logits are firing rates.
"""

from lavaseg.netx.slayer.importer import read_stock

__all__ = ["read_stock"]
