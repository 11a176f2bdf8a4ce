"""Checks of Python and its packages: what the extras bring, torch, Lava, Intel's extension."""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import sys
from importlib import metadata

from lavaseg.deploy.doctor.check import GOOD, MISSING, ON_LAVA, PURPOSES, WRONG, Check
from lavaseg.deploy.doctor.probes import Probes
from lavaseg.system.extras import EXTRAS, LAVA, LAVA_COMMAND, Extra, package_of
from lavaseg.system.versions import version_of

OLDEST, NEWEST = (3, 10), (3, 13)
"""Versions of Python that the package is tested on."""
NUMPY = (2, 4)
"""The first version of NumPy without `reshape(newshape=)`, which Lava's ports call."""
EXTENSION = ("lava.utils.loihi2_profiler", "lava.proc.embedded_io")
"""Modules that Intel's extension adds to Lava. `lava.utils.loihi.is_installed` looks for the first
one; the second holds the adapters between host and chip."""

_PLAIN = (
    "numpy", "numba", "h5py", "PIL", "matplotlib", "jinja2", "pydantic", "yaml", "rich",
    "docstring_parser",
)  # fmt: skip
_NEEDED_FOR = {"lava": ON_LAVA, "train": ("demo",), "data": ("demo",)}
"""Purposes that need an extra."""

_TORCH = """
import json, torch
cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
names = [torch.cuda.get_device_name(card) for card in range(cards)]
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "cards": names}))
"""
_EXTENSION = f"""
import importlib.util, lavaseg.deploy.lava
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
print(*(name for name in {EXTENSION!r} if there(name)))
"""


def python(_: Probes) -> list[Check]:
    """Python's version, and what a plain installation imports."""
    version = sys.version_info[:2]
    found, everything = f"{platform.python_version()}, {sys.executable}", tuple(PURPOSES)
    if OLDEST <= version <= NEWEST:
        checks = [Check("Python", GOOD, found, needed_for=everything)]
    else:
        wanted = f"{OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]}"
        remedy = f"make an environment with Python {wanted}: PYTHON=/path/to/python make test"
        checks = [Check("Python", WRONG, f"{found}; tested: {wanted}", remedy, everything)]
    absent = [package_of(name) for name in _PLAIN if not _there(name)]
    if absent:
        remedy = f"pip install {' '.join(absent)}"
        checks.append(Check("packages", MISSING, f"no {', '.join(absent)}", remedy, everything))
    return [*checks, _numpy()]


def _numpy() -> Check:
    """NumPy, of a version that Lava can use."""
    version = metadata.version("numpy")
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < NUMPY:
        return Check("NumPy", GOOD, version, needed_for=ON_LAVA)
    newest = ".".join(map(str, NUMPY))
    remedy = f"pip install 'numpy<{newest}'"
    return Check("NumPy", WRONG, f"{version}; Lava needs one below {newest}", remedy, ON_LAVA)


def kernels(probes: Probes) -> list[Check]:
    """The compiled kernels; Numba refuses to make them where it can keep them nowhere."""
    answer = probes.ask_python("-c", "import lavaseg.kernels.fused, lavaseg.kernels.sums")
    if not answer.fault:
        return [Check("kernels", GOOD, "load", needed_for=tuple(PURPOSES))]
    remedy = "export NUMBA_CACHE_DIR=FOLDER, one that can be written"
    return [Check("kernels", WRONG, answer.fault, remedy, tuple(PURPOSES))]


def extras(_: Probes) -> list[Check]:
    """The packages of each extra, by whether Python would find them."""
    return [_extra(extra) for extra in EXTRAS]


def _extra(extra: Extra) -> Check:
    name, needed_for = f"extra {extra.name}", _NEEDED_FOR.get(extra.name, ())
    modules = [module for module in extra.modules if module != "lava"]
    absent = [package_of(module) for module in modules if not _there(module)]
    if not absent:
        return Check(name, GOOD, ", ".join(map(package_of, modules)), needed_for=needed_for)
    found = f"no {', '.join(absent)}, which {extra.purpose} need"
    return Check(name, MISSING, found, extra.command, needed_for)


