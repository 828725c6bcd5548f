"""Devices, precision and compiling: errors say how to fix them, automatic choices say why."""

import ctypes
import subprocess
import sys

import pytest
import torch
from conftest import ALONE, CPU, ROOT

from model import GPT
from system import hardware
from system.errors import UserError
from system.hardware import (
    autocast,
    choose_compile,
    choose_device,
    peak_flops,
    set_precision,
)
from system.world import World, start_world
from training.choices import own_flops
from training.config import TrainConfig
from training.run import open_data, open_run


def test_the_cpu_is_available() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda", "mps")


@pytest.mark.parametrize("request_", ["warp", "cpu:x", "xla", ""])
def test_unknown_devices_are_errors(request_: str) -> None:
    with pytest.raises(UserError, match=f"device={request_}: must be auto, cpu, cuda, cuda:N or mps"):
        choose_device(request_)


def test_absent_devices_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    with pytest.raises(UserError, match=r"device=cuda: .*use --device=cpu"):
        choose_device("cuda")
    with pytest.raises(UserError, match=r"device=mps: .*use --device=cpu"):
        choose_device("mps")


def test_each_process_takes_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    assert choose_device("auto", local_rank=1) == torch.device("cuda", 1)
    assert choose_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(UserError, match="device=cuda: no GPU 2, this machine has 2: start fewer processes"):
        choose_device("cuda", local_rank=2)


@pytest.mark.parametrize(
    ("major", "expected"), [(7, torch.float32), (8, torch.bfloat16), (9, torch.bfloat16)]
)
def test_precision_follows_compute_capability(
    monkeypatch: pytest.MonkeyPatch, major: int, expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (major, 5))
    gpu = torch.device("cuda", 0)
    dtype, reason = set_precision("auto", gpu)
    assert dtype == expected
    assert f"compute capability {major}.5" in reason
    assert set_precision("float32", gpu) == (torch.float32, "requested")
    if expected == torch.float32:
        with pytest.raises(UserError, match=r"precision=bfloat16: .*7\.5.*--precision=float32"):
            set_precision("bfloat16", gpu)


def test_tf32_is_used_only_where_requested(monkeypatch: pytest.MonkeyPatch) -> None:
    """float32 is float32, whatever was set before."""
    gpu, allowed = torch.device("cuda", 0), torch.get_float32_matmul_precision
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0))
    try:
        for request_, dtype, precision in (
            ("tf32", torch.float32, "high"),
            ("float32", torch.float32, "highest"),
            ("tf32", torch.float32, "high"),
            ("auto", torch.bfloat16, "highest"),
        ):
            assert (set_precision(request_, gpu)[0], allowed()) == (dtype, precision)
        torch.set_float32_matmul_precision("high")
        hardware.be_deterministic(gpu)
        set_precision("float32", CPU)
        assert allowed() == "highest"
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
        for device, found in ((CPU, "cpu"), (gpu, "cuda:0, whose compute capability 7.5")):
            with pytest.raises(
                UserError, match=f"precision=tf32: .*8.0 or later, not {found}: use --precision=float32"
            ):
                set_precision("tf32", device)
        assert allowed() == "highest"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_float32_products_on_a_gpu_are_float32() -> None:
    gpu = choose_device("cuda")
    torch.manual_seed(0)
    a, b = torch.randn(2, 512, 512, device=gpu)
    exact = a.double() @ b.double()
    errors = {}
    try:
        for request_ in ("float32", "tf32"):
            set_precision(request_, gpu)
            errors[request_] = ((a @ b - exact).norm() / exact.norm()).item()
    finally:
        torch.set_float32_matmul_precision("highest")
    assert errors["float32"] < 1e-6
    assert 1e-5 < errors["tf32"] < 1e-2


@pytest.mark.parametrize("native", [True, False])
def test_precision_of_a_cpu_follows_its_instructions(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    for probe in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, probe, lambda: native, raising=False)
    dtype, reason = set_precision("auto", CPU)
    assert dtype == (torch.bfloat16 if native else torch.float32)
    assert ("has" if native else "lacks") in reason
    dtype, reason = set_precision("bfloat16", CPU)
    assert dtype == torch.bfloat16
    assert ("lacks" in reason) is not native


def test_autocast_computes_in_the_dtype() -> None:
    layer, x = torch.nn.Linear(4, 4), torch.ones(1, 4)
    for dtype in (torch.float32, torch.bfloat16):
        with autocast(CPU, dtype):
            assert layer(x).dtype == dtype


