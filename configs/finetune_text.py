"""Go on from a trained model with one's own text, at a lower learning rate than it was trained with.

Command   python prepare_data.py --source='mine/*.txt' --tokenizer=out/demo --out_dir=data/finetune_text
          python train.py configs/finetune_text.py
          (another model: --tokenizer=openai-community/gpt2 there and --init_from=openai-community/gpt2 here)
Hardware  any
Reaches   whatever the text allows: not measured
"""

from training.config import TrainConfig
from training.optim import OptimizerConfig

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
