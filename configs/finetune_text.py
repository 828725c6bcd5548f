"""Continue training a model on your own text, at a lower learning rate than it was trained with.

Command   python prepare_data.py --source='mine/*.txt' --tokenizer=out/demo --out_dir=data/finetune_text
          python train.py configs/finetune_text.py
          # for another model: prepare with --tokenizer=openai-community/gpt2, train with --init_from=openai-community/gpt2
Hardware  any
Reaches   not measured: it depends on the text
"""

from training.config import OptimizerConfig, TrainConfig

config = TrainConfig(
    data_dir="data/finetune_text",
    out_dir="out/finetune_text",
    init_from="out/demo",
    optimizer=OptimizerConfig(learning_rate=1e-4, warmup_steps=20),
    max_steps=500,
    batch_size=32,
    eval_interval=100,
    checkpoint_interval=250,
    log_interval=20,
)
