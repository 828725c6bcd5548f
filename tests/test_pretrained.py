"""Trained models, ours and Hugging Face's: what a name means, what training takes from them, and clear errors."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from commands import run_here
from conftest import ALONE, arguments, one_line_error
from references import reference_model
from safetensors.torch import load_file

from checkpointing import checkpoint, pretrained
from corpus.tokenizer_json import open_tokenizer, write_tokenizer
from model import GPTConfig
from prepare_data import PrepareConfig, prepare
from sampling.config import Sampling
from sampling.sampler import Sampler
from system.errors import UserError
from system.files import file_hash
from tools.export_hf import ExportConfig, export
from train import train
from training.config import TrainConfig, parse_train_config
from training.learner import build_learner
from training.plot import read_metrics
from training.run import Run, open_data, open_run, with_network, write_config

SHAPE = GPTConfig(block_size=16, n_layer=2, n_head=2, n_embd=32)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run that `trained` copies."""
    return tmp_path_factory.mktemp("trained") / "run"


@pytest.fixture
def trained(config: TrainConfig, first_run: Path) -> TrainConfig:
    """The config of a finished run of ten steps: trained once, copied for each test."""
    if not first_run.exists():
        train(replace(config, out_dir=str(first_run)))
    shutil.copytree(first_run, config.out_dir)
    return config


def initialized_from(origin: str | Path, config: TrainConfig, **changes: object) -> TrainConfig:
    """Return a run that starts with the model of `origin` and takes its network."""
    out_dir = str(Path(config.out_dir).parent / "tuned")
    settings = {"out_dir": out_dir, "init_from": str(origin), "model": GPTConfig(), **changes}
    return replace(config, **settings)


def opened(config: TrainConfig) -> Run:
    return open_run(config, open_data(config.data_dir))


@pytest.mark.parametrize("layout", ["ours", "huggingface"])
def test_training_starts_with_the_weights_and_loss_of_the_model(
    layout: str, trained: TrainConfig, tmp_path: Path
) -> None:
    origin = Path(trained.out_dir)
    if layout == "huggingface":
        export(ExportConfig(trained.out_dir, str(tmp_path / "hf")))
        origin = tmp_path / "hf"
    config = initialized_from(origin, trained, max_steps=1)
    model = build_learner(opened(config), ALONE).model
    folder = checkpoint.find(trained.out_dir)
    for name, weight in load_file(folder / checkpoint.WEIGHTS).items():
        torch.testing.assert_close(model.weights()[name], weight, rtol=0, atol=0)
    train(config)
    first = read_metrics(Path(config.out_dir) / "metrics.jsonl")[0]
    expected = checkpoint.read_info(folder)["val_loss"]
    assert first["step"] == 0
    assert first["val_loss"] == pytest.approx(expected, rel=1e-5)


def test_both_layouts_load_the_same_model(trained: TrainConfig, tmp_path: Path) -> None:
    export(ExportConfig(trained.out_dir, str(tmp_path / "hf")))
    texts = []
    for folder in (trained.out_dir, tmp_path / "hf"):
        model, tokenizer, dtype = pretrained.load(str(folder), "cpu", "float32")
        assert dtype == torch.float32
        assert not model.training
        texts.append(Sampler(model, tokenizer).continuations("the river", Sampling(max_new_tokens=20)))
    assert texts[0] == texts[1]
    assert len(texts[0][0]) > 5
    assert pretrained.load(trained.out_dir, "cpu", "bfloat16")[2] == torch.bfloat16
    with pytest.raises(UserError, match="device=warp"):
        pretrained.load(trained.out_dir, "warp")


