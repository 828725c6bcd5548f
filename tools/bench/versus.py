"""Our speed and a peer's, in turn, each time in a fresh process."""

import shlex
import sys
from collections.abc import Callable

from system.errors import UserError
from tools.bench.config import BenchCommand
from tools.bench.fresh import fresh_speed, output_of, tokens_per_second
from tools.report import Report, spread


def split(command: str, setting: str) -> list[str]:
    """Return the words of a setting that is a command or a part of one. Raises UserError if it cannot be split."""
    try:
        return shlex.split(command)
    except ValueError as error:
        raise UserError(f"{setting}={command}: {error}") from None


def peer_words(versus: str) -> list[str]:
    """Return the words of a peer's command. Raises UserError if there are none."""
    words = split(versus, "versus")
    if not words:
        raise UserError(f"versus={versus!r}: must be a command that prints tokens/s")
    return words


def compare_training(command: BenchCommand, report: Report) -> None:
    """Time our training and the peer's command in turn."""
    compare(command, report, lambda: fresh_speed(command.words, command.bench.seconds)[0])


def compare_sampling(command: BenchCommand, report: Report) -> None:
    """Time our sampling and the peer's command in turn."""
    words = [sys.executable, "-m", "tools.sampling_speed", "ours", *split(command.bench.sampling, "sampling")]
    compare(command, report, lambda: tokens_per_second(output_of(words, "our speed"), "our speed"))


def compare(command: BenchCommand, report: Report, our_speed: Callable[[], float]) -> None:
    """Time ours and the peer's command in turn; report the speeds of both and the ratios of the pairs."""
    words = peer_words(command.bench.versus)
    report.table(
        f"Against `{command.bench.versus}`", "repeat", "our tokens/s", "their tokens/s", "ours / theirs"
    )
    pairs = []
    for repeat in range(1, command.bench.repeats + 1):
        ours = our_speed()
        theirs = tokens_per_second(output_of(words, "the peer", ours=False), "the peer")
        if not theirs:
            raise UserError("the peer: its speed must be above 0 tokens/s")
        pairs.append((ours, theirs))
        form = "{:,.0f}" if min(ours, theirs) >= 100 else "{:,.3g}"
        report.row(str(repeat), form.format(ours), form.format(theirs), f"{ours / theirs:.2f}")
    ratios = [ours / theirs for ours, theirs in pairs]
    speeds = [spread([pair[side] for pair in pairs], form) for side in (0, 1)]
    report.row("median (smallest to largest)", *speeds, spread(ratios, "{:.2f}"))
