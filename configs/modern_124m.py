"""Qwen3's architecture at the size of GPT-2 small: what today's choices gain for the same number of tokens.

Rotary positions, RMSNorm, QK-norm, grouped-query attention, SwiGLU and no biases. The trapezoid schedule lets you
extend the run, or branch from a checkpoint before the cooldown (keep them all with --keep_checkpoints=0). All else
but the learning rate is as in configs/gpt2_124m.py.

Command   python prepare_data.py --n_shards=0 --out_dir=data/wikipedia
          torchrun --standalone --nproc_per_node=8 train.py configs/modern_124m.py
Hardware  8 x A100 or H100
Reaches   not measured
"""

from training.config import GPTConfig, OptimizerConfig, TrainConfig

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
