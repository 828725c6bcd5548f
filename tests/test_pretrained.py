"""Beginning with a trained model's weights: what is taken from it, what may differ, what is refused; and asking it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import ALONE, arguments, one_line_error
from safetensors.torch import load_file

from checkpointing import checkpoint, pretrained
from corpus.tokenizer_json import open_tokenizer
from model import GPTConfig
from prepare_data import PrepareConfig, prepare
from system.errors import UserError
from tools.export_hf import ExportConfig, export
from train import Training, train
from training.config import TrainConfig
from training.optim import OptimizerConfig
from training.plot import read_metrics
from training.run import with_network

SHAPE = GPTConfig(block_size=16, n_layer=2, n_head=2, n_embd=32)


@pytest.fixture
def trained(config: TrainConfig) -> TrainConfig:
    """The config of a finished run of ten steps."""
    train(config)
    return config


def beginning_with(origin: str | Path, config: TrainConfig, **changes: object) -> TrainConfig:
    """Return a run that begins with the model of `origin` and leaves the network to it."""
    out_dir = str(Path(config.out_dir).parent / "tuned")
    settings = {"out_dir": out_dir, "init_from": str(origin), "model": GPTConfig(), **changes}
    return replace(config, **settings)


@pytest.mark.parametrize("layout", ["ours", "huggingface"])
def test_training_begins_with_the_weights_and_loss_of_the_model(layout, trained, tmp_path):
    origin = Path(trained.out_dir)
    if layout == "huggingface":
        export(ExportConfig(trained.out_dir, str(tmp_path / "hf")))
        origin = tmp_path / "hf"
    config = beginning_with(origin, trained)
    training = Training(config, ALONE)
    training.build()
    folder = checkpoint.find(trained.out_dir)
    for name, weight in load_file(folder / checkpoint.WEIGHTS).items():
        torch.testing.assert_close(training.model.weights()[name], weight, rtol=0, atol=0)
    train(config)
    first = read_metrics(Path(config.out_dir) / "metrics.jsonl")[0]
    expected = checkpoint.read_info(folder)["val_loss"]
    assert first["step"] == 0
    assert first["val_loss"] == pytest.approx(expected, rel=1e-5)


def test_a_run_goes_on_when_its_origin_is_gone(trained):
    config = beginning_with(trained.out_dir, trained, max_steps=8, checkpoint_interval=4, eval_interval=4)
    undisturbed = replace(config, out_dir=str(Path(trained.out_dir).parent / "undisturbed"))
    train(undisturbed)
    training = Training(config, ALONE)
    training.build()
    training.open_log()
    for _ in range(4):
        training.take_step()
    training.evaluate()
    training.save(keep=2)
    Path(trained.out_dir).rename(Path(trained.out_dir).parent / "moved")
    train(config)
    finals = [Path(run.out_dir) / "step_00000008" / checkpoint.WEIGHTS for run in (config, undisturbed)]
    assert finals[0].read_bytes() == finals[1].read_bytes()


def test_learned_positions_may_be_fewer_and_dropout_another(trained):
    config = beginning_with(trained.out_dir, trained, model=GPTConfig(block_size=8, dropout=0.2))
    training = Training(config, ALONE)
    training.build()
    assert training.config.model == replace(SHAPE, vocab_size=257, block_size=8, dropout=0.2)
    positions = load_file(checkpoint.find(trained.out_dir) / checkpoint.WEIGHTS)["transformer.wpe.weight"]
    assert torch.equal(training.model.transformer.wpe.weight, positions[:8])


@pytest.mark.parametrize(
    ("own", "words"),
    [
        (GPTConfig(n_layer=3), "n_layer=3: the model of init_from=.* has n_layer=2"),
        (GPTConfig(block_size=32), "block_size=32: the model of init_from=.* has block_size=16"),
        (GPTConfig(norm="rmsnorm"), "norm=rmsnorm"),
    ],
)
def test_another_network_than_the_models_is_refused(own, words, trained):
    with pytest.raises(UserError, match=words):
        Training(beginning_with(trained.out_dir, trained, model=own), ALONE)


def test_a_batch_in_tokens_must_fit_the_models_sequences():
    config = TrainConfig(batch_tokens=1024 * 2, init_from="x")
    assert with_network(config, SHAPE).sequences_per_step == 128
    with pytest.raises(UserError, match="batch_tokens=2048: must be a multiple of block_size=24"):
        with_network(config, replace(SHAPE, block_size=24))


def test_a_fine_tuned_run_can_be_branched_by_the_same_command(trained):
    tuned = beginning_with(trained.out_dir, trained, max_steps=4, checkpoint_interval=2)
    train(tuned)
    folder = Path(tuned.out_dir) / "step_00000002"
    branch = replace(tuned, branch_from=str(folder), out_dir=tuned.out_dir + "_branch", max_steps=6)
    assert train(branch).step == 6
    assert train(branch).step == 6, "the same command says that it is finished"


def test_a_branch_of_a_run_with_another_beginning_is_refused(trained):
    branch = replace(trained, branch_from=trained.out_dir, out_dir=trained.out_dir + "_branch", max_steps=12)
    with pytest.raises(UserError, match=r"init_from=.*: the run of branch_from=.* began with ''"):
        Training(replace(branch, init_from=trained.out_dir), ALONE)
    Training(branch, ALONE)


def test_a_run_killed_before_its_first_checkpoint_begins_with_the_same_weights_again(trained):
    """out/a means its best checkpoint, which may be another by then."""
    config = beginning_with(trained.out_dir, trained)
    first = Training(config, ALONE)
    first.build()
    first.open_log()
    (Path(trained.out_dir) / "best").write_text("step_00000005\n")
    again = Training(config, ALONE)
    assert first.origin.folder == again.origin.folder != pretrained.find(trained.out_dir).folder


def test_a_run_from_before_there_was_init_from_goes_on(trained):
    path = Path(trained.out_dir) / "config.json"
    content = json.loads(path.read_text())
    assert "init_from" not in content["identity"]
    assert train(trained).step == trained.max_steps


def test_data_in_other_tokens_are_refused_with_the_command(trained, tmp_path):
    source = tmp_path / "a.jsonl"
    rows = [{"id": str(i), "text": f"the river runs north past old stone walls {i} " * 9} for i in range(60)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"source": str(source), "validation_fraction": 0.2, "workers": 1}
    prepare(PrepareConfig(out_dir=str(tmp_path / "other"), tokenizer="bpe:300", **settings))
    config = beginning_with(trained.out_dir, trained, data_dir=str(tmp_path / "other"))
    with pytest.raises(UserError, match=f"prepare the data with --tokenizer={trained.out_dir}"):
        Training(config, ALONE)
    prepare(PrepareConfig(out_dir=str(tmp_path / "same"), tokenizer=trained.out_dir, **settings))
    Training(replace(config, data_dir=str(tmp_path / "same")), ALONE)
    export(ExportConfig(trained.out_dir, str(tmp_path / "hf")))
    prepare(PrepareConfig(out_dir=str(tmp_path / "third"), tokenizer=str(tmp_path / "hf"), **settings))
    Training(replace(config, data_dir=str(tmp_path / "third")), ALONE)


def test_what_is_no_model_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no finished checkpoint in"):
        pretrained.find(str(tmp_path / "empty"))
    with pytest.raises(UserError, match=r"no folder gpt2 here; .* openai-community/gpt2"):
        pretrained.find("gpt2")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UserError, match="model_type 'llama'"):
        pretrained.find(str(tmp_path))


def test_sampling_takes_a_huggingface_folder(run, trained, tmp_path):
    export(ExportConfig(trained.out_dir, str(tmp_path / "hf")))
    settings = ["--prompt=the river", "--max_new_tokens=20", "--precision=float32"]
    texts = [
        run("sample.py", f"--checkpoint={folder}", *settings) for folder in (trained.out_dir, tmp_path / "hf")
    ]
    assert texts[0].returncode == texts[1].returncode == 0, texts[1].stderr
    assert texts[0].stdout == texts[1].stdout
    assert len(texts[0].stdout) > 10


def test_exact_matches_are_counted(run, config, tmp_path):
    rows = [{"prompt": f"{c}{c} is", "completion": f" {c}!"} for c in "abcdefgh"]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    out_dir = str(tmp_path / "prepared")
    prepare(PrepareConfig(source=f"pairs:{tmp_path / 'p.jsonl'}", out_dir=out_dir, tokenizer="bytes", validation_fraction=0.3, workers=1))  # fmt: skip
    optimizer = OptimizerConfig(learning_rate=1e-2, warmup_steps=5)
    config = replace(config, data_dir=out_dir, max_steps=150, eval_interval=150, checkpoint_interval=150, eval_windows=0, optimizer=optimizer)  # fmt: skip
    train(config)
    (tmp_path / "q.jsonl").write_text(
        (tmp_path / "p.jsonl").read_text() + '{"prompt": "aa is", "completion": " b!"}\n'
    )
    done = run(
        "tools.exact_match", f"--checkpoint={config.out_dir}", f"--pairs={tmp_path / 'q.jsonl'}", "--show=9"
    )
    assert done.returncode == 0, done.stderr
    assert "wrong: 'aa is' -> " in done.stdout
    counted = int(done.stdout.split(" completes ")[1].split(" of 9 ")[0])
    assert 4 <= counted <= 8
    message = one_line_error(
        run("tools.exact_match", f"--checkpoint={config.out_dir}", "--pairs=nothing.jsonl")
    )
    assert "no file nothing.jsonl" in message


def test_arguments_of_a_fine_tuning_are_taken(run, trained):
    config = beginning_with(trained.out_dir, trained, max_steps=2, checkpoint_interval=2)
    words = [word for word in arguments(config) if not word.startswith(("--n_", "--block_size"))]
    done = run("train.py", *words)
    assert done.returncode == 0, done.stderr
    assert f"weights of {checkpoint.find(trained.out_dir)}" in done.stdout
    again = run("train.py", *words)
    assert "is finished" in again.stdout
    assert (
        open_tokenizer("bytes").hash
        == checkpoint.read_info(checkpoint.find(config.out_dir))["tokenizer_hash"]
    )
