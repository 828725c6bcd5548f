"""GPT-2's network at a size for CPUs, to measure speed: 6 layers, 384 channels, 256 tokens, 8 sequences a step.

GPT-2's vocabulary is padded to 50,304 as in nanoGPT, so that both compute the same. With a vocabulary of its own, the
benchmark needs no data: it makes tokens up.

Command   python prepare_data.py --out_dir=data/wikipedia  # only to train with it; --vocab_size=0 then takes the data's
          python train.py configs/bench_gpt2_small.py --vocab_size=0
          python -m tools.bench train --config=configs/bench_gpt2_small.py
Hardware  any
Reaches   docs/benchmarks.md
"""

from training.config import GPTConfig, OptimizerConfig, TrainConfig

config = TrainConfig(
    data_dir="data/wikipedia",
    out_dir="out/bench_gpt2_small",
    model=GPTConfig(vocab_size=50_304, block_size=256, n_layer=6, n_head=6, n_embd=384),
    optimizer=OptimizerConfig(learning_rate=1e-3),
    max_steps=2000,
    batch_size=8,
)
