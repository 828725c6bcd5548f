"""Real Wikipedia on a laptop: as few bits per byte as 20 minutes on 2 CPU cores allow.

A small vocabulary keeps the output layer cheap, a small network and small batches allow many updates, Muon learns more from
each token than AdamW, and the trapezoid's linear cooldown gains most of its loss at the end.

Command   python prepare_data.py --tokenizer=bpe:4096 --out_dir=data/wikipedia_cpu
          python train.py configs/wikipedia_cpu.py
Hardware  2 CPU cores with native bfloat16: half an hour or less, computed from shorter runs. On others add --max_minutes=20
Reaches   validation loss 3.837, 1.696 bits per byte, after 5.3 M tokens: with --max_minutes=20 on 2 cores with AVX2, in
          float32. AdamW reached 1.779 there. The data were 59,811 articles of English Wikipedia (114 MB, 35 M tokens, a dump
          of 2014); other dumps give other figures. For a few minutes a smaller network is better, with --n_layer=3
          --n_embd=128: docs/benchmarks.md
"""

from training.config import GPTConfig, OptimizerConfig, TrainConfig

config = TrainConfig(
    data_dir="data/wikipedia_cpu",
    out_dir="out/wikipedia_cpu",
    model=GPTConfig(
        block_size=256,
        n_layer=4,
        n_head=4,
        n_embd=192,
        position="rotary",
        norm="rmsnorm",
        mlp="swiglu",
        qk_norm=True,
        bias=False,
    ),
    optimizer=OptimizerConfig(
        optimizer="muon",
        learning_rate=1e-2,
        matrix_learning_rate=5e-3,
        final_fraction=0.0,
        schedule="trapezoid",
        cooldown_fraction=0.4,
        warmup_steps=100,
    ),
    max_steps=6000,
    batch_size=16,
    eval_interval=1000,
    eval_windows=1200,
    checkpoint_interval=1000,
    log_interval=50,
)