def torch(probes: Probes) -> list[Check]:
    """torch, imported in a process of its own, and the cards that it and the system see."""
    command = next(extra.command for extra in EXTRAS if extra.name == "train")
    if not _there("torch"):
        absent = Check("torch", MISSING, "not installed", command, ("demo",))
        return [absent, _cards(probes, None)]
    answer = probes.ask_python("-c", _TORCH)
    if answer.fault:
        again = f"{command} --force-reinstall"
        fault = f"it cannot be imported: {answer.fault}"
        return [Check("torch", WRONG, fault, again, ("demo",)), _cards(probes, None)]
    said = json.loads(answer.output.splitlines()[-1])
    built = f"for CUDA {said['cuda']}" if said["cuda"] else "for the CPU"
    found = Check("torch", GOOD, f"{said['version']}, {built}", needed_for=("demo",))
    return [found, _cards(probes, said["cards"])]


def _cards(probes: Probes, usable: list[str] | None) -> Check:
    """GPUs.

    Args:
        usable: names of those that torch can use; None if there is no torch.
    """
    if usable:
        return Check("GPU", GOOD, ", ".join(usable))
    answer = probes.ask(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    if answer is None or (not answer.fault and not answer.output.strip()):
        return Check("GPU", MISSING, "none", "nothing to do: everything runs on the CPU, slower")
    if answer.fault:
        remedy = "repair its driver; `nvidia-smi` says more"
        return Check("GPU", WRONG, f"nvidia-smi: {answer.fault}", remedy)
    seen = ", ".join(answer.output.split("\n")).strip(", ")
    if usable is None:
        return Check("GPU", MISSING, f"{seen}, and no torch to use it", EXTRAS[1].command)
    remedy = "install torch's build for this driver: https://pytorch.org/get-started"
    return Check("GPU", WRONG, f"{seen}, which torch cannot use", remedy)


def lava(probes: Probes) -> list[Check]:
    """Lava's version, a run of it, and the extension for the chip."""
    if not _there("lava"):
        checks = [Check("Lava", MISSING, "not installed", LAVA_COMMAND, ON_LAVA)]
        return [*checks, _no_extension()]
    return [_lava_version(), _lava_run(probes), _extension(probes)]


def _lava_version() -> Check:
    pinned = dict(word.split("==") for word in LAVA)
    found = {package: version_of(package) for package in pinned}
    words = ", ".join(f"{package} {version or 'missing'}" for package, version in found.items())
    if found == pinned:
        return Check("Lava", GOOD, words, needed_for=ON_LAVA)
    state = MISSING if None in found.values() else WRONG
    # lava-nc alone runs networks; lava-dl, which holds SLAYER, trains them
    runs = found["lava-nc"] == pinned["lava-nc"]
    needed_for = ("demo",) if runs else ON_LAVA
    return Check("Lava", state, f"{words}; tested: {', '.join(LAVA)}", LAVA_COMMAND, needed_for)


def _lava_run(probes: Probes) -> Check:
    """A tiny network on Lava's runtime, which imports it with the shims of `lavaseg/compat.py`."""
    name = "Lava's runtime"
    answer = probes.ask_python("-m", "lavaseg.deploy.lava.trial")
    if not answer.fault:
        found = f"imports, and ran a network spike for spike, {answer.seconds:.1f} s"
        return Check(name, GOOD, found, needed_for=ON_LAVA)
    remedy = "python -m lavaseg.deploy.lava.trial shows it alone; then mend what is wrong here"
    return Check(name, WRONG, answer.fault, remedy, ON_LAVA)


def _extension(probes: Probes) -> Check:
    answer = probes.ask_python("-c", _EXTENSION)
    if answer.fault:
        remedy = "mend Lava first"
        return Check("Loihi extension", WRONG, answer.fault, remedy, ("loihi2",))
    found = answer.output.split()
    if not found:
        return _no_extension()
    version = version_of("lava-loihi") or "version unknown"
    if len(found) == len(EXTENSION):
        return Check("Loihi extension", GOOD, f"lava-loihi, {version}", needed_for=("loihi2",))
    absent = ", ".join(set(EXTENSION) - set(found))
    remedy = "install the whole of lava-loihi, of the release that belongs to lava-nc"
    return Check("Loihi extension", WRONG, f"{version}, without {absent}", remedy, ("loihi2",))


def _no_extension() -> Check:
    remedy = (
        "Intel gives lava-loihi to members of its Neuromorphic Research Community (INRC): "
        "pip install the archive that you are given"
    )
    return Check("Loihi extension", MISSING, "lava-loihi is not installed", remedy, ("loihi2",))


def _there(module: str) -> bool:
    """Whether Python would find a top-level module, which is not imported."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