def test_without_a_compiler_auto_is_eager_and_true_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_options: object) -> object:
        raise RuntimeError("no C++ compiler\nlong story")

    monkeypatch.setattr(torch, "compile", broken)
    reason = "torch.compile does not work here: RuntimeError: no C++ compiler"
    assert choose_compile("auto", CPU) == (False, reason)
    with pytest.raises(UserError, match=r"compile=True: .*no C\+\+ compiler.*--compile=False"):
        choose_compile(True, CPU)
    assert choose_compile(False, CPU) == (False, "requested")


def test_auto_does_not_compile_a_short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_options: function)
    for minutes, about in ((0.1, 1), (4.2, 4), (9.9, 9)):
        reason = f"auto: about {about} min of training, compiling pays from 10 min on"
        assert choose_compile("auto", CPU, minutes) == (False, reason)
    assert choose_compile("auto", CPU, 10.0) == (True, "")
    assert choose_compile(True, CPU, 4.2) == (True, "")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    # The demo: 800 steps of 4,096 tokens of 14.2 MFLOP took 11.6 minutes in float32, 3.5 in bfloat16 on another CPU.
    assert hardware.eager_minutes(CPU, torch.float32, 800 * 4096 * 14.2e6) == pytest.approx(11.6, rel=0.05)
    assert hardware.eager_minutes(CPU, torch.bfloat16, 800 * 4096 * 14.2e6) == pytest.approx(3.5, rel=0.05)
    assert hardware.eager_minutes(torch.device("cuda"), torch.bfloat16, 1.0) == float("inf")


def test_flops_of_a_run_are_shared_among_the_processes(config: TrainConfig) -> None:
    run = open_run(config, open_data(config.data_dir))
    model = GPT(run.config.model)
    expected = 10 * 8 * 16 * model.flops_per_token(16)
    assert own_flops(model, run, ALONE) == expected
    assert own_flops(model, run, World(0, 2, CPU)) == expected / 2


def test_an_empty_compiler_error_is_named_by_its_type(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: object, **_options: object) -> object:
        raise NotImplementedError

    monkeypatch.setattr(torch, "compile", broken)
    compiles, reason = choose_compile("auto", CPU)
    assert not compiles
    assert "NotImplementedError" in reason


def test_peak_flops_follow_the_name_of_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda", 0)
    peaks = {"NVIDIA H100 PCIe": 756e12, "NVIDIA H100 80GB HBM3": 989e12, "NVIDIA A100-SXM4-80GB": 312e12}
    peaks |= {"NVIDIA L40S": 362e12, "NVIDIA L4": 121e12, "NVIDIA A10G": None, "NVIDIA GB200": None, "NVIDIA L40": None}  # fmt: skip
    for name, peak in peaks.items():
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        assert peak_flops(gpu, torch.bfloat16) == peak, name
        assert peak_flops(gpu, torch.float32) is None
    assert peak_flops(CPU, torch.bfloat16) is None
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Quadro of tomorrow")
    assert peak_flops(gpu, torch.bfloat16) is None


def test_cpu_runs_are_deterministic() -> None:
    hardware.be_deterministic(CPU)
    assert torch.are_deterministic_algorithms_enabled()


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="the C library is not glibc")
def test_freed_memory_stays_in_the_process() -> None:
    """Filling tensors of one size after another touches few new pages: each of them is a fault that the kernel counts."""
    program = """
import resource, sys, torch
from system import hardware
if sys.argv[1] == "keep":
    hardware.keep_freed_memory(torch.device("cpu"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(60):
    torch.ones(10_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    faults = {
        name: int(
            subprocess.run(
                [sys.executable, "-c", program, name], cwd=ROOT, capture_output=True, check=True
            ).stdout
        )
        for name in ("keep", "default")
    }
    assert faults["keep"] < 0.5 * faults["default"], faults  # the first few tensors find their place


def test_the_model_does_not_load_the_compiler() -> None:
    """It takes a second, which a command that samples need not wait."""
    program = "import sys, model; print('torch._dynamo' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_the_description_has_the_threads() -> None:
    assert f"{torch.get_num_threads()} threads" in hardware.describe(CPU)


def test_processes_do_not_share_a_named_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match=r"device=cuda:0: 2 processes"):
        start_world("cuda:0")


def test_processes_do_not_share_an_apple_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(UserError, match=r"device=mps: 2 processes cannot share an Apple GPU"):
        start_world("mps")
