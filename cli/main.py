"""The `intrinsic` command: parse, call, print.

A verb's module is imported when that verb is called, so that `intrinsic --help` stays instant and `ls` and `report`
never load torch.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import typer
from typer.core import TyperGroup

from intrinsic.errors import IntrinsicError

VERBS = {
    "measure": "Find d90, the intrinsic dimension of a model on a task.",
    "compare": "Methods of fine-tuning side by side, each at its own rate.",
    "certify": "Train in a subspace and bound the error by its code's length.",
    "verify": "Check a certificate: valid, or exactly what is not.",
    "ls": "List what a run can name, by kind, or the runs that there are.",
    "report": "Write a run's tables and figures again, without training.",
    "bound": "What a run proves about the error on new examples: every bound.",
    "bench": "How fast the kernels are here, beside memory and other libraries.",
}
"""The verbs, each with its line in the help text."""
BAD_INPUT, BUG, INTERRUPTED = 2, 1, 130
"""Exit codes; 0 is a run that came to its end, whatever it found."""

SPINS = "10000"
"""Number of times that a thread of torch's OpenMP looks for work before it sleeps. By default it looks for
milliseconds: where another process wants the core, every parallel region then waits for the scheduler, and a small
training step takes twenty times as long. On a quiet machine the lower number costs nothing. It is read once, when torch
is loaded; the user's own settings take precedence."""


class Verbs(TyperGroup):
    """The group of verbs; it replaces the placeholder of the verb that is called by the real command."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Import the verb that is called, then find its command as usual."""
        if args and args[0] in VERBS:
            self.commands[args[0]] = _command(args[0])
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich would double the time to the help text
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Measure the intrinsic dimension of fine-tuning: the smallest random subspace in which training works.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"intrinsic {version('intrinsic')}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", help="Print the version and stop.", is_eager=True, callback=_show_version
    ),
) -> None:
    """Take the options of the command itself."""


def _placeholder(verb: str) -> None:
    @app.command(verb, help=VERBS[verb])
    def _stand_in() -> None:
        raise AssertionError(f"{verb} was called before its module was loaded")


for _verb in VERBS:
    _placeholder(_verb)


def _command(verb: str) -> Any:
    run = importlib.import_module(f".{verb}", __package__).run
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    settings = {"help_option_names": ["-h", "--help"]}
    single.command(verb, help=VERBS[verb], context_settings=settings)(_interruptible(run))
    return typer.main.get_command(single)


def _interruptible(run: Callable[..., None]) -> Callable[..., None]:
    """The verb with an exit message for Ctrl-C, which typer leaves out, unless the verb has one of its own."""

    @wraps(run)
    def said(*args: Any, **kwargs: Any) -> None:
        try:
            run(*args, **kwargs)
        except KeyboardInterrupt:
            raise typer.Exit(_say("interrupted", INTERRUPTED)) from None

    return said


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; every error is one sentence, never a traceback."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    try:
        code = app(args=argv, prog_name="intrinsic", standalone_mode=False)
    except IntrinsicError as error:
        return _say(str(error), BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):  # before the verb's own code has begun
        return _say("interrupted", INTERRUPTED)
    except Exception as error:
        return _usage(error) if hasattr(error, "format_message") else _bug(error)
    return code if isinstance(code, int) else 0


def _usage(error: Any) -> int:
    """The exit code for an error of typer's own; without arguments typer raises the help text, which is no error."""
    format_message: Callable[[], str] = error.format_message
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(format_message())
        return 0
    verb = getattr(getattr(error, "ctx", None), "command_path", "intrinsic")
    return _say(f"{format_message().rstrip('.')}; see {verb} --help", BAD_INPUT)


def _bug(error: Exception) -> int:
    import tempfile
    import traceback

    descriptor, path = tempfile.mkstemp(prefix="intrinsic-traceback-", suffix=".txt")
    with os.fdopen(descriptor, "w") as file:
        traceback.print_exception(error, file=file)
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return _say(f"this is a bug in intrinsic, please report it with the file {path} ({what})", BUG)


def _say(message: str, code: int) -> int:
    typer.echo(f"intrinsic: {' '.join(message.split())}", err=True)
    return code
