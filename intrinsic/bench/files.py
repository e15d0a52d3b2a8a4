"""A bench on disk: the record, the tables, and a figure a device."""

from __future__ import annotations

from pathlib import Path

from intrinsic.bench import Bench
from intrinsic.bench.figure import render
from intrinsic.bench.tables import markdown, to_csv, to_json
from intrinsic.store.disk import write_files


def write_bench(made: Bench, folder: Path) -> list[Path]:
    """Write bench.json, bench.md, bench.csv, bench-<device>.png and .pdf, and return their paths.

    Raises StoreError if the folder refuses.
    """
    content: dict[str, str | bytes] = {
        "bench.json": to_json(made),
        "bench.md": markdown(made),
        "bench.csv": to_csv(made),
    }
    for device in sorted({row.device for row in made.projections}):
        content |= render(made, device)
    return write_files(folder, content)
