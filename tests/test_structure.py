"""The shape of the code: imports point one way, heavy libraries wait until they are used, public names are explained."""

import ast
import graphlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

VERBS = {"prepare_data", "train", "sample", "tools"}
# The data's side: what preparation imports. It runs in a fresh process for each core, without torch.
WITHOUT_TORCH = {
    "prepare_data",
    "data",
    "tokenizer",
    "articles",
    "sources",
    "shards",
    "workers",
    "errors",
    "command_line",
    "hub",
    "hf_tokenizer",
}
# The lowest layer of our own: what these may import of ours.
LOWEST = {
    "errors": set(),
    "model": set(),
    "optim": set(),
    "tokenizer": {"errors", "server"},
    "hub": {"errors", "server"},
    "server": set(),
    "files": set(),
}
LATE = {"datasets", "wandb", "matplotlib", "transformers", "pandas", "pyarrow"}


# A command's `main` is the command, which its module describes; a few lines of model.py are their own description.
WITHOUT_DOCSTRING = {"main", "CausalSelfAttention", "MLP", "Block", "make_norm", "round_up"}


def sources() -> dict[str, Path]:
    """Return our modules: those at the top level, and the packages there."""
    found = {path.stem: path for path in ROOT.glob("*.py")}
    return found | {
        path.parent.name: path for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"
    }


MODULES = sources()


def trees(module: str) -> list[ast.Module]:
    path = MODULES[module]
    files = [path] if path.name != "__init__.py" else sorted(path.parent.glob("*.py"))
    return [ast.parse(file.read_text()) for file in files]


def imported(module: str, late: bool = True) -> set[str]:
    """Return the top-level names that a module imports; with `late`, also those inside its functions."""
    names: set[str] = set()
    for tree in trees(module):
        nodes = list(ast.walk(tree)) if late else tree.body
        for node in nodes:
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names.add((node.module or module).split(".")[0] if not node.level else module)
    return names - {module}


def ours(module: str) -> set[str]:
    return imported(module) & MODULES.keys()


def test_modules_are_found() -> None:
    assert VERBS | WITHOUT_TORCH | LOWEST.keys() <= MODULES.keys()
    assert "torch" in imported("model")
    assert {"config", "model"} <= ours("train")


def test_nothing_imports_a_verb() -> None:
    importers = {module: ours(module) & VERBS for module in MODULES}
    assert not {module: verbs for module, verbs in importers.items() if verbs}


def test_imports_make_no_circle() -> None:
    graphlib.TopologicalSorter({module: ours(module) for module in MODULES}).prepare()


@pytest.mark.parametrize("module", sorted(LOWEST))
def test_lowest_modules_import_nothing_above_them(module: str) -> None:
    assert ours(module) <= LOWEST[module]


def test_preparation_reaches_no_module_with_torch() -> None:
    reached, waiting = set(), ["prepare_data", "data", "tokenizer"]
    while waiting:
        module = waiting.pop()
        reached.add(module)
        waiting += ours(module) - reached
    assert not {module for module in reached if "torch" in imported(module)}
    assert reached >= WITHOUT_TORCH


def loaded_by(module: str) -> set[str]:
    """Return the top-level names of all modules that importing one of ours loads."""
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True, check=True)  # fmt: skip
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["prepare_data", "data", "tokenizer"])
def test_preparation_does_not_load_torch(module: str) -> None:
    loaded = loaded_by(module)
    assert module in loaded
    assert not loaded & {"torch", "datasets", "transformers", "pandas"}


@pytest.mark.parametrize("module", ["train", "sample"])
def test_training_and_sampling_load_heavy_libraries_late(module: str) -> None:
    loaded = loaded_by(module)
    assert "torch" in loaded
    assert not loaded & LATE


def public_names(tree: ast.Module) -> list[ast.FunctionDef | ast.ClassDef]:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_modules_and_public_names_have_docstrings(module: str) -> None:
    for tree in trees(module):
        assert ast.get_docstring(tree), module
        bare = [node.name for node in public_names(tree) if not ast.get_docstring(node)]
        assert set(bare) <= WITHOUT_DOCSTRING, module


@pytest.mark.parametrize("module", sorted(MODULES))
def test_functions_are_annotated_and_nothing_is_swallowed(module: str) -> None:
    for tree in trees(module):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                assert node.returns is not None, f"{module}.{node.name}"
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{module}: a bare except, line {node.lineno}"
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"exec", "eval"}, f"{module}, line {node.lineno}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_nothing_reads_pickles(module: str) -> None:
    assert not imported(module) & {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
    for tree in trees(module):
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                assert (node.value.id, node.attr) not in {
                    ("torch", "load"),
                    ("torch", "save"),
                    ("np", "load"),
                }
