"""The shape of the code: imports point one way, heavy libraries wait until they are used, public names are explained."""

import ast
import graphlib
import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import ROOT

VERBS = ("prepare_data", "train", "sample")
NETWORK = ("model", "model_config")
# From the top down: a room may import the rooms below it, and the network where that is said.
ROOMS = ("apps", "tools", "verbs", "training", "evaluation", "sampling", "checkpointing", "corpus", "system")
WITHOUT_MODEL = {"corpus", "system"}
IMPORT_TRAIN = {"tools", "apps", "book"}  # of the verbs only train.train is for importing, and only here
LATE = {"datasets", "wandb", "matplotlib", "transformers", "pandas", "pyarrow"}

# A command's `main` is the command, which its module describes; a few lines of model.py are their own description.
WITHOUT_DOCSTRING = {"main", "CausalSelfAttention", "MLP", "Block", "make_norm", "round_up"}


def sources() -> dict[str, Path]:
    """Return our modules by dotted name: the network and the verbs at the top, the rooms, the configs."""
    paths = [*ROOT.glob("*.py"), *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


MODULES = sources()


def room(module: str) -> str:
    top = module.partition(".")[0]
    return "verbs" if top in VERBS else "model" if top in NETWORK else top


def imported(module: str) -> set[str]:
    """Return the dotted names that a module imports, inside its functions too."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: a relative import, line {node.lineno}"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def ours(module: str) -> set[str]:
    """Return the modules of ours that a module imports."""
    found: set[str] = set()
    for name in imported(module):
        while name and name not in MODULES:
            name = name.rpartition(".")[0]
        found |= {name} if name else set()
    return found - {module}


def points_upward(module: str, other: str) -> bool:
    """Return whether an import of `other` by `module` goes against the direction."""
    here, there = room(module), room(other)
    if here == "model":
        return (module, other) != ("model", "model_config")
    if there == "model":
        return here in WITHOUT_MODEL
    if there == "verbs":
        return not (here in IMPORT_TRAIN and other == "train")
    return ROOMS.index(there) < ROOMS.index(here)


def test_modules_are_found() -> None:
    assert {path.stem for path in ROOT.glob("*.py")} == {*NETWORK, *VERBS}
    assert {room(module) for module in MODULES} == {"model", *ROOMS}
    assert {"training.config", "training.learner"} <= ours("train")
    assert "model" in ours("training.learner")
    assert "torch" in {name.partition(".")[0] for name in imported("model")}


def test_packages_are_empty() -> None:
    filled = [name for name in MODULES if MODULES[name].name == "__init__.py" and MODULES[name].read_text()]
    assert not filled


def test_the_architecture_page_names_every_module() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    rooms = ("corpus", "checkpointing", "sampling", "training", "system")
    names = {path.name for room in rooms for path in (ROOT / room).glob("*.py")} - {"__init__.py"}
    assert "checkpoint.py" in names
    assert not {name for name in names if f"`{name}`" not in page}


def test_imports_point_one_way() -> None:
    upward = [(module, other) for module in MODULES for other in ours(module) if points_upward(module, other)]
    assert not upward


def test_imports_make_no_circle() -> None:
    graphlib.TopologicalSorter({module: ours(module) for module in MODULES}).prepare()


def test_preparation_reaches_no_module_with_torch() -> None:
    reached, waiting = set(), [module for module in MODULES if room(module) == "corpus"] + ["prepare_data"]
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting += ours(module) - reached
    assert {"corpus.dataset", "system.errors"} <= reached
    assert not {
        module for module in reached if "torch" in {name.partition(".")[0] for name in imported(module)}
    }


def loaded_by(module: str) -> set[str]:
    """Return the top-level names of all modules that importing one of ours loads."""
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=True)  # fmt: skip
    return set(done.stdout.split())


def test_preparation_does_not_load_torch() -> None:
    loaded = loaded_by("prepare_data")
    assert "corpus" in loaded
    assert not loaded & {"torch", "datasets", "transformers", "pandas"}


MISTAKES = {
    "train.py": "--min_lr=1",
    "sample.py": "--start=x",
    "prepare_data.py": "--num_proc=2",
    "book.check": "x",
    "apps.explain": "x",
    "apps.explain.evaluate": "x",
    "apps.search": "x",
    "apps.search.evaluate": "x",
    "book.measure": "x",
    "tools.ablate": "--x",
    "tools.bench": "--x",
    "tools.compare": "--x",
    "tools.evaluate": "--x",
    "tools.exact_match": "x",
    "tools.export_hf": "x",
    "tools.faults": "--x",
    "tools.gpu_report": "--x",
    "tools.nanogpt_speed": "--x",
    "tools.plot": "--x",
    "tools.sampling_speed": "--x",
    "tools.serve": "--x",
    "tools.stated_facts": "--x",
}


def test_a_command_line_is_read_before_torch_is_loaded() -> None:
    """And OpenMP is told not to spin, as it must be before torch loads it."""
    code = f"""
import os, runpy, sys
for command, mistake in {MISTAKES}.items():
    for sys.argv in ([command, mistake], [command, "--help"]):
        try:
            if command.endswith(".py"):
                runpy.run_path(command, run_name="__main__")
            runpy.run_module(command, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            print("ended with", end.code, "torch" in sys.modules, os.environ["GOMP_SPINCOUNT"])
"""
    environment = {key: value for key, value in os.environ.items() if key != "GOMP_SPINCOUNT"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)  # fmt: skip
    ends = [line for line in done.stdout.splitlines() if line.startswith("ended with")]
    assert ends == ["ended with 2 False 1000", "ended with 0 False 1000"] * len(MISTAKES)
    assert done.stderr.count("error: ") == done.stderr.count("\n") == len(MISTAKES)


@pytest.mark.parametrize("command", ["train.py", "sample.py", "prepare_data.py"])
def test_a_python_without_the_packages_is_told_so(command: str) -> None:
    done = subprocess.run([sys.executable, "-S", command], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    fix = "run `make setup`, then `source .venv/bin/activate`"
    assert done.stderr == f"error: torch is not installed for this Python: {fix}\n"


def test_training_and_sampling_load_heavy_libraries_late() -> None:
    loaded = loaded_by("train, sample")
    assert "torch" in loaded
    assert not loaded & LATE


PATH_SETTING = re.compile(
    r"[ `]--(out_dir|data_dir|checkpoint|tokenizer|init_from|branch_from|source|prompt_file|run)=$|`wandb sync $"
)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_paths_in_suggested_commands_are_quoted_for_the_shell(module: str) -> None:
    for text in ast.walk(ast.parse(MODULES[module].read_text())):
        for before, value in pairwise(text.values) if isinstance(text, ast.JoinedStr) else ():
            if isinstance(before, ast.Constant) and PATH_SETTING.search(before.value):
                found = ast.unparse(value)
                assert found.startswith(("{shlex.quote(", "{quote(")), (
                    f"{module}, line {value.lineno}: {found}"
                )


def public_names(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_code_follows_the_house_rules(module: str) -> None:
    text = MODULES[module].read_text()
    tree = ast.parse(text)
    if text:
        assert ast.get_docstring(tree), module
    bare = [node.name for node in public_names(tree) if not ast.get_docstring(node)]
    assert set(bare) <= WITHOUT_DOCSTRING, module
    assert not {name.partition(".")[0] for name in imported(module)} & {
        "pickle",
        "marshal",
        "shelve",
        "dill",
        "cloudpickle",
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            assert node.returns is not None, f"{module}.{node.name} has no return annotation"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{module}: a bare except, line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"exec", "eval"}, f"{module}, line {node.lineno}"
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            reads_pickles = {("torch", "load"), ("torch", "save"), ("np", "load")}
            assert (node.value.id, node.attr) not in reads_pickles, f"{module}, line {node.lineno}"
