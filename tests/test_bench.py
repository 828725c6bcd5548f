"""The benchmark on a tiny network: what it reports, how it compares, what it answers to mistakes. No figure is checked."""

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import pytest
from conftest import one_line_error

from corpus.dataset import batch
from system.errors import UserError
from tools.bench import __main__ as bench
from tools.bench import fresh, made_up, sweep, training, versus
from tools.bench.config import parse_bench_command
from tools.bench.made_up import write_made_up_data
from tools.bench.trainer import PARTS, Trainer
from tools.report import Report, spread
from training.config import parse_train_config
from training.run import open_data

CONFIG = """
from training.config import GPTConfig, TrainConfig
config = TrainConfig(
    model=GPTConfig(vocab_size=300, block_size=16, n_layer=1, n_head=2, n_embd=16),
    batch_size=4, micro_batch_size=2, device="cpu", precision="float32", attention="math", compile=False
)
"""
NUMBER = r"[\d,.]+"
SPREAD = rf"{NUMBER} \({NUMBER} to {NUMBER}\)"
OURS = [sys.executable, "-m", "tools.bench", "speed"]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(made_up, "N_TOKENS", 10_000)
    path = tmp_path / "tiny.py"
    path.write_text(CONFIG)
    return str(path)


def run_bench(*argv: str) -> None:
    bench.main(parse_bench_command([*argv, "--seconds=0.01", "--repeats=2"], ""))


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure our speed in this process instead of a fresh one; compiling, which takes long, fails."""
    output_of = fresh.output_of

    def run(words: Sequence[str], name: str, *, ours: bool = True) -> str:
        if list(words[:4]) != OURS:
            return output_of(words, name, ours=ours)
        if "--compile=True" in words:
            raise UserError("no compiler here")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            bench.main(parse_bench_command(words[3:], ""))
        return printed.getvalue()

    for module in (fresh, versus):
        monkeypatch.setattr(module, "output_of", run)


def test_training_is_reported(
    tiny: str,
    in_this_process: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    started: list[tuple[Sequence[str], Path]] = []
    monkeypatch.setattr(
        training, "startup_seconds", lambda words, out: started.append((words, out)) or 1.0 * len(started)
    )
    out = tmp_path / "benchmarks.md"
    out.write_text("# Benchmarks\n\nHow to run them.\n\n## another\n\n| a |\n")
    monkeypatch.setattr(sweep, "PASSES", 1)
    run_bench("train", tiny, f"--out={out}", "--batch_size=8")
    written = out.read_text()
    assert written.startswith("# Benchmarks\n\nHow to run them.\n\n## another\n\n| a |\n\n## train, tiny, ")
    assert written.count("\n## ") == 2
    for row in (
        r"batch | 8 sequences x 16 = 128 tokens a step: processes 1 x accumulation 4 x micro-batch 2",
        rf"speed | {SPREAD} tokens/s in 2 x \d+ steps",
        rf"fastest matrix product | {SPREAD} GFLOP/s, measured in turn with the steps, 32 x 16 x \d+",
        r"training's share of it | [\d.]+% \([\d.]+% to [\d.]+%\)",
        r"share of published peak | no peak is known for this device and precision",
        rf"time per step | {NUMBER} ms: data {NUMBER} ms \({NUMBER}%\), forward .* backward .* optimizer .*",
        r"peak memory | [\d.]+ GiB",
        r"start to first step | 1\.5 \(1\.0 to 2\.0\) s of a train\.py process",
        rf"attention=sdpa | {NUMBER} | [\d.]+ GiB",
        r"compile=True | does not work here: no compiler here | ",
        *(rf"micro_batch_size={size} | {NUMBER} | [\d.]+ GiB" for size in (1, 2, 4, 8)),
    ):
        assert re.search(f"^\\| {row.replace(' | ', ' [|] ')} \\|$", written, re.MULTILINE), row
    operations = written.split("costliest operations**")[1].split("**")[0].strip().splitlines()[2:]
    assert len(operations) == 10
    assert all(re.fullmatch(r"\| .+ \| [\d.]+% \| [\d,]+ \|", row) for row in operations), operations
    assert "aten::" in str(operations)  # which ones, in so small a network, depends on the machine
    [best] = re.findall("Best: `(.*)`", written)
    python, script, *words = shlex.split(best)
    chosen = parse_train_config(words, "")
    assert (python, script, words[0]) == ("python", "train.py", tiny)
    assert (chosen.sequences_per_step, chosen.compile) == (8, False)
    assert started[0][1] != started[-1][1]  # a new run each time
    printed = capsys.readouterr().out
    assert f"Best: `{best}`" in printed
    assert "torch" in printed.splitlines()[0]


def test_speed_is_printed_for_those_who_compare(tiny: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_bench("speed", tiny)
    found = capsys.readouterr().out
    assert fresh.tokens_per_second(found, "") > 0
    assert float(re.search(r"([\d.]+) GiB at most", found)[1]) > 0.05


def test_data_and_sampling_are_reported(tiny: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_bench("data", tiny, "--compile=True")
    run_bench("sample", tiny)
    printed = capsys.readouterr().out
    for row in (
        rf"tokens/s read for training +{SPREAD} tokens/s",
        rf"windows/s +{SPREAD}",
        rf"micro-batches/s of 2 +{SPREAD}",
        rf"articles/s prepared +{SPREAD}",
        rf"1 +{SPREAD} tokens/s, float32 \(requested\), kernel \w+",
        rf"8 +{SPREAD} tokens/s, float32 \(requested\), kernel \w+",
    ):
        assert re.search(f"^{row}$", printed, re.MULTILINE), row


def test_all_is_the_three(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[str] = []
    for part in bench.PARTS:
        monkeypatch.setitem(bench.PARTS, part, lambda *_, part=part: run.append(part))
    run_bench("all", tiny)
    assert run == ["train", "data", "sample"]


def test_a_peer_is_timed_in_turn(
    tiny: str, in_this_process: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The peer is run without a shell, and the ratio is that of each pair."""
    (tmp_path / "peer.py").write_text(
        "import sys\nprint('1 tokens/s')\nprint('step 9 | tokens/s: 2,000.5', sys.argv)"
    )
    run_bench("speed", tiny, f"--versus={shlex.quote(sys.executable)} {tmp_path / 'peer.py'} '$HOME | x'")
    rows = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    pairs = [row for row in rows if row[0] in ("1", "2")]
    assert [row[2] for row in pairs] == ["2,000", "2,000"]
    for _, ours, theirs, ratio in pairs:
        speeds = [float(text.replace(",", "")) for text in (ours, theirs)]
        assert float(ratio) == pytest.approx(speeds[0] / speeds[1], abs=0.01)
    assert rows[-1][0].startswith("median")
    assert float(rows[-1][3].split()[0]) == pytest.approx(median(float(row[3]) for row in pairs), abs=0.011)


