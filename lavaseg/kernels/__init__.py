"""The exact arithmetic of neurons and synapses, compiled for the CPU or in torch."""
