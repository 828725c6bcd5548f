"""Run EleutherAI's lm-evaluation-harness on our checkpoints: its own command, which then knows the model "wikigpt".

    pip install -r requirements-lm-eval.txt
    python -m tools.lm_eval run --model=wikigpt --model_args=checkpoint=out/demo --device=cpu --tasks=hellaswag

All arguments are the harness's, whose device is cuda:0 by default; `python -m tools.lm_eval run --help` lists them.
"""

import sys

from system.errors import UserError, run_command


def main() -> None:
    try:
        from lm_eval.__main__ import cli_evaluate
    except ImportError as error:
        raise UserError(
            f"{error.name} is not installed", "run `pip install -r requirements-lm-eval.txt`"
        ) from None
    import evaluation.harness  # noqa: F401  # registers the model

    if len(sys.argv) == 1:
        print(__doc__)
    else:
        cli_evaluate()


if __name__ == "__main__":
    run_command(main, resumes=False)
