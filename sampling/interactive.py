"""The interactive mode of sample.py: type a text, read on as the model continues it."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path

from sampling.config import SampleConfig, Sampling
from system.command_line import parse_config
from system.errors import UserError, print_error

COMMANDS = """\
/again              continue the same text once more, differently
/save FILE          add the last text to a file
/temperature 0.5    change a setting; so too {names}
                    (/stop alone: none)
/settings           show the settings
/quit               end, as Ctrl-D does; Ctrl-C ends a text that is being written"""
SETTINGS = [field.name for field in fields(Sampling) if field.name != "n_samples"] + ["stop"]


@dataclass
class Interactive:
    """A session at a terminal. `write` yields the pieces of the sample with a number that continues a prompt."""

    config: SampleConfig
    write: Callable[[SampleConfig, str, int], Iterator[str]]
    read_line: Callable[[str], str] = input
    prompt: str | None = None
    number: int = 0  # of the prompt's continuations so far
    last_text: str = ""

    def run(self) -> None:
        """Read lines and continue them, until /quit or Ctrl-D."""
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  arrow keys edit the line and bring back earlier ones
        print("Type a text to continue, /help for the commands, Ctrl-D to end.")
        while True:
            try:
                line = self.read_line("> ")
            except KeyboardInterrupt:
                print()
                continue
            except UnicodeDecodeError:
                print_error("the line is not UTF-8: type it again")
                continue
            except EOFError:
                print()
                return
            if line.split() == ["/quit"]:
                return
            try:
                self._answer(line)
            except UserError as error:
                print_error(error)
            except UnicodeEncodeError:  # half a character, as backspace may leave it
                print_error("the line is not UTF-8: type it again")

    def _answer(self, line: str) -> None:
        command, _, value = line.rstrip().partition(" ")
        if not line.startswith("/"):
            self._continue(line, number=0)
        elif command == "/again":
            if self.prompt is None:
                raise UserError("/again: there is no text yet: type one first")
            self._continue(self.prompt, self.number + 1)
        elif command == "/save":
            self._save(value.strip())
        elif command == "/help":
            print(COMMANDS.format(names=", ".join(f"/{name}" for name in SETTINGS if name != "temperature")))
        elif command == "/settings":
            print("  ".join(f"{name}={self._value(name)!r}" for name in SETTINGS))
        elif command == "/stop":
            self.config = replace(self.config, stop=value)
            print(f"stop={value!r}")
        elif command[1:] in SETTINGS:
            self.config = parse_config(self.config, [f"--{command[1:]}={value.strip()}"], "")
            print(f"{command[1:]}={self._value(command[1:])!r}")
        else:
            raise UserError(
                f"unknown command {command}: /help lists them; to continue a text that begins with /, type a space before it"
            )

    def _value(self, name: str) -> object:
        return getattr(self.config if name == "stop" else self.config.sampling, name)

    def _continue(self, prompt: str, number: int) -> None:
        """Write a text. Ctrl-C ends it early."""
        self.prompt, self.number, self.last_text = prompt, number, prompt
        print(prompt, end="", flush=True)
        try:
            for piece in self.write(self.config, prompt, number):
                self.last_text += piece
                print(piece, end="", flush=True)
        except KeyboardInterrupt:
            pass
        finally:
            print()

    def _save(self, name: str) -> None:
        if not self.last_text:
            raise UserError("/save: there is no text yet: type one first")
        if not name:
            raise UserError("/save: name a file, as in /save story.txt")
        try:
            with Path(name).expanduser().open("a", encoding="utf-8") as file:
                file.write(self.last_text + "\n")
        except (OSError, RuntimeError, ValueError) as error:  # no such user, a null character
            reason = getattr(error, "strerror", None) or error
            raise UserError(f"/save {name}: {reason}: name another file") from None
        print(f"added to {name}")
