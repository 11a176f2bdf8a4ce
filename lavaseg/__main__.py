"""`python -m lavaseg` is the command `lavaseg`."""

from lavaseg.cli import main

if __name__ == "__main__":
    main()
