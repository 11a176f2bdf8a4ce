"""Loihi 2: the compiler's public tables beside our model, and the papers' systems on its cores.

Prints, in Markdown, the three tables of docs/loihi2.md. Nothing is measured: all are computed from
the descriptions, for weights of 8 bits, with the input sent by the host.

    python benchmarks/loihi2.py
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from lavaseg.chip import Finding, Mapping, find_limits, map_layers, map_net
from lavaseg.chip.profiles import PROFILES
from lavaseg.chip.published import PUBLISHED, differences
from lavaseg.errors import LavasegError
from lavaseg.export.lowering import deployed
from lavaseg.models.systems import SU, SYSTEMS
from lavaseg.network import Input

SIZES = {SU: ((3, 180, 240), 12, 5)}
"""Input, classes and T of a paper's systems, where they are not `USUAL`."""
USUAL = ((3, 64, 64), 21, 20)


def published_rows() -> list[dict[str, Any]]:
    """One row a public table: how many of its numbers our model gives."""
    rows = []
    for table in PUBLISHED:
        mapping = map_layers(table.layers, profile=table.profile)
        compared = differing = 0
        for row in table.rows:
            compared += len(row.printed) + 1 + (row.tile is not None)
            differing += len(differences(mapping[row.layer], row, PROFILES[table.profile]))
        rows.append(
            {
                "table": table.name,
                "profile": table.profile,
                "layers": len(table.rows),
                "cores": sum(row.cores for row in table.rows),
                "our cores": mapping.cores,
                "compared": compared,
                "differing": differing,
                "weight bits": "inferred from SynMem" if table.inferred else "of the weights",
                "source": table.source,
            }
        )
    return rows


@cache
def system_rows(quick: bool = False) -> list[dict[str, Any]]:
    """One row a system that deploys, at published width and input."""
    found = []
    for key, system in SYSTEMS.items():
        if not system.spiking or (quick and system.paper == SU):
            continue
        sheet, classes, steps = SIZES.get(system.paper, USUAL)
        try:
            network = deployed(system.build(Input("input", sheet), classes))
        except LavasegError:
            continue
        mapping = map_net(network, steps=steps)
        helpers = sum(layer.cores for layer in mapping.layers if layer.kind != "population")
        found.append(
            {
                "system": key,
                "input": "x".join(map(str, sheet)),
                "T": steps,
                "cores": mapping.cores,
                "of helpers": helpers,
                "chips": mapping.chips,
                "board": "none" if mapping.board is None else mapping.board.name,
                "utilisation": mapping.utilisation,
                "limits": _limits(mapping),
                "misfit": mapping.misfit or "",
                "met": _met(find_limits(network, mapping, steps=steps)),
            }
        )
    return found


def _limits(mapping: Mapping) -> str:
    """The limiting registers, those of most cores first."""
    cores: Counter[str] = Counter()
    for layer in mapping.layers:
        cores[layer.limiting] += layer.cores
    return ", ".join(
        f"{name} {100 * count / mapping.cores:.0f} %" for name, count in cores.most_common()
    )


def _met(findings: Sequence[Finding]) -> dict[str, str]:
    """The limits of each severity by name, with the number of layers that meet them."""
    met: dict[str, Counter[str]] = {"refuses": Counter(), "repaired": Counter(), "warns": Counter()}
    for finding in findings:
        met[finding.severity][finding.kind] += 1
    return {
        severity: ", ".join(f"{kind} ({n})" if n > 1 else kind for kind, n in kinds.items())
        for severity, kinds in met.items()
    }


def published_lines() -> list[str]:
    """The first table, in Markdown."""
    lines = [
        "| table | compiler | layers | cores | our cores | numbers | differ | weight bits |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {row['table']} | {row['profile']} | {row['layers']} | {row['cores']:,} "
        f"| {row['our cores']:,} | {row['compared']} | {row['differing']} | {row['weight bits']} |"
        for row in published_rows()
    ]


def system_lines(quick: bool = False) -> list[str]:
    """The second table, in Markdown."""
    lines = [
        "| system | input | T | cores | of helpers | chips | smallest board | used | limited by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in system_rows(quick):
        figures = ("does not fit", "", "", "", "", row["misfit"])
        if not row["misfit"]:
            figures = (
                f"{row['cores']:,}",
                f"{row['of helpers']:,}",
                f"{row['chips']:,}",
                row["board"],
                f"{row['utilisation']:.0%}",
                row["limits"],
            )
        lines.append(f"| `{row['system']}` | {row['input']} | {row['T']} | {' | '.join(figures)} |")
    return lines


def limit_lines(quick: bool = False) -> list[str]:
    """The third table, in Markdown."""
    lines = ["| system | refused | repaired | remarks |", "|---|---|---|---|"]
    return lines + [
        f"| `{row['system']}` | {' | '.join(text or '-' for text in row['met'].values())} |"
        for row in system_rows(quick)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="leave out the largest systems")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if options.json:
        print(json.dumps({"published": published_rows(), "systems": system_rows(options.quick)}))
        return
    print("\n".join([*published_lines(), "", *system_lines(options.quick)]))
    print("\n".join(["", *limit_lines(options.quick)]))


if __name__ == "__main__":
    main()
