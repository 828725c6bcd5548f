"""The results: printed line by line as they come, and a section of a Markdown file."""

import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

from system import hardware
from system.errors import UserError, say

# Instructions that decide how fast matrices are multiplied, as Linux names them.
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "sve", "bf16")


class Report:
    """A section of the Markdown file `out` ("": none), which replaces an earlier one with the same title."""

    def __init__(self, title: str, out: str = "") -> None:
        self.out, self.lines = out, [f"## {title}"]
        self.has_figures = False  # until then an earlier section stays
        if out:
            self._surroundings()
            self._check_writable()  # before anything is measured, and without losing an earlier section

    def table(self, heading: str, *columns: str) -> None:
        """Begin a table."""
        say(f"\n{heading}: {', '.join(columns)}")
        self.lines += ["", f"**{heading}**", "", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]

    def row(self, name: str, *cells: str) -> None:
        """Add a row to the table."""
        say("  ".join([f"{name:28}", *cells]))
        self.lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in (name, *cells))} |")
        self.has_figures = True
        self._write()

    def paragraph(self, text: str) -> None:
        """Add a text."""
        say(text)
        self.lines += ["", text]
        self._write()

    def _surroundings(self) -> tuple[str, str]:
        """Read the file; return the text before and after the section of the same title, else all of it as before."""
        try:
            text = Path(self.out).read_text(encoding="utf-8") if Path(self.out).exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"out={self.out}: cannot read it ({error})", "choose another --out") from None
        section = re.compile(rf"^{re.escape(self.lines[0])}\n.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
        before, *after = section.split(text, maxsplit=1)
        return before.strip(), "".join(after).strip()

    def _check_writable(self) -> None:
        try:
            with Path(self.out).open("a"):
                pass
        except OSError as error:
            raise self._cannot_write(error) from None

    def _write(self) -> None:
        if not self.out or not self.has_figures:
            return
        before, after = self._surroundings()  # other sections may have been written meanwhile
        parts = (before, "\n".join(self.lines), after)
        try:
            Path(self.out).write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
        except OSError as error:
            raise self._cannot_write(error) from None

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(f"out={self.out}: cannot write it ({error.strerror})", "choose another --out")


def hardware_name(device: torch.device) -> str:
    """Return what a section's title calls this machine: its GPU, or without one its CPU."""
    return hardware.cpu_name() if device.type == "cpu" else hardware.describe(device)


def machine(device: torch.device) -> str:
    """Return what the figures depend on: CPU, cores, threads, instructions, GPU, torch, other programs."""
    flags = (hardware.cpu_field("flags") or hardware.cpu_field("Features")).split()
    instructions = " ".join(name for name in INSTRUCTIONS if name in flags) or "unknown instructions"
    gpu = f", {hardware.describe(device)}" if device.type != "cpu" else ""
    return (
        f"{hardware.cpu_name()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads ({instructions}){gpu},"
        f" Python {platform.python_version()}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f} before"
    )


def spread(values: Sequence[float], form: str = "{:,.0f}") -> str:
    """Return the median of the values with the smallest and the largest."""
    if len(values) == 1:
        return form.format(values[0])
    return f"{form.format(median(values))} ({form.format(min(values))} to {form.format(max(values))})"
