"""Check in seconds, on any machine, that data, training, evaluation and checkpoints work.

Command   python prepare_data.py --source=builtin --tokenizer=bpe:8192 --validation_fraction=0.05 --out_dir=data/demo  # part of `make demo`
          python train.py configs/debug.py
          torchrun --standalone --nproc_per_node=2 train.py configs/debug.py --out_dir=out/debug2  # the same losses
Hardware  any; 4 seconds. In float32 and without torch.compile, so that one process and two agree up to rounding
Reaches   validation loss 6.0115 on 2 CPU cores; the same with two processes
"""

from training.config import GPTConfig, OptimizerConfig, TrainConfig

config = TrainConfig(
    data_dir="data/demo",
    out_dir="out/debug",
    model=GPTConfig(block_size=64, n_layer=2, n_head=2, n_embd=64),
    optimizer=OptimizerConfig(learning_rate=3e-3, warmup_steps=5),
    max_steps=40,
    batch_size=16,
    micro_batch_size=4,
    eval_interval=20,
    eval_windows=40,
    checkpoint_interval=20,
    log_interval=5,
    precision="float32",
    compile=False,
)
