"""The entry of the command line: which commands there are, and what becomes of an error.

No traceback reaches a user. What is expected to go wrong is one line that says what to do; a defect of this program is
one line that names the file with the details.
"""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from typing import Annotated, Any, Final, NoReturn

import typer

from konkordat import __version__
from konkordat.cli import (
    cluster_commands,
    data_commands,
    hold_commands,
    local_commands,
    people_commands,
    place_commands,
    programme_commands,
    seats_commands,
    series_commands,
)
from konkordat.cli.exits import CommandError, ExitCode
from konkordat.cli.output import emit_json, say_error

HELP: Final = """
Several copies of your data, every one writable, no coordinator, and rules that hold anyway.

[bold]Begin with[/]  [cyan]konkordat demo[/]: five nodes keep one conference programme in agreement, before your eyes.

[bold]Then run your own:[/]

  [dim]$[/] konkordat key new-admin             [dim]# your key, and its hash for nodes[/]
  [dim]$[/] export KONKORDAT_ADMIN_KEY_HASH=…   [dim]# the hash[/]
  [dim]$[/] konkordat serve --name zurich --data ./zurich
  [dim]$[/] KONKORDAT_KEY=… konkordat key create --tenant forum
  [dim]$[/] export KONKORDAT_KEY=…              [dim]# the tenant's key[/]
  [dim]$[/] konkordat import programme.xml      [dim]# also JSON or iCalendar[/]
  [dim]$[/] konkordat status --watch
  [dim]$[/] konkordat free --on 2027-06-01      [dim]# then: book, hold, series, register[/]
"""
EPILOG: Final = (
    "[bold]Exit codes[/]  0 done · 1 an expectation is unmet · 2 wrong usage · 3 no node answered · 4 the node refused"
    " · 5 a file is unfit · 6 a started node failed · 70 a defect of this program · 130 interrupted;"
    " [cyan]serve[/]: 69 address in use · 73 data directory · 74 disk · 76 name taken · 78 configuration"
)

app = typer.Typer(
    name="konkordat",
    help=HELP,
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    local_commands,
    place_commands,
    hold_commands,
    series_commands,
    people_commands,
    cluster_commands,
    seats_commands,
    programme_commands,
    data_commands,
):
    module.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"konkordat {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the release."),
    ] = False,
) -> None:
    pass


def run() -> NoReturn:
    """The console entry: run the command that the arguments name, and exit."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: list[str]) -> int:
    """Run one command; the exit code comes back, never an exception."""
    try:
        result = app(arguments, prog_name="konkordat", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else ExitCode.OK
    except BrokenPipeError:
        return _unread()
    except SystemExit as end:
        # Typer turns a closed pipe into exit code 1.
        if isinstance(end.__context__, BrokenPipeError):
            return _unread()
        raise
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 -- the last resort: whatever it is, one line and a code
        failure = _expected(error) or _defect(error)
        say_error(failure.message)
        if "--json" in arguments:
            told: dict[str, Any] = {
                "code": failure.kind,
                "detail": failure.message,
                "exit_code": failure.code,
            }
            emit_json({"error": told | dict(failure.more)})
        return failure.code


def _unread() -> int:
    """Whoever read us (`| head`) has seen enough. Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return ExitCode.OK


def _expected(error: Exception) -> CommandError | None:
    """The error as a line and a code, if it is of a kind that the world brings about."""
    if isinstance(error, CommandError):
        return error
    if isinstance(error, typer.TyperException):
        return _usage(error)
    from konkordat.cli.failures import failure_of

    return failure_of(error)


def _usage(error: Any) -> CommandError:
    """What the parser of arguments says, and where help is."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "konkordat"
    # Of a group without a command the parser shows the help, and says nothing.
    said = error.format_message().rstrip() or "Say which of its commands"
    ended = said if said.endswith((".", "?", "!")) else f"{said}."
    message = f"{ended} See: {command} --help"
    return CommandError(message, ExitCode.USAGE, "usage")


def _defect(error: Exception) -> CommandError:
    """An error that nobody foresaw: details into a file, for a report."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="konkordat-defect-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        # Without the arguments: a key could be among them.
        file.write(f"konkordat {__version__}, Python {sys.version}\n\n")
        file.write("".join(traceback.format_exception(error)))
    message = (
        f"A defect of this program ended the command ({type(error).__name__}). The details are in {file.name};"
        " please report it with that file."
    )
    return CommandError(message, ExitCode.DEFECT, "defect")
