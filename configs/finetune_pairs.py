"""Teach a trained model facts from prompts and completions: the loss counts the completions only.

Command   python -m tools.invented_pairs --out_dir=data/invented
          python prepare_data.py --source=pairs:data/invented/train.jsonl --tokenizer=out/demo --validation_fraction=0.05 --out_dir=data/finetune_pairs
          python train.py configs/finetune_pairs.py
          python -m tools.exact_match --checkpoint=out/finetune_pairs --pairs=data/invented/held_out.jsonl
Hardware  2 CPU cores with native bfloat16: 24 seconds
Reaches   validation loss 0.273. Exact completions before and after: 0 and 198 of the 200 pairs (6 of them are the
          validation split), 0 and 37 of 50 held-out wordings of the same facts
"""

from training.config import OptimizerConfig, TrainConfig

config = TrainConfig(
    data_dir="data/finetune_pairs",
    out_dir="out/finetune_pairs",
    init_from="out/demo",
    optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=10, weight_decay=0.0),
    max_steps=400,
    batch_size=32,
    eval_interval=50,
    eval_windows=0,
    checkpoint_interval=100,
    log_interval=20,
    compile=False,
)