def test_folders_with_names_that_are_not_utf8_are_read_as_others(
    trained: TrainConfig, tmp_path: Path
) -> None:
    """\udce9 is the byte e9 of such a name."""
    config = replace(trained, out_dir=f"{tmp_path}/caf\udce9", max_steps=11, extend=True)
    shutil.copytree(trained.out_dir, config.out_dir)
    assert train(config).step == 11
    export(ExportConfig(config.out_dir, f"{tmp_path}/hf \udce9"))
    assert f'from_pretrained("{tmp_path}/hf \\udce9")' in Path(f"{tmp_path}/hf \udce9/README.md").read_text()
    texts = []
    for folder in (config.out_dir, f"{tmp_path}/hf \udce9"):
        model, tokenizer, _ = pretrained.load(folder, "cpu", "float32")
        texts.append(Sampler(model, tokenizer).continuations("the river", Sampling(max_new_tokens=20)))
    assert texts[0] == texts[1]


def test_a_run_resumes_after_its_origin_is_gone(trained: TrainConfig) -> None:
    config = initialized_from(trained.out_dir, trained, max_steps=8, checkpoint_interval=4, eval_interval=4)
    undisturbed = replace(config, out_dir=str(Path(trained.out_dir).parent / "undisturbed"))
    train(undisturbed)
    shutil.copytree(undisturbed.out_dir, config.out_dir)
    (Path(config.out_dir) / "last").write_text("step_00000004\n")  # as if it had been killed then
    Path(trained.out_dir).rename(Path(trained.out_dir).parent / "moved")
    train(config)
    finals = [Path(run.out_dir) / "step_00000008" / checkpoint.WEIGHTS for run in (config, undisturbed)]
    assert finals[0].read_bytes() == finals[1].read_bytes()


def test_learned_positions_may_be_fewer_and_dropout_different(trained: TrainConfig) -> None:
    config = initialized_from(trained.out_dir, trained, model=GPTConfig(block_size=8, dropout=0.2))
    run = opened(config)
    assert run.config.model == replace(SHAPE, vocab_size=257, block_size=8, dropout=0.2)
    positions = load_file(checkpoint.find(trained.out_dir) / checkpoint.WEIGHTS)["transformer.wpe.weight"]
    assert torch.equal(build_learner(run, ALONE).model.transformer.wpe.weight, positions[:8])


def test_another_network_than_the_models_is_an_error(trained: TrainConfig) -> None:
    for own, words in (
        (GPTConfig(n_layer=3), "n_layer=3: the model of init_from=.* has n_layer=2"),
        (GPTConfig(block_size=32), "block_size=32: the model of init_from=.* has block_size=16"),
        (GPTConfig(norm="rmsnorm"), "norm=rmsnorm"),
    ):
        with pytest.raises(UserError, match=words):
            opened(initialized_from(trained.out_dir, trained, model=own))


def test_a_batch_in_tokens_must_fit_the_models_sequences() -> None:
    config = TrainConfig(batch_tokens=1024 * 2, init_from="x")
    assert with_network(config, SHAPE).sequences_per_step == 128
    with pytest.raises(UserError, match="batch_tokens=2048: must be a multiple of block_size=24"):
        with_network(config, replace(SHAPE, block_size=24))


