"""Arguments to commands by tyro, with faults told in one line."""

from __future__ import annotations

import ast
import difflib
import io
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import ModuleType, NoneType
from typing import Annotated, Any, Protocol, TypeVar, get_args, get_type_hints

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from scanweave.errors import ScanweaveError
from scanweave.files import refuse_absent
from scanweave.wording import choice


class Command(Protocol):
    """A parsed command line that can be run."""

    def run(self) -> int:
        """Do it, and return the exit status."""


@dataclass(frozen=True)
class Holding:
    """Mark of a field that names folders which must be there: the file that tells a folder of this kind.

    Attributes:
        file: Its name.
        or_file: Ending of a file that may stand in a folder's place; empty: none may.
    """

    file: str
    or_file: str = ""


CohortFolder = Annotated[Path, Holding("cohort.json")]
RunFolder = Annotated[Path, Holding("config.json")]
RunOrModel = Annotated[Path, Holding("config.json", ".onnx")]
T = TypeVar("T")
LIKE = 0.7
"""Likeness, at most 1, from which an unknown option counts as a known one that was mistyped."""
_PLAIN = ConstructorRegistry()


@_PLAIN.primitive_rule
def _optional(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Parse `X | None` as X, so that neither help nor faults offer None: leaving the option out says it."""
    kinds = [kind for kind in get_args(info.type) if kind is not NoneType]
    if len(kinds) != 1 or NoneType not in get_args(info.type):
        return None
    spec = ConstructorRegistry.get_primitive_spec(PrimitiveTypeInfo.make(kinds[0], info.markers))
    if not isinstance(spec, PrimitiveConstructorSpec):
        return None
    shown = spec.str_from_instance
    return replace(
        spec,
        is_instance=lambda value: value is None or spec.is_instance(value),
        str_from_instance=lambda value: ["none"] if value is None else shown(value),
    )


def run_verb(module: ModuleType, program: str, arguments: list[str]) -> int:
    """Run the verb in `module`: its `main`, one of its `COMMANDS`, or its `COMMAND`."""
    if hasattr(module, "main"):
        main: Callable[[str, list[str]], int] = module.main
        return main(program, arguments)
    commands: dict[str, type[Command]] | None = getattr(module, "COMMANDS", None)
    if commands is None:
        return _started(parse(module.COMMAND, program, arguments)[0], program)
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help"):
        width = max(8, *(len(name) + 2 for name in commands))
        lines = [f"  {name:<{width}}{(command.__doc__ or '').splitlines()[0]}" for name, command in commands.items()]
        print("\n".join([f"usage: {program} {{{','.join(commands)}}} [OPTIONS]", "", *lines]))
        return 0
    if name not in commands:
        raise ScanweaveError(program, f"there is no '{name}'", choice(name, commands))
    return _started(parse(commands[name], f"{program} {name}", rest)[0], f"{program} {name}")


def first_line(command: Any, program: str) -> str:
    """Return what a command was asked to work on, such as "evaluate: run runs/glioma · cohort glioma"; may be empty."""
    hints = get_type_hints(type(command), include_extras=True)
    named = {_option(field.name, hints): getattr(command, field.name) for field in fields(command)}
    paths = [f"{name} {value}" for name, value in named.items() if isinstance(value, Path)]
    return f"{program.partition(' ')[2]}: {' · '.join(paths)}" if paths else ""


def _started(command: Any, program: str) -> int:
    """Run a command, after a line that tells that it began: what it needs may take seconds to load."""
    refuse_absent_folders(command)
    line = first_line(command, program)
    if line and not getattr(command, "json", False):
        print(line, flush=True)
    return command.run()


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
    _refuse_unknown(command, program, arguments, extra)
    words = io.StringIO()
    try:
        with _PLAIN, redirect_stderr(words):
            if extra:
                parsed, rest = tyro.cli(command, prog=program, args=arguments, return_unknown_args=True)
            else:
                parsed, rest = tyro.cli(command, prog=program, args=arguments), []
    except SystemExit as stop:
        if not stop.code:
            raise
        raise ScanweaveError(program, _one_line(words.getvalue()), f"See {program} --help") from None
    return parsed, rest


def refuse_absent_folders(command: Any) -> None:
    """Refuse a cohort or run that is not there, before anything is loaded.

    Raises:
        ScanweaveError: Names the folder, and the one that may be meant.
    """
    hints = get_type_hints(type(command), include_extras=True)
    for field in fields(command):
        held, value = _held(hints[field.name]), getattr(command, field.name)
        if held is None:
            continue
        for folder in value if isinstance(value, tuple) else (value,):
            if not isinstance(folder, Path) or str(folder).startswith("builtin:"):
                continue
            if not (held.or_file and folder.suffix.lower() == held.or_file):
                refuse_absent(folder, held.file)


def _held(hint: Any) -> Holding | None:
    """Return the mark of a field's type, or of what it holds one or several of."""
    marks = [mark for mark in getattr(hint, "__metadata__", ()) if isinstance(mark, Holding)]
    return next(iter(marks or filter(None, map(_held, get_args(hint)))), None)


def show_help(settings: Any, program: str, without: Collection[str] = ()) -> None:
    """Print every field of `settings`, its meaning and its value.

    Args:
        settings: Their values are shown.
        program: What the user typed before the arguments.
        without: Fields that the verb's own help tells already.
    """
    words = io.TextIOWrapper(io.BytesIO(), encoding=sys.stdout.encoding, errors=sys.stdout.errors, write_through=True)
    try:
        with _PLAIN, redirect_stdout(words):
            tyro.cli(
                type(settings),
                default=settings,
                prog=program,
                args=["--help"],
                config=(tyro.conf.FlagConversionOff,),
            )
    except SystemExit:
        words.seek(0)
        told = words.read().split("\n\n", 2)[-1]  # without the usage and the docstring for programmers
        print(_without_options(told, {"help", *without}), end="")


def _without_options(text: str, names: Collection[str]) -> str:
    """Return help as tyro draws it without the rows of some options."""
    kept, dropped = [], False
    for line in text.splitlines(keepends=True):
        option = re.match(r"\W? (?:-h, )?--([\w.-]+)", line)
        if option:
            dropped = option[1] in names
        elif not re.match(r"\W? {4,}\S", line):
            dropped = False
        kept += [] if dropped else [line]
    return "".join(kept)


def parse_fields(arguments: list[str], *, flags: bool = False) -> dict[str, Any]:
    """Return options as values by name.

    `--training.steps 100 --network.channels 8 16` is `{"training.steps": 100, "network.channels": [8, 16]}`.

    Args:
        arguments: What the user typed.
        flags: Whether a name may stand alone: `--include-self` is true, `--no-include-self` false.

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
    for name in [name for name, values in fields.items() if flags and not values]:
        del fields[name]
        fields[name.removeprefix("no_")] = [not name.startswith("no_")]
    for name, values in fields.items():
        if not values:
            raise ScanweaveError(f"--{name}", "has no value", f"Write --{name} VALUE")
    return {name: values[0] if len(values) == 1 else values for name, values in fields.items()}


def _literal(word: str) -> Any:
    try:
        return ast.literal_eval(word)
    except (ValueError, SyntaxError):
        return word


def _refuse_unknown(command: type, program: str, arguments: list[str], extra: bool) -> None:
    """Name an option that `command` does not have; if others are allowed, one that resembles its own."""
    known = ["--help", *_options(command)]
    for word in arguments:
        option = word.partition("=")[0].replace("_", "-")
        if not option.startswith("--") or option in known:
            continue
        near = difflib.get_close_matches(option, known, n=1, cutoff=LIKE)
        if not extra or (near and "." not in option):
            step = f"Did you mean {near[0]}" if near else f"See {program} --help"
            raise ScanweaveError(program, f"there is no option {option}", step)


def _options(command: type) -> Iterator[str]:
    hints = get_type_hints(command, include_extras=True)
    for field in fields(command):
        name = _option(field.name, hints)
        yield f"--{name}"
        if hints[field.name] is bool:
            yield f"--no-{name}"


def _option(field: str, hints: Mapping[str, Any]) -> str:
    """Return what the user calls a field of a command."""
    marks = getattr(hints[field], "__metadata__", ())
    named = (getattr(mark, "name", None) for mark in marks if isinstance(mark, type(tyro.conf.arg())))
    return (next(named, None) or field).replace("_", "-")


def _one_line(box: str) -> str:
    """Return the reason from tyro's box of words, drawn in Unicode or ASCII."""
    missing, _, unknown = box.partition("For full help")[0].partition("Unrecognized options")
    needed, left = (re.findall(r"^[│ ] {5}(\S+)", part, re.MULTILINE) for part in (missing, unknown))
    if "Missing from" in missing and needed:
        said = f"needs {' and '.join(', '.join(needed).rsplit(', ', 1))}"
        return f"{said}, and {left[0]!r} belongs to no option" if left else said
    plain = "╭" not in box  # then the title is a line of its own, above a rule
    lines = [line.strip(" │") for line in box.splitlines() if line and line[0] not in "╭╰"][2 * plain :]
    rules = [number for number, line in enumerate(lines) if line and not line.strip("─-")]
    return " ".join(lines[: rules[0]] if rules else lines)
