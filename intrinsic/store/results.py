"""Results of the commands that end in one: all of them by their ids, and a copy of the newest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from intrinsic.errors import StoreError
from intrinsic.records import CompareResult, MeasureResult
from intrinsic.store.disk import prepare, read_record, refused, write_atomically

Result = TypeVar("Result", MeasureResult, CompareResult)


@dataclass(frozen=True)
class Results(Generic[Result]):
    """The results of one command in an output directory: their files, and how they are written and read."""

    record: type[Result]
    """Class of a result's record."""
    verb: str
    """Name of the command."""
    noun: str
    """Name of its result, for a message."""
    folder: str
    """Folder with the results by their ids."""
    newest: str
    """File with a copy of the newest result."""

    def file(self, output_dir: Path, name: str | None = None) -> Path:
        """The file of a result by its id; without an id, of the newest one."""
        return output_dir / self.newest if name is None else output_dir / self.folder / f"{name}.json"

    def write(self, output_dir: Path, name: str, result: Result) -> None:
        """Write a result under its id, then as the newest one. Raises StoreError where that cannot be done."""
        prepare(output_dir / self.folder)
        text = result.model_dump_json(indent=1)
        for path in (self.file(output_dir, name), self.file(output_dir)):
            write_atomically(path, text)

    def read(self, output_dir: Path, name: str | None) -> Result:
        """The result of this id, or without an id the newest one. Raises StoreError if it is absent or damaged."""
        if name is not None:
            self._check_name(output_dir, name)
        path = self.file(output_dir, name)
        try:
            return read_record(path, self.record)
        except FileNotFoundError as error:
            how = f"`intrinsic {self.verb} --output-dir {output_dir}` makes one"
            raise StoreError(f"no {self.noun} at {path}: {how}") from error
        except OSError as error:
            raise refused("read", path, error) from error
        except ValueError as error:
            raise StoreError(f"{path} is damaged ({error}): {self.verb} again, the trials are kept") from error

    def _check_name(self, output_dir: Path, name: str) -> None:
        available = sorted(path.stem for path in (output_dir / self.folder).glob("*.json"))
        if name not in available:
            raise StoreError(
                f"no {self.noun} {name!r} in {output_dir}: expected one of those in {self.folder}/, "
                f"{', '.join(available) or 'of which there are none'}"
            )


MEASUREMENTS = Results(MeasureResult, "measure", "measurement", "results", "result.json")
"""Results of `intrinsic measure`."""
COMPARISONS = Results(CompareResult, "compare", "comparison", "comparisons", "comparison.json")
"""Results of `intrinsic compare`."""
