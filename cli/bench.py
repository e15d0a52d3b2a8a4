"""`intrinsic bench`: the speed of the kernels on this machine, beside the memory's floor and other libraries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from intrinsic.bench import DEVICES, Bench, bench, choose_sizes
from intrinsic.bench.files import write_bench
from intrinsic.bench.peers import find_peers
from intrinsic.bench.tables import PROJECTIONS, TRANSFORMS, facts, projection_rows, transform_rows
from intrinsic.store.disk import prepare


def run(
    quick: bool = typer.Option(False, "--quick", help="Small sizes, half a minute; without it about ten minutes."),
    output_dir: Path = typer.Option(Path("runs/bench"), metavar="PATH", help="Where the files go."),
    device: str = typer.Option("all", metavar="|".join(DEVICES), help="What is measured; all: what there is."),
    ffht: Path | None = typer.Option(
        None, metavar="FILE", help="FFHT's shared library, measured beside ours; hadamard-transform is, if installed."
    ),
) -> None:
    """Measure, print the tables, write bench.json, .md, .csv and a figure for each device."""
    sizes = choose_sizes(device, quick=quick)
    find_peers(ffht)  # refuses a wrong library before a folder is made
    prepare(output_dir)
    console = Console(highlight=False, markup=False)
    with console.status("starting") as status:
        made = bench(sizes, ffht, status.update)
    try:
        written = write_bench(made, output_dir)
    finally:  # the tables are shown even if the files cannot be written
        show(console, made)
    console.print(Text(f"files: {output_dir}: {', '.join(path.name for path in written)}"))


def show(console: Console, made: Bench) -> None:
    """Print the facts and both tables."""
    for fact in facts(made):
        console.print(Text(fact))
    for title, header, rows in (
        ("Walsh-Hadamard transform, in place, milliseconds", TRANSFORMS, transform_rows(made)),
        ("W = W_0 + lambda P theta, and P^T g, milliseconds", PROJECTIONS, projection_rows(made)),
    ):
        console.print()
        console.print(Text(title, style="bold"))
        _print(console, header, rows)


def _print(console: Console, header: Sequence[str], body: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for column, values in zip(header, zip(*body, strict=True), strict=True):
        numbers = all(value[0].isdigit() for value in values)
        table.add_column(column, justify="right" if numbers else "left", no_wrap=True)
    for row in body:
        table.add_row(*map(Text, row))
    console.print(table)
