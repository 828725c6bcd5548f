"""What nanoGPT, Hugging Face and torchrun call the settings of train.py, for the hint that an unknown name gets."""

_MICRO_BATCH = "micro_batch_size, the sequences per forward pass; batch_size counts those of a whole step"
_EPOCHS = (
    "max_steps, as training is measured in steps: an epoch has tokens / (batch_size * block_size) of them"
)
_DATA = "data_dir, a folder that prepare_data.py has written"
_PRECISION = "precision, float32, tf32 or bfloat16"
_FINAL_RATE = "final_fraction, as a fraction of learning_rate: nanoGPT's min_lr / learning_rate"
_LAUNCHER = "an option of torchrun: write it before train.py"
_PREPARES = "a setting of prepare_data.py"
_SAMPLES = "a setting of sample.py"
_RESUMES = "rerun the same command to resume, or set branch_from to start a new run from a checkpoint"

# Each name with ours and what differs, or with a hint where we have no such setting.
OTHER_NAMES = {
    # nanoGPT
    "always_save_checkpoint": "a checkpoint is saved every checkpoint_interval steps, the best one stays",
    "backend": "not needed: it is nccl on CUDA, else gloo",
    "beta1": "betas, both numbers: --betas=0.9,0.95",
    "beta2": "betas, both numbers: --betas=0.9,0.95",
    "dataset": _DATA,
    "decay_lr": "final_fraction, which is 1 for a constant learning rate",
    "dtype": _PRECISION,
    "eval_iters": "eval_windows, the validation windows of block_size tokens: nanoGPT's eval_iters * batch_size",
    "eval_only": "not needed: metrics.jsonl in the run's folder has the losses",
    "gradient_accumulation_steps": "not needed: each step accumulates batch_size sequences, micro_batch_size at a time",
    "lr_decay_iters": "max_steps, where the schedule always ends",
    "max_iters": "max_steps",
    "min_lr": _FINAL_RATE,
    "wandb_log": "wandb, which is online, offline or disabled",
    "wandb_run_name": "not needed: a run is named after its out_dir",
    "warmup_iters": "warmup_steps",
    # Hugging Face
    "adam_beta1": "betas, both numbers: --betas=0.9,0.95",
    "adam_beta2": "betas, both numbers: --betas=0.9,0.95",
    "adam_epsilon": "epsilon",
    "attn_implementation": "attention, which is auto, flash, sdpa or math",
    "bf16": _PRECISION,
    "dataloader_num_workers": "not needed: sequences are read from memory-mapped shards",
    "dataset_name": _DATA,
    "eval_steps": "eval_interval",
    "eval_strategy": "eval_interval, in steps",
    "evaluation_strategy": "eval_interval, in steps",
    "fp16": _PRECISION,
    "fsdp": "parallel, which is ddp, fsdp, hsdp or auto",
    "gradient_checkpointing": "activation_checkpointing, which is none or block",
    "hidden_size": "n_embd",
    "intermediate_size": "n_inner",
    "logging_steps": "log_interval",
    "lr_scheduler_type": "schedule, which is cosine or trapezoid",
    "max_grad_norm": "grad_clip",
    "max_position_embeddings": "block_size",
    "max_seq_length": "block_size",
    "model_name_or_path": "init_from",
    "n_positions": "block_size",
    "num_attention_heads": "n_head",
    "num_epochs": _EPOCHS,
    "num_hidden_layers": "n_layer",
    "num_key_value_heads": "n_kv_head",
    "num_train_epochs": _EPOCHS,
    "optim": "optimizer",
    "output_dir": "out_dir",
    "overwrite_output_dir": "overwrite",
    "per_device_eval_batch_size": _MICRO_BATCH,
    "per_device_train_batch_size": _MICRO_BATCH,
    "report_to": "wandb, which is online, offline or disabled, or tensorboard",
    "resume_from_checkpoint": _RESUMES,
    "run_name": "not needed: a run is named after its out_dir",
    "save_steps": "checkpoint_interval",
    "save_strategy": "checkpoint_interval, in steps",
    "save_total_limit": "keep_checkpoints",
    "tf32": _PRECISION,
    "torch_compile": "compile",
    "warmup_ratio": "warmup_steps, in steps",
    # torchrun
    "local_rank": "not needed: torchrun sets it: torchrun --standalone --nproc_per_node=2 train.py",
    **dict.fromkeys(("node_rank", "nnodes", "nproc_per_node", "standalone"), _LAUNCHER),
    **dict.fromkeys(("master_addr", "master_port", "max_restarts"), _LAUNCHER),
    **dict.fromkeys(("rdzv_backend", "rdzv_endpoint", "rdzv_id"), _LAUNCHER),
    "ddp_backend": "not needed: it is nccl on CUDA, else gloo",
    # our other commands
    **dict.fromkeys(("source", "subset", "tokenizer", "validation_fraction"), _PREPARES),
    **dict.fromkeys(("max_new_tokens", "n_samples", "prompt", "temperature", "top_k", "top_p"), _SAMPLES),
    "checkpoint": "init_from, for a new run with these weights",
    # any
    "context_length": "block_size",
    "d_model": "n_embd",
    "epochs": _EPOCHS,
    "heads": "n_head",
    "iters": "max_steps",
    "layers": "n_layer",
    "max_learning_rate": "learning_rate",
    "min_learning_rate": _FINAL_RATE,
    "no_compile": "use --compile=False",
    "num_heads": "n_head",
    "num_layers": "n_layer",
    "max_epochs": _EPOCHS,
    "max_time": "max_minutes, in minutes",
    "n_steps": "max_steps",
    "num_steps": "max_steps",
    "num_workers": "not needed: sequences are read from memory-mapped shards",
    "warmup": "warmup_steps",
    "resume": _RESUMES,
    "save_interval": "checkpoint_interval",
    "seq_len": "block_size",
    "steps": "max_steps",
    "time_limit": "max_minutes, in minutes",
    **dict.fromkeys(("eval_batch_size", "val_batch_size"), _MICRO_BATCH),
    "total_batch_size": "batch_tokens, in tokens, or batch_size, in sequences",
}
