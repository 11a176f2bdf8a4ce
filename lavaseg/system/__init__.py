"""Services of the machine: files, threads, progress at the terminal, versions."""
