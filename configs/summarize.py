"""Teach a model to summarize with what Wikipedia gives for free: an article's text without its lead, and the lead.

Command   python train.py configs/wikipedia_cpu.py --block_size=512 --batch_size=8 --out_dir=out/wikipedia_512
          python -m apps.search.pairs --out_dir=data/lead_pairs
          python prepare_data.py --source=pairs:data/lead_pairs/train.jsonl --tokenizer=out/wikipedia_512 --validation_fraction=0.01 --out_dir=data/leads
          python train.py configs/summarize.py
          python -m apps.search.evaluate summaries --checkpoint=out/summarize --pairs=data/lead_pairs/held_out.jsonl
Hardware  any; on a GPU begin from a larger model: --init_from=openai-community/gpt2, and prepare with that tokenizer
Reaches   validation loss 4.03 in 193 steps, 8 minutes on 2 CPU cores, from a model of 1.2 M parameters: too small to be of
          use, docs/search.md has the figures
"""

from training.config import OptimizerConfig, TrainConfig

config = TrainConfig(
    data_dir="data/leads",
    out_dir="out/summarize",
    init_from="out/wikipedia_512",
    optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=50, weight_decay=0.0),
    max_steps=1200,
    batch_size=16,
    eval_interval=300,
    checkpoint_interval=300,
    log_interval=50,
    compile=False,
)
