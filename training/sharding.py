"""Building a model whose parameters are sharded over the processes (FSDP), layer by layer: no process ever holds it whole."""

import copy

import torch
from torch import Tensor, nn

from model import GPT, Attention, GPTConfig
from system.parallel import is_sharded_model, reshard_after_evaluation, shard, sharding_mesh
from system.world import World


def build_sharded(
    config: GPTConfig, attention: Attention, world: World, hybrid: bool, dtype: torch.dtype, draws: bool
) -> GPT:
    """Return a model of which each process has a shard; with `hybrid`, each node has a copy of which its processes have shards.

    `draws` gives it the weights of `GPT(config)`, from torch's random numbers; else they are zero. Layers are
    gathered one at a time, on GPUs as `dtype`; the embeddings and the last norm, the model's outermost part, as float32.
    """
    mesh = sharding_mesh(world, hybrid)
    # This rounds norms' gains too, unlike DDP. On a CPU, torch's LayerNorm takes no such gain with an input in float32.
    gathered_dtype = dtype if world.device.type == "cuda" and dtype != torch.float32 else None
    with torch.device("meta"):
        model = GPT(config, attention)
    transformer = model.transformer
    if draws:
        draw_defaults(model)

    def allocate(part: nn.Module | None, name: str) -> None:
        if part is not None:
            part.to_empty(device=world.device)
            for parameter in part.parameters():
                nn.init.zeros_(parameter)  # the vocabulary's padding stays so
            if draws:
                draw(model, part, name)

    allocate(transformer.wte, "transformer.wte")  # in the order of named_parameters
    allocate(transformer.wpe, "transformer.wpe")
    for number, block in enumerate(transformer.h):
        allocate(block, f"transformer.h.{number}")
        shard(block, mesh, gathered_dtype)
    allocate(transformer.ln_f, "transformer.ln_f")
    if config.tie_embeddings:
        model.lm_head.weight = transformer.wte.weight
    else:
        allocate(model.lm_head, "lm_head")
    shard(model, mesh)
    reshard_after_evaluation(model)
    return model


def draw_defaults(model: GPT) -> None:
    """Draw, and throw away, what torch gives each module when `GPT(config)` makes it: its random numbers come before ours."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            copy.deepcopy(module).to_empty(device="cpu").reset_parameters()


@torch.no_grad()
def draw(model: GPT, part: nn.Module, prefix: str) -> None:
    """Draw the parameters of a part of the model on the CPU, as all models are, one at a time."""
    for name, parameter in part.named_parameters(prefix):
        values = torch.empty(parameter.shape)
        model.init_weight(name, values)
        parameter.copy_(values)


def compile_layers(model: GPT) -> None:
    """Compile each layer's computation in place; gathering its parameters, before and after, is not compiled."""
    for block in model.transformer.h:
        setattr(block, "forward", torch.compile(block.forward))  # noqa: B010  mypy takes no other method here


def eager_loss(model: GPT, tokens: Tensor, targets: Tensor) -> Tensor:
    """Return the model's loss, computed without compiled code; a sharded model is called by all processes."""
    if not is_sharded_model(model):
        return model.forward(tokens, targets)  # forward() itself is not compiled, unlike a call of the model
    with torch.compiler.set_stance("force_eager"):  # its layers' forward() is
        loss: Tensor = model(tokens, targets)
    return loss