def test_sampling_is_compared_with_its_own_settings(
    tiny: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def output(words: Sequence[str], name: str, *, ours: bool = True) -> str:
        asked.append(list(words))
        return "2.5 tokens/s" if ours else "2 tokens/s"

    monkeypatch.setattr(versus, "output_of", output)
    run_bench("sample", tiny, "--sampling=--model='a folder' --n_samples=8", "--versus=their program")
    ours = [sys.executable, "-m", "tools.sampling_speed", "ours", "--model=a folder", "--n_samples=8"]
    assert asked == [ours, ["their", "program"]] * 2
    row = re.split("  +", capsys.readouterr().out.splitlines()[-2])
    assert row == ["2", "2.5", "2", "1.25"]


@pytest.mark.parametrize(
    ("peer", "message"),
    [
        ("print('no speed')", r"the peer must print its speed as .*: its last line is 'no speed'$"),
        ("print('a\\nno CUDA'); raise SystemExit(3)", r"the peer failed with status 3: no CUDA$"),
        ("print('0 tokens/s')", r"the peer: its speed must be above 0 tokens/s$"),
    ],
)
def test_a_peer_that_fails_is_one_line(
    peer: str, message: str, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versus, "fresh_speed", lambda *_: (5.0, ""))
    (tmp_path / "peer.py").write_text(peer)
    with pytest.raises(UserError, match=message):
        run_bench("speed", tiny, f"--versus={sys.executable} {tmp_path / 'peer.py'}")


def test_a_peer_that_does_not_exist_is_one_line(tiny: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versus, "fresh_speed", lambda *_: (5.0, ""))
    with pytest.raises(UserError, match=r"^the peer: cannot start 'nothing.here' \(No such file"):
        run_bench("speed", tiny, "--versus=nothing.here")
    for wrong in ("python 'x", " "):
        with pytest.raises(UserError, match=r"^versus="):
            run_bench("train", tiny, f"--versus={wrong}")  # before anything is measured


@pytest.mark.parametrize(
    ("output", "speed"),
    [
        ("12 tokens/s\n1,234.5 tokens/s | 3 min left", 1234.5),
        ("tokens/s: 7", 7),
        ("tokens/s = 1.5e3 on 2 threads", 1500),
        ("loss 3.1 | 99 tokens/s", 99),
    ],
)
def test_the_last_speed_counts(output: str, speed: float) -> None:
    assert fresh.tokens_per_second(output, "") == speed


def test_start_is_timed_until_the_first_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is killed then, and one that ends before is an error."""
    script = tmp_path / "train.py"
    monkeypatch.setattr(fresh, "ROOT", tmp_path)
    script.write_text(
        "import os, sys, time\nopen('pid', 'w').write(str(os.getpid()))\nassert '--eval_interval=1' in sys.argv\n"
        "print('the first step took 0.1 s', flush=True)\ntime.sleep(20)\nopen('ended', 'w')"
    )
    monkeypatch.chdir(tmp_path)
    assert 0 < fresh.startup_seconds(["x.py"], tmp_path / "run") < 20
    assert not (tmp_path / "ended").exists()
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()
    script.write_text("print('data ...'); raise SystemExit('error: no such network')")
    with pytest.raises(UserError, match=r"train\.py ended before its first step: no such network"):
        fresh.startup_seconds(["x.py"], tmp_path / "run")


def test_peak_memory_is_that_of_training_and_not_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    output = "`command` on cuda (H100, 79 GiB).\ntraining  1,234.5 tokens/s, 3.21 GiB at most\n"
    monkeypatch.setattr(fresh, "output_of", lambda *_: output)
    assert fresh.fresh_speed(["x.py"], 1.0) == (1234.5, "3.21 GiB")


def test_an_earlier_section_stays_until_there_are_figures(tmp_path: Path) -> None:
    out = tmp_path / "page.md"
    out.write_text("# Page\n\n## x\n\n| old |\n")
    report = Report("x", str(out))
    report.paragraph("on a machine")
    report.table("Speed", "what", "figure")
    assert "old" in out.read_text()
    report.row("training", "1")
    assert "old" not in out.read_text()
    assert "on a machine" in out.read_text()


def test_the_first_line_that_a_start_waits_for_is_the_logs() -> None:
    assert fresh.FIRST_STEP in (fresh.ROOT / "training/log.py").read_text()


def test_the_fastest_settings_are_kept(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A later setting is tried with the best earlier one, and a gain within the noise changes nothing."""
    tried: list[dict[str, str]] = []

    def speed(words: Sequence[str], _seconds: float) -> tuple[float, str]:
        tried.append(dict(word.removeprefix("--").split("=") for word in words[1:]))
        faster = (tried[-1].get("attention") == "sdpa") + (tried[-1]["micro_batch_size"] == "4")
        return 100 * 1.5**faster * (1.02 if tried[-1]["compile"] == "True" else 1), "1 GiB"

    monkeypatch.setattr(sweep, "fresh_speed", speed)
    command = parse_bench_command(["train", tiny], "")
    choices = sweep.choices_of(Trainer(command.training, tmp_path))
    choices.supported["precision"] = ["float32", "bfloat16"]  # on any CPU
    sweep.sweep(command, choices, Report("x"))
    assert tried[-1]["attention"] == "sdpa"
    best = parse_train_config(shlex.split(capsys.readouterr().out.split("`")[1])[2:], "")
    assert (best.attention, best.compile, best.micro_batch_size) == ("sdpa", False, 4)
    values = [words.get("attention") for words in tried if words["compile"] == "False"]
    assert values[0] is None  # while precisions are tried: flash does not exist in float32
    assert ["math", "sdpa", "math", "sdpa"] in [values[n : n + 4] for n in range(len(values))]  # in turn


def test_parts_are_those_of_train_steps(tiny: str, tmp_path: Path) -> None:
    trainer = Trainer(parse_bench_command(["train", tiny], "").training, tmp_path)
    before = [weight.detach().clone() for weight in trainer.learner.model.parameters()]
    parts = trainer.seconds_by_part(2)
    assert tuple(parts) == PARTS
    assert all(seconds > 0 for seconds in parts.values())
    assert (trainer.progress.step, trainer.progress.sequences) == (2, 8)
    after = list(trainer.learner.model.parameters())
    assert any((old != new).any() for old, new in zip(before, after, strict=True))
    assert not any(weight._post_accumulate_grad_hooks for weight in after)


@pytest.mark.parametrize("vocab_size", [2, 257, 66_000])
def test_made_up_tokens_fill_the_vocabulary(vocab_size: int, tmp_path: Path) -> None:
    write_made_up_data(tmp_path / "data", vocab_size, block_size=8)
    found = open_data(str(tmp_path / "data"))
    assert found.tokenizer.vocab_size == vocab_size
    inputs, _ = batch(found.train, found.train.training_starts(8, 1, 0, 20_000), 8)
    assert inputs.max() > 0.99 * (vocab_size - 1)
    assert len(found.val.validation_starts(8, None)) > 0


def test_data_that_are_missing_name_the_command_that_makes_them(tiny: str, tmp_path: Path) -> None:
    words = ["data", tiny, "--vocab_size=0", f"--data_dir={tmp_path / 'none'}"]
    with pytest.raises(
        UserError, match=r"no manifest.json in .*none: run `.*` first, or set --vocab_size to"
    ):
        run_bench(*words)


def test_data_of_ones_own_are_used_without_a_vocab_size(tiny: str, data_dir: Path, tmp_path: Path) -> None:
    command = parse_bench_command(["train", tiny, "--vocab_size=0", f"--data_dir={data_dir}"], "")
    trainer = Trainer(command.training, tmp_path)
    assert trainer.run.config.model.vocab_size == 257
    assert Path(trainer.run.config.data_dir) == data_dir


def test_flash_attention_is_not_tried_where_another_precision_is_faster(
    tiny: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, tried = parse_bench_command(["train", tiny], ""), list[str]()

    def speed(words: Sequence[str], _seconds: float) -> tuple[float, str]:
        tried.append(" ".join(words))
        return (200 if "--precision=tf32" in words else 100), "1 GiB"

    monkeypatch.setattr(sweep, "fresh_speed", speed)
    current: dict[str, object] = {"precision": "bfloat16", "attention": "flash"}
    sweep.sweep(command, sweep.Choices(current, {"precision": ["tf32"], "attention": ["sdpa"]}), Report("x"))
    assert "--precision=tf32" in tried[-1]
    assert not any("--attention=flash" in words for words in tried)


def test_command_lines() -> None:
    command = parse_bench_command(
        ["sample", "--out", "x.md", "--n-layer", "2", "configs/debug.py", "--sweep"], ""
    )
    assert (command.bench.part, command.bench.out, command.bench.sweep) == ("sample", "x.md", True)
    assert command.bench.config == "configs/debug.py"
    assert (command.training.model.n_layer, command.training.model.n_embd) == (2, 64)
    assert parse_train_config(command.words, "") == command.training
    assert parse_bench_command([], "").bench.part == "all"
    for word in ("--sweep", "--overwrite"):  # a boolean of the tool and one of train.py
        assert parse_bench_command(["speed", word, "configs/debug.py"], "").bench.config == "configs/debug.py"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "part=trian: must be train, data, sample, all or speed"),
        (["train", "--repeat=3"], "unknown setting --repeat: did you mean repeats?"),
        (["train", "--n_layr=3"], "unknown setting --n_layr: did you mean n_layer?"),
        (
            ["train", "--config=configs/demoo.py"],
            "no config file configs/demoo.py: did you mean configs/demo.py?",
        ),
        (["train", "--repeats=0"], "repeats=0: must be at least 1"),
        (["train", "--seconds=0"], "seconds=0.0: must be above 0"),
        (["data", "--versus=x"], "versus=x: reading data is not compared: use train, sample, all or speed"),
        (
            ["sample", "--versus=x"],
            "versus and sampling belong together: set both to compare sampling, or none",
        ),
        (["train", "--n_layer=0"], "n_layer=0: must be at least 1"),
    ],
)
def test_mistakes_are_named(argv: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        parse_bench_command(argv, "")
    assert str(error.value) == message


def test_a_file_that_cannot_be_written_is_known_at_once(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "x.md"):
        with pytest.raises(UserError, match=f"^out={path}: cannot"):
            Report("x", str(path))


def test_a_section_is_replaced_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    path.write_text("# All\n\n## a.b\n\nold\n\n## axb\n\nkept\n")
    report = Report("a.b", str(path))
    report.table("T", "x", "y")
    path.write_text(path.read_text().replace("kept", "written meanwhile"))
    report.row("1", "2|3")
    assert (
        path.read_text()
        == "# All\n\n## a.b\n\n**T**\n\n| x | y |\n|---|---|\n| 1 | 2/3 |\n\n## axb\n\nwritten meanwhile\n"
    )


def test_spread_is_median_and_range() -> None:
    assert spread([3, 1000, 5000]) == "1,000 (3 to 5,000)"
    assert spread([0.123], "{:.1%}") == "12.3%"


@pytest.mark.long
def test_the_command(run: Callable[..., subprocess.CompletedProcess[str]], tiny: str, tmp_path: Path) -> None:
    """In processes of its own, with train.py's."""
    words = ["--repeats=1", "--seconds=0.01", "--sweep=False", f"--out={tmp_path / 'x.md'}"]
    done = run("tools.bench", "train", tiny, *words)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^start to first step +[\d.]+ s", done.stdout, re.MULTILINE)
    assert re.search(r"^peak memory +[\d.]+ GiB", done.stdout, re.MULTILINE)
    assert one_line_error(run("tools.bench", "train", tiny, "--n_embd=15"))
