"""Arguments to commands by tyro, with faults told in one line."""

from __future__ import annotations

import ast
import io
from collections.abc import Callable
from contextlib import redirect_stderr
from types import ModuleType
from typing import Any, Protocol, TypeVar

import tyro

from scanweave.errors import ScanweaveError


class Command(Protocol):
    """A parsed command line that can be run."""

    def run(self) -> int:
        """Do it, and return the exit status."""


T = TypeVar("T")


def run_verb(module: ModuleType, program: str, arguments: list[str]) -> int:
    """Run the verb in `module`: its `main`, one of its `COMMANDS`, or its `COMMAND`."""
    if hasattr(module, "main"):
        main: Callable[[str, list[str]], int] = module.main
        return main(program, arguments)
    commands: dict[str, type[Command]] | None = getattr(module, "COMMANDS", None)
    if commands is None:
        return parse(module.COMMAND, program, arguments)[0].run()
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help"):
        width = max(8, *(len(name) + 2 for name in commands))
        lines = [f"  {name:<{width}}{(command.__doc__ or '').splitlines()[0]}" for name, command in commands.items()]
        print("\n".join([f"usage: {program} {{{','.join(commands)}}} [OPTIONS]", "", *lines]))
        return 0
    if name not in commands:
        raise ScanweaveError(program, f"there is no '{name}'", f"Choose one of {', '.join(commands)}")
    return parse(commands[name], f"{program} {name}", rest)[0].run()


def parse(command: type[T], program: str, arguments: list[str], *, extra: bool = False) -> tuple[T, list[str]]:
    """Parse `arguments` into `command`.

    Args:
        command: A dataclass; its field's docstrings are the help.
        program: What the user typed before the arguments.
        arguments: The rest.
        extra: Whether unknown arguments are returned, not refused.

    Raises:
        ScanweaveError: An argument is missing, unknown or of the wrong kind.
        SystemExit: Help was asked for.
    """
    words = io.StringIO()
    try:
        with redirect_stderr(words):
            if extra:
                return tyro.cli(command, prog=program, args=arguments, return_unknown_args=True)
            return tyro.cli(command, prog=program, args=arguments), []
    except SystemExit as stop:
        if not stop.code:
            raise
        reason, step = _one_line(words.getvalue())
        raise ScanweaveError(
            program, reason.replace(f"Missing from {program}:", "needs"), step or f"See {program} --help"
        ) from None


def show_help(settings: Any, program: str) -> None:
    """Print every field of `settings`, its meaning and its value."""
    try:
        tyro.cli(type(settings), default=settings, prog=program, args=["--help"], config=(tyro.conf.FlagConversionOff,))
    except SystemExit:
        return


def parse_fields(arguments: list[str]) -> dict[str, Any]:
    """`--training.steps 100 --network.channels 8 16` as `{"training.steps": 100, "network.channels": [8, 16]}`.

    Raises:
        ScanweaveError: A value without a name, or a name without a value.
    """
    fields: dict[str, list[Any]] = {}
    name = ""
    for word in arguments:
        if word.startswith("--"):
            option, equals, value = word[2:].partition("=")
            name = option.replace("-", "_")
            fields[name] = [_literal(value)] if equals else []
        elif not name:
            raise ScanweaveError(word, "is not an option", "Give settings as --name value, after the system's name")
        else:
            fields[name].append(_literal(word))
    for name, values in fields.items():
        if not values:
            raise ScanweaveError(f"--{name}", "has no value", f"Write --{name} VALUE")
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _literal(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word


def _one_line(box: str) -> tuple[str, str]:
    """The reason, and the option that was perhaps meant, from tyro's box of words, drawn in Unicode or ASCII."""
    plain = "╭" not in box  # then the title is a line of its own, above a rule
    lines = [line.strip(" │") for line in box.splitlines() if line and line[0] not in "╭╰"][2 * plain :]
    rules = [number for number, line in enumerate(lines) if line and not line.strip("─-")]
    reason = " ".join(lines[: rules[0]] if rules else lines)
    meant = next((lines[i + 1] for i, line in enumerate(lines[:-1]) if line.startswith("Perhaps you meant")), "")
    return reason, f"Did you mean {meant}" if meant else ""
