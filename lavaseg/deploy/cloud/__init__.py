"""To a cloud and back: a network as one archive, handed to Slurm, its results compared.

A bundle is made where the network is (`bundle`), runs where a board is (`entry`), and what comes
back is compared with what the simulator said (`collect`). `submit` does the last two through Slurm.
"""
