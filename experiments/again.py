"""Draw the figures and write the tables of recorded results again, by the program as it is. No trial runs.

    python experiments/again.py [NAME ...]

Without names all records of experiments/results; those of scripts that draw their own figures are passed over.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from record import HERE, write_report

from intrinsic.records import CompareResult, MeasureResult


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    paths = [HERE / "results" / f"{name}.json" for name in parser.parse_args().names]
    for path in paths or sorted((HERE / "results").glob("*.json")):
        record = read(path)
        if record is not None:
            write_report(record, path.stem)
            print(path.stem)


def read(path: Path) -> MeasureResult | CompareResult | None:
    """The record in a file; None where it holds neither kind."""
    text = path.read_text()
    for kind in (MeasureResult, CompareResult):
        try:
            return kind.model_validate_json(text)
        except ValueError:
            continue
    return None


if __name__ == "__main__":
    main()
