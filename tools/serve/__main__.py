"""Serve a model by the OpenAI API: `python -m tools.serve --checkpoint=out/demo`.

It has /v1/completions, /v1/chat/completions (of models with a chat template) and /v1/models, on loopback. To let other
machines reach it, set a key: `WIKIGPT_API_KEY=... python -m tools.serve --host=0.0.0.0`.
"""

import os
import sys

from system.command_line import let_threads_wait_longer, parse_config
from system.errors import UserError, run_command
from system.progress import announced_on_stderr
from tools.serve.config import ServeConfig


def main() -> None:
    config = parse_config(ServeConfig(), sys.argv[1:], __doc__ or "", main_setting="checkpoint")
    try:
        from system.http import api_key, serve
    except ImportError as error:
        raise UserError(
            f"{error.name} is not installed: run `pip install -r requirements-apps.txt`"
        ) from None
    key = api_key(config.host)
    let_threads_wait_longer()
    with announced_on_stderr(f"loading {config.checkpoint}"):
        # Once the command line is read, so that a mistake in it does not wait for torch.
        from sampling.sampler import Sampler
        from tools.serve.api import Api

        sampler = Sampler.load(
            config.checkpoint,
            config.device,
            config.precision,
            config.quantize,
            config.kernel,
            config.slots,
            config.compile,
        )
    sampler.check_context(config.context)
    name = os.path.basename(config.checkpoint.rstrip("/"))
    about = f"model {name}, {sampler.about}, {config.slots} slots"
    serve(Api(sampler, config, name).app(), config.host, config.port, key, about)


if __name__ == "__main__":
    run_command(main, resumes=False)
