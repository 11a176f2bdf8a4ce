"""Runs the bundle that this file lies in: `python run.py --help`.

Checks the bundle's files with what Python brings, before anything of them is imported, and hands
over to lavaseg, which lies beside it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path


def fault(folder: Path) -> str:
    """What is wrong with the files of an unpacked bundle, or ''."""
    path = folder / "manifest.json"
    try:
        members = json.loads(path.read_bytes())["members"]
        for name, entry in members.items():
            content = (folder / name).read_bytes()
            if hashlib.sha256(content).hexdigest() != entry["sha256"]:
                return f"{folder / name} was changed after the bundle was made; unpack it again"
    except FileNotFoundError as error:
        return f"the bundle is incomplete: {error.filename} is missing; unpack it again"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{path} cannot be read: {error}; unpack the bundle again"
    return ""


def main() -> int:
    """Exit code: 0 equal, 1 different, 2 a mistake in the call or in a file."""
    folder = Path(__file__).resolve().parent
    sentence = fault(folder)
    if not sentence:
        sys.path.insert(0, str(folder))
        try:
            from lavaseg.deploy.cloud.entry import main as run
        except ModuleNotFoundError as error:
            sentence = f"{error.name} is not installed: pip install -r requirements.txt"
        else:
            return run(folder, sys.argv[1:])
    print(f"error: {sentence}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
