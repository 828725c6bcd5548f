"""The interactive mode of sample.py: type a text, read on as the model continues it."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sampling.config import SampleConfig, Sampling
from system.command_line import parse_config
from system.errors import UserError, print_error

if TYPE_CHECKING:
    from sampling.chat import Message

COMMANDS = """\
/again              continue the same text once more, differently
/save FILE          add the last text to a file
/temperature 0.5    change a setting; so too {names}
                    (/stop alone: none)
/settings           show the settings
/new                begin another chat, with a chat model
/quit               end, as Ctrl-D does; Ctrl-C ends a text that is being written"""
FIXED = [setting.name for setting in fields(SampleConfig) if setting.name not in ("sampling", "stop")]
SETTINGS = [setting.name for setting in fields(Sampling) if setting.name != "n_samples"] + ["stop"]


def message(role: str, content: str) -> "Message":
    """Return a message of a chat."""
    return {"role": role, "content": content}


@dataclass
class Interactive:
    """A session at a terminal. `write` yields the pieces of the sample with a number that continues a prompt."""

    config: SampleConfig
    write: Callable[[SampleConfig, "str | list[Message]", int], Iterator[str]]
    read_line: Callable[[str], str] = input
    is_chat: bool = False  # a line is a message, which the model answers, knowing those before
    messages: "list[Message]" = field(default_factory=list)  # before the prompt, of a chat
    prompt: str | None = None
    number: int = 0  # of the prompt's continuations so far
    last_text: str = ""  # what was written last: in a chat the answer, else with the prompt

    def run(self) -> None:
        """Read lines and continue them, until /quit or Ctrl-D."""
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  arrow keys edit the line and bring back earlier ones
        what = "a message" if self.is_chat else "a text to continue"
        print(f"Type {what}, /help for the commands, Ctrl-D to end.")
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
        if not line.strip():
            return
        if not line.startswith("/"):
            self._continue(line, number=0)
        elif command == "/again":
            if self.prompt is None:
                raise UserError("/again: there is no text yet: type one first")
            if not self.config.sampling.temperature:
                print("note: temperature=0 always gives the same text")
            self._continue(self.prompt, self.number + 1)
        elif command == "/save":
            self._save(value.strip())
        elif command == "/new":
            if not self.is_chat:
                raise UserError("/new: this is no chat: each line is a text of its own")
            self.messages, self.prompt, self.last_text = [], None, ""
        elif command == "/help":
            print(COMMANDS.format(names=", ".join(f"/{name}" for name in SETTINGS if name != "temperature")))
        elif command == "/settings":
            print("  ".join(f"{name}={self._value(name)!r}" for name in SETTINGS))
        elif command == "/stop":
            self.config = replace(self.config, stop=value)
            print(f"stop={value!r}")
        elif command[1:] in SETTINGS and not value.strip():
            raise UserError(f"{command}: name a value, as in {command} {self._value(command[1:])}")
        elif command[1:] in SETTINGS:
            self.config = parse_config(self.config, [f"--{command[1:]}={value.strip()}"], "")
            print(f"{command[1:]}={self._value(command[1:])!r}")
        elif command[1:] in FIXED:
            raise UserError(
                f"{command} is fixed for the session: end it, and start another with --{command[1:]}=..."
            )
        else:
            raise UserError(
                f"unknown command {command}: /help lists them; to continue a text that begins with /, type a space before it"
            )

    def _value(self, name: str) -> object:
        return getattr(self.config if name == "stop" else self.config.sampling, name)

    def _continue(self, prompt: str, number: int) -> None:
        """Write a text, or an answer. Ctrl-C ends it early."""
        if self.is_chat and self.prompt is not None and number == 0:
            self.messages += message("user", self.prompt), message("assistant", self.last_text)
        self.prompt, self.number, self.last_text = prompt, number, "" if self.is_chat else prompt
        print(self.last_text, end="", flush=True)
        asked = [*self.messages, message("user", prompt)] if self.is_chat else prompt
        try:
            for piece in self.write(self.config, asked, number):
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
