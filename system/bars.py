"""What progress bars look like. Imported with the first one that is shown, as rich takes as long to load as a short command."""

from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

WITH_BAR = 60  # columns have room for more than texts


class Cropped(TextColumn):
    """A text that is cropped, the longest first, where the terminal has no room for all."""

    def render(self, task: Task) -> Text:
        """Return the text of a bar."""
        text = super().render(task)
        text.no_wrap, text.overflow = True, "crop"
        return text


def open_bars(terminal: TextIO) -> Progress:
    """Return a display, still empty, in the last lines of a terminal. It draws when told to, as no thread is started."""
    console = Console(file=terminal, force_terminal=True, force_interactive=True)
    columns = [
        Cropped("{task.description}", markup=False, table_column=Column()),
        BarColumn(console.width // 10, table_column=Column(no_wrap=True)),
        TextColumn("{task.percentage:>3.0f}% eta", markup=False),
        TimeRemainingColumn(table_column=Column(no_wrap=True)),
        Cropped("{task.fields[figures]}", markup=False, table_column=Column()),
    ]
    if console.width < WITH_BAR:
        del columns[1]
    bars = Progress(
        *columns,
        console=console,
        auto_refresh=False,
        speed_estimate_period=3600,  # seconds, or the last 1000 updates if these took less
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with console:  # writes all at once
        bars.start()
        console.show_cursor(True)  # rich has hidden it; a killed process could not show it again
    return bars