def test_the_command_of_a_fine_tuned_run_resumes_and_branches(
    trained: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    config = initialized_from(trained.out_dir, trained, max_steps=4, checkpoint_interval=2)
    words = [word for word in arguments(config) if not word.startswith(("--n_", "--block_size"))]
    train(parse_train_config(words, ""))
    assert f"weights of {checkpoint.find(trained.out_dir)}" in capsys.readouterr().out
    tokenizer_hash = checkpoint.read_info(checkpoint.find(config.out_dir))["tokenizer_hash"]
    assert tokenizer_hash == open_tokenizer("bytes").hash
    train(parse_train_config(words, ""))
    assert "is finished" in capsys.readouterr().out
    folder = Path(config.out_dir) / "step_00000002"
    branch = replace(config, branch_from=str(folder), out_dir=config.out_dir + "_branch", max_steps=6)
    assert train(branch).step == 6
    assert train(branch).step == 6, "rerunning a finished branch changes nothing"


def test_a_branch_from_a_run_with_another_init_from_is_an_error(trained: TrainConfig) -> None:
    branch = replace(trained, branch_from=trained.out_dir, out_dir=trained.out_dir + "_branch", max_steps=12)
    with pytest.raises(UserError, match=r"init_from=.*branch_from=.*''"):
        opened(replace(branch, init_from=trained.out_dir))
    assert opened(branch).checkpoint


def test_a_run_killed_before_its_first_checkpoint_restarts_with_the_same_weights(
    trained: TrainConfig,
) -> None:
    """init_from=out/a means its best checkpoint, which may have changed."""
    config = initialized_from(trained.out_dir, trained)
    first = opened(config)
    write_config(first)
    (Path(trained.out_dir) / "best").write_text("step_00000005\n")
    again = opened(config)
    assert first.origin
    assert again.origin
    assert first.origin.folder == again.origin.folder != pretrained.find(trained.out_dir).folder


def test_a_checkpoint_is_hashed_once_as_its_run_resumes(
    trained: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = initialized_from(trained.out_dir, trained, max_steps=2, checkpoint_interval=1)
    train(config)
    hashed = []
    monkeypatch.setattr(checkpoint, "file_hash", lambda path: hashed.append(path.name) or file_hash(path))
    assert opened(config).resumes
    assert sorted(hashed) == ["model.safetensors", "optimizer.safetensors", "tokenizer.json"]


def test_a_run_from_before_init_from_existed_resumes(trained: TrainConfig) -> None:
    content = json.loads((Path(trained.out_dir) / "config.json").read_text())
    del content["identity"]["init_from"]
    (Path(trained.out_dir) / "config.json").write_text(json.dumps(content))
    assert train(trained).step == trained.max_steps


def test_data_of_another_tokenizer_is_an_error_with_the_command(trained: TrainConfig, tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    rows = [{"id": str(i), "text": f"the river runs north past old stone walls {i} " * 9} for i in range(60)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = {"source": str(source), "validation_fraction": 0.2, "workers": 1}
    prepare(PrepareConfig(out_dir=str(tmp_path / "other"), tokenizer="bpe:300", **settings))
    config = initialized_from(trained.out_dir, trained, data_dir=str(tmp_path / "other"))
    with pytest.raises(UserError, match=f"--tokenizer={trained.out_dir}"):
        opened(config)
    export(ExportConfig(trained.out_dir, str(tmp_path / "hf")))
    for name, tokenizer in (("same", trained.out_dir), ("third", str(tmp_path / "hf"))):
        prepare(PrepareConfig(out_dir=str(tmp_path / name), tokenizer=tokenizer, **settings))
        assert opened(replace(config, data_dir=str(tmp_path / name))).origin


def test_names_without_a_model_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    for spec, words in (
        ("gpt2-xl", r"no folder gpt2-xl: .* such as openai-community/gpt2-xl"),
        ("gtp2", r"no folder gtp2: .* such as openai-community/gpt2$"),
        ("out/demo", "no checkpoint folder out/demo: run `make demo` first"),
        ("out", "no finished checkpoint in out"),
    ):
        with pytest.raises(UserError, match=words):
            pretrained.find(spec)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(UserError, match="no folder nobody/nothing"):
        pretrained.find("nobody/nothing")


def test_models_of_other_projects_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "ckpt.pt").write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(UserError, match=r"ckpt.pt is a pickle.*model.safetensors"):
        pretrained.find(str(tmp_path))
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(UserError, match=r"config.json"):
        pretrained.find(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "opt"}')
    with pytest.raises(UserError, match="model_type='opt'"):
        pretrained.find(str(tmp_path))


def test_a_model_with_a_larger_tokenizer_is_one_line(tmp_path: Path) -> None:
    reference_model("qwen3").save_pretrained(tmp_path)
    write_tokenizer(open_tokenizer("bytes"), tmp_path)
    message = one_line_error(run_here("sample.py", f"--checkpoint={tmp_path}"))
    assert "the tokenizer has 257 tokens, the model only 65" in message
