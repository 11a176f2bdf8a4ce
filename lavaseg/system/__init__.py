"""What is asked of the machine: files, progress at the terminal, versions."""
