"""One text file of your own, letter by letter: tiny Shakespeare, a novel, your mail. nanoGPT's first experiment.

A token is a byte, which is a letter in English. The end of the file, validation_fraction of it, is kept for validation.
For Shakespeare, fetch https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt first.

Command   python prepare_data.py --source=input.txt --tokenizer=bytes --validation_fraction=0.1 --out_dir=data/shakespeare_char
          python train.py configs/shakespeare_char.py
          python sample.py --checkpoint=out/shakespeare_char --prompt="ROMEO:" --max_new_tokens=500
Hardware  2 CPU cores without native bfloat16: 7 minutes of CPU time, which took 14 minutes beside other programs
Reaches   validation loss 1.62 on tiny Shakespeare, after twice its million letters: lines, names and mostly real words
"""

from training.config import GPTConfig, OptimizerConfig, TrainConfig

config = TrainConfig(
    data_dir="data/shakespeare_char",
    out_dir="out/shakespeare_char",
    model=GPTConfig(
        block_size=128,
        n_layer=4,
        n_head=4,
        n_embd=128,
        position="rotary",
        norm="rmsnorm",
        mlp="swiglu",
        qk_norm=True,
        bias=False,
    ),
    optimizer=OptimizerConfig(
        learning_rate=3e-3, final_fraction=0.0, schedule="trapezoid", cooldown_fraction=0.5, warmup_steps=50
    ),
    max_steps=1000,
    batch_size=16,
    eval_interval=250,
    eval_windows=200,
    checkpoint_interval=500,
    log_interval=50,
    compile=False,
)
