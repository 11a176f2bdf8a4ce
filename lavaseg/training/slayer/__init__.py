"""SLAYER's neurons and synapses, with faster arithmetic behind their interfaces."""

from lavaseg.compat import prepare_lava

prepare_lava()
