"""GPT-2 small as nanoGPT and llm.c reproduce it: half a million tokens per step, AdamW, cosine schedule.

Command   python prepare_data.py --n_shards=0 --out_dir=data/wikipedia  # all of English Wikipedia, GPT-2's tokenizer
          torchrun --standalone --nproc_per_node=8 train.py configs/gpt2_124m.py
          On one GPU: python train.py configs/gpt2_124m.py; with little memory, a smaller --micro_batch_size
Hardware  8 x A100 or H100
Reaches   not measured; trains on 10 billion tokens, a few epochs of English Wikipedia
"""

from training.config import GPTConfig, OptimizerConfig, TrainConfig

config = TrainConfig(
    data_dir="data/wikipedia",
    out_dir="out/gpt2_124m",
    model=GPTConfig(block_size=1024, n_layer=12, n_head=12, n_embd=768),
    optimizer=OptimizerConfig(learning_rate=6e-4, final_fraction=0.0, warmup_steps=700, weight_decay=0.1),
    max_steps=19_073,
    batch_tokens=524_288,
    micro_batch_size=32,
    eval_interval=250,
    eval_windows=1024,
    checkpoint_interval=1000,
)
