"""Train an embedder for `apps.search index`: a sentence should be near to the passage that it is from.

Command   python train.py configs/wikipedia_cpu.py --block_size=512 --batch_size=8 --out_dir=out/wikipedia_512
          python -m apps.search.pairs --kind=sentences --out_dir=data/sentence_pairs
          python prepare_data.py --source=pairs:data/sentence_pairs/train.jsonl --tokenizer=out/wikipedia_512 --validation_fraction=0.01 --out_dir=data/sentences
          python -m apps.search.biencoder configs/search_embedder.py
Hardware  any; each micro-batch is one contest, so --micro_batch_size is part of the result
Reaches   validation loss 2.29 in 190 steps, 7 minutes on 2 CPU cores, from a model of 1.2 M parameters: too small to be of
          use, docs/search.md has the figures
"""

from training.config import GPTConfig, OptimizerConfig, TrainConfig

config = TrainConfig(
    data_dir="data/sentences",
    out_dir="out/search_embedder",
    init_from="out/wikipedia_512",
    model=GPTConfig(block_size=128),  # longer texts are cut
    optimizer=OptimizerConfig(learning_rate=5e-4, warmup_steps=50, weight_decay=0.0),
    max_steps=600,
    batch_size=64,
    micro_batch_size=64,
    eval_interval=100,
    checkpoint_interval=200,
    log_interval=20,
    compile=False,
)
