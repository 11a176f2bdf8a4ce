"""Slurm by its own commands: what there is, and jobs; for all who ask: boards, bundles, studies.

Plain `sbatch` and `squeue` rather than submitit: that one runs a pickled Python function, needs
itself installed where the job runs, and asks `sacct` for a job's state, which answers nothing where
Slurm keeps no accounting.
"""
