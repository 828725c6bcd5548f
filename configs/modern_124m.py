"""GPT-2 small's size in Qwen3's architecture: what the same budget buys with today's choices.

Rotary positions, RMSNorm, QK-norm, grouped-query attention, SwiGLU, no biases; trapezoid schedule, so that the run
can be extended or branched from before its cooldown (with --keep_checkpoints=0). Everything else as configs/gpt2_124m.py.

Command   python prepare_data.py --n_shards=0 --out_dir=data/wikipedia
          torchrun --standalone --nproc_per_node=8 train.py configs/modern_124m.py
Hardware  8 x A100 or H100
Reaches   not measured
"""

from model import GPTConfig
from training.config import TrainConfig
from training.optim import OptimizerConfig

config = TrainConfig(
    data_dir="data/wikipedia",
    out_dir="out/modern_124m",
    model=GPTConfig(
        block_size=1024,
        n_layer=12,
        n_head=12,
        n_kv_head=4,
        n_embd=768,
        n_inner=2304,
        position="rotary",
        norm="rmsnorm",
        mlp="swiglu",
        qk_norm=True,
        bias=False,
    ),
    optimizer=OptimizerConfig(
        learning_rate=1e-3, final_fraction=0.0, schedule="trapezoid", warmup_steps=700, weight_decay=0.1
    ),
    max_steps=19_073,
    batch_tokens=524_288,
    micro_batch_size=32,
    eval_interval=250,
    eval_windows=1024,
    checkpoint_interval=1000,
)
