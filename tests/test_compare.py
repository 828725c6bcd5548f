"""Comparing runs: what is read of them, the verdict and its exit status, the page in a file and live."""

import fcntl
import json
import math
import os
import random
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from commands import run_here
from conftest import one_line_error, served
from starlette.testclient import TestClient

from model import GPTConfig
from system.errors import UserError
from system.http import HEADERS, Gate
from tools.compare import page, runs, verdict
from tools.compare.api import Api
from tools.compare.config import CompareConfig, parse_command
from tools.compare.differences import evaluation_tables, setting_tables
from tools.compare.runs import TrainedRun, read_run, read_runs
from train import train
from training.config import OptimizerConfig, TrainConfig
from training.run import only_trainer

BREAKS_OUT = """'"</script><b>bold"""
CONFIG = TrainConfig(
    data_dir="no/data", model=GPTConfig(block_size=64), batch_size=16, max_steps=100, log_interval=10
)
IDENTITY = {"data": "a" * 64}


def record(step: int, **figures: Any) -> dict[str, Any]:
    return {"step": step, "loss": 8 - step / 20, "tokens_per_second": 1024.0, "grad_norm": 1.0} | figures


def evaluated(bits_per_byte: float | None, step: int = 100, **figures: Any) -> list[dict[str, Any]]:
    """Return a run's records, with one evaluation at `step`."""
    value = {"val_loss": bits_per_byte and 3 * bits_per_byte, "val_bits_per_byte": bits_per_byte}
    return [record(at, **figures, **(value if at == step else {})) for at in range(10, 110, 10)]


Made = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A function that writes a run's folder."""

    def write(name: str, records: list[dict[str, Any]], config: TrainConfig = CONFIG, **about: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        content = {"config": asdict(config), "identity": IDENTITY, "run_id": "12345678"} | about
        (folder / "config.json").write_text(json.dumps(content))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
        return folder

    return write


def compare(*words: object) -> subprocess.CompletedProcess[str]:
    return run_here("tools/compare/__main__.py", *map(str, words))


def judged(*folders: Path, **settings: Any) -> list[tuple[str, str]]:
    found = verdict.verdicts(read_runs(folders), CompareConfig(**settings))
    return [(one.status, one.reason) for one in found]


@pytest.mark.long
def test_real_runs_are_read(config: TrainConfig) -> None:
    """What training writes today is what is read: settings, records, data, and the time that it took."""
    train(replace(config, log_interval=2))
    run = read_run(Path(config.out_dir))
    assert (run.step, run.is_finished, run.state(runs.now())) == (10, True, "finished")
    assert (run.settings["n_embd"], run.settings["betas"], run.settings["optimizer"]) == (32, [0.9, 0.95], "adamw")  # fmt: skip
    assert run.tokens_per_step == 8 * 16
    assert run.manifest
    assert list(run.evaluated()) == [5, 10]
    assert all(run.evaluated().values())
    spent = sum(one["step"] % 2 == 0 and 2 * 128 / one["tokens_per_second"] for one in run.records)
    assert run.seconds[-1] == pytest.approx(spent)


def test_training_time_adds_up(made: Made) -> None:
    speeds = [None, 1024.0, 512.0, None]
    records = [{"step": 10 * n, "tokens_per_second": speed} for n, speed in enumerate(speeds, start=1)]
    assert read_run(made("a", records)).seconds == [None, 20.0, 40.0, 60.0]  # 1,024 tokens a step
    assert read_run(made("b", [{"step": 3, "loss": None, "skipped": True}])).seconds == [None]


def test_the_state_is_told_without_the_lock(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trainer that starts in the moment of reading must get its folder, so no lock may be taken, however shortly."""
    folder = made("a", [record(10)])
    with only_trainer(folder), monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", lambda *_: pytest.fail("a lock is taken"))
        run = read_run(folder)
        assert run.state(runs.now()).startswith("running")
    assert run.written_at
    assert run.state(run.written_at + 61) == "running, last record 1m 01s ago"
    assert run.state(run.written_at + 121) == "stopped, last record 2m 01s ago"
    slow = read_run(made("b", [record(10, tokens_per_second=100.0)]))  # 102 s between records
    assert slow.written_at
    assert slow.state(slow.written_at + 1000).startswith("running")
    assert slow.state(slow.written_at + 1030).startswith("stopped")
    assert read_run(made("c", [])).state(0) == "no record yet"


def test_a_half_written_line_and_numbers_that_are_not_finite(made: Made) -> None:
    folder = made("a", [record(10, loss=math.nan), record(20, grad_norm=None)])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 30, "lo')
    run = read_run(folder)
    assert run.step == 20
    curves = page.curves(run, ["loss", "grad_norm"])
    assert curves["values"] == {"loss": [None, 7.0], "grad_norm": [1.0, None]}
    json.dumps(page.content([run], [verdict.of_reference(run)], CompareConfig(), 0, ""), allow_nan=False)


def test_settings_that_differ(made: Made) -> None:
    other = replace(CONFIG, out_dir="elsewhere", seed=2, optimizer=OptimizerConfig(betas=(0.9, 0.99)))
    versions = {"versions": {"torch": "2.12"}, "processes": 1}
    first, second = made("a", [], **versions), made("b", [], other, **versions | {"processes": 2})
    old = made("c", [])
    content = json.loads((old / "config.json").read_text())
    del content["config"]["model"]["norm"], content["config"]["schedule" if "schedule" in content["config"] else "compile"]  # fmt: skip
    (old / "config.json").write_text(json.dumps(content))
    found = setting_tables(read_runs([first, second, old]))
    assert found.differing.rows == [
        ["betas", "0.9, 0.95", "0.9, 0.99", "0.9, 0.95"],
        ["seed", "1", "2", "1"],
        ["processes", "1", "2", "not recorded"],
        ["version: torch", "2.12", "2.12", "not recorded"],
    ]
    same = dict(found.same.rows)
    assert (same["norm"], same["compile"], same["n_layer"]) == ("layernorm", "auto", "12")
    assert not {"out_dir", "overwrite"} & {*same}


@pytest.mark.parametrize(
    ("bits", "status", "reason"),
    [
        (1.0099, "as good", ""),
        (1.0101, "worse", "higher bits per byte"),
        (0.9899, "better", ""),
        (0.9901, "as good", ""),
        (None, "worse", "its loss is not finite"),
    ],
)
def test_the_verdict_is_about_bits_per_byte(made: Made, bits: float, status: str, reason: str) -> None:
    found = judged(made("a", evaluated(1.0)), made("b", evaluated(bits)))
    assert found == [("reference", ""), (status, reason)]


def test_speed_is_judged_on_request(made: Made) -> None:
    folders = made("a", evaluated(1.0)), made("b", evaluated(1.0, tokens_per_second=900.0))
    assert judged(*folders)[1] == ("as good", "")
    assert judged(*folders, speed_tolerance=0.2)[1] == ("as good", "")
    assert judged(*folders, speed_tolerance=0.1)[1] == ("worse", "fewer tokens/s")


def test_runs_are_compared_at_the_last_step_that_both_evaluated(made: Made, tmp_path: Path) -> None:
    long = [record(10, val_bits_per_byte=2.0), record(20, val_bits_per_byte=1.0), record(30, val_bits_per_byte=0.1)]  # fmt: skip
    short = [record(10, val_bits_per_byte=0.5), record(20, val_bits_per_byte=1.5)]
    read = read_runs([made("a", long), made("b", short), made("c", [record(15, val_bits_per_byte=1.0)])])
    _, second, third = verdict.verdicts(read, CompareConfig())
    assert (second.step, second.bits_per_byte, second.reference_bits, second.bits_change) == (20, 1.5, 1, 0.5)
    assert (third.status, third.reason) == ("not compared", "no step that both evaluated")
    # Its speed is that of the same steps, and the end of its schedule is told.
    other = replace(CONFIG, max_steps=200)
    slowed = made("d", [record(10, val_bits_per_byte=1.0), record(20, tokens_per_second=1.0)], other)
    found = verdict.verdicts(read_runs([tmp_path / "a", slowed]), CompareConfig())[1]
    assert found.tokens_per_second == 1024
    assert found.reason == "schedules end at different steps"
    zero = made("e", [record(10, val_bits_per_byte=0.0)])
    found = verdict.verdicts(read_runs([zero, tmp_path / "b"]), CompareConfig())[1]
    assert (found.status, found.reason) == ("not compared", "the reference's loss is 0 or not finite")


def test_runs_without_the_hash_of_their_data_say_so(made: Made) -> None:
    folders = [
        made(name, evaluated(1.0), identity={"data": data}) for name, data in (("a", None), ("b", "c" * 64))
    ]
    found = verdict.verdicts(read_runs(folders), CompareConfig())[1]
    assert found.reason == f"{folders[0]} does not say what data it was trained on"


def test_only_the_same_validation_text_is_compared(
    made: Made, data_dir: Path, config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = replace(CONFIG, data_dir=str(data_dir))
    hash_here = {"identity": {"data": runs.hashlib.sha256((data_dir / "manifest.json").read_bytes()).hexdigest()}}  # fmt: skip
    first, gone = made("a", evaluated(1.0), here, **hash_here), made("b", evaluated(1.0))
    assert judged(first, gone)[1] == (
        "not compared",
        "other data, and data_dir=no/data is gone or has changed",
    )
    other = data_dir.parent / "other_tokenizer"
    if not other.exists():
        other.mkdir()
        content = json.loads((data_dir / "manifest.json").read_text())
        content["tokenizer"]["name"] = content["options"]["tokenizer"] = "another"
        (other / "manifest.json").write_text(json.dumps(content))
        content["options"]["validation_fraction"] = 0.2
        (data_dir.parent / "other_split").mkdir()
        (data_dir.parent / "other_split/manifest.json").write_text(json.dumps(content))
    folders = [first]
    for name in ("other_tokenizer", "other_split"):
        place = data_dir.parent / name
        data = {"data": runs.hashlib.sha256((place / "manifest.json").read_bytes()).hexdigest()}
        config = replace(CONFIG, data_dir=str(place), eval_windows=7)
        folders.append(made(name, evaluated(1.0), config, identity=data))
    note = "other windows of the validation text, as eval_windows and tokenizer differ"
    assert judged(*folders)[1:] == [("as good", note), ("not compared", "other validation data")]


def test_the_exit_status_finds_a_regression(made: Made, tmp_path: Path) -> None:
    good, worse, out = made("good", evaluated(1.0)), made("worse", evaluated(1.05)), tmp_path / "x.html"
    done = compare(good, worse, f"--out={out}")
    assert (done.returncode, done.stderr) == (1, "")
    heading, first, second, noise, written = done.stdout.splitlines()
    assert heading.split()[:3] == ["run", "verdict", "bits/byte"]
    assert first.split()[:4] == [str(good), "reference", "1.0000", "100"]
    assert second.split()[:6] == [str(worse), "worse", "1.0500", "1.0000", "+5.00", "%"]
    assert second.endswith("finished  higher bits per byte")
    assert noise == verdict.NOISE
    assert re.fullmatch(re.escape(str(out)) + r": 4\.\d MB: open it in a browser", written)
    assert compare(good, worse, "--tolerance=0.051", f"--out={out}").returncode == 0
    assert compare(good, worse, f"--reference={worse}", f"--out={out}").returncode == 0
    assert compare(good, f"--out={out}").returncode == 0
    unknown = made("unknown", [])
    assert compare(good, unknown, f"--out={out}").returncode == 1, "not compared is not passed"


def test_mistakes_are_one_line(made: Made, tmp_path: Path) -> None:
    a, b = made("a", evaluated(1.0)), made("b", evaluated(1.0))
    (tmp_path / "empty").mkdir()
    corrupt = made("corrupt", [])
    (corrupt / "config.json").write_text("{")
    gap = made("gap", [])
    (gap / "metrics.jsonl").write_text("{}\n")
    no = tmp_path / "no"
    for words, message in [
        ([], "no run to compare: name the folders of runs, such as `out/a out/b`"),
        ([no], f"no folder {no}: name the folder of a run, or run `python train.py --out_dir={no}` first"),
        ([tmp_path / "empty"], f"no config.json in {tmp_path / 'empty'}, so it is no run: name the folder of a run, or run `python train.py --out_dir={tmp_path / 'empty'}` first"),
        ([a, f"{b}/../a"], f"{b}/../a: is the run {a} again: name each run once"),
        ([a, f"--reference={b}"], f"reference={b}: is not one of the runs: name its folder among them too"),
        ([a, "--tolerance=-1"], "tolerance=-1.0: must be at least 0, such as 0.01 for 1 %"),
        ([a, "--speed_tolerance=1"], "speed_tolerance=1.0: must be in [0, 1), such as 0.1 for 10 %"),
        ([a, "--port=-1"], "port=-1: must be in [0, 65535]"),
        ([a, "--live", f"--out={no}"], f"out={no}, live=True: set only one: a live page is not written to a file"),
        ([a, "--out", tmp_path], f"out={tmp_path}: is a folder: add the name of a file, such as compare.html"),
        ([a, f"--out={no / 'x.html'}"], f"out={no / 'x.html'}: no folder {no}: make it, or choose another --out"),
        ([a, "--tolerence=1"], "unknown setting --tolerence: did you mean tolerance?"),
    ]:  # fmt: skip
        assert one_line_error(compare(*words)) == message
    out = f"--out={tmp_path / 'x.html'}"
    assert one_line_error(compare(corrupt, out)).startswith(f"{corrupt / 'config.json'} is corrupt (")
    about = json.loads((a / "config.json").read_text())
    for key, value in (("max_steps", None), ("data_dir", None), ("batch_size", "x")):
        (corrupt / "config.json").write_text(json.dumps(about | {"config": about["config"] | {key: value}}))
        assert f"config.json is corrupt ({key} is {value!r}): " in one_line_error(compare(corrupt, out))
    assert one_line_error(compare(gap, out)).startswith(f"{gap / 'metrics.jsonl'}:1 is corrupt")
    (a / "evaluation").mkdir()
    (a / "evaluation/step_00000100.json").write_text("{")
    assert one_line_error(compare(a, out)).endswith(": delete it, then evaluate again")


def test_without_plotly_the_error_names_it(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "plotly.offline", None)
    done = compare(made("a", evaluated(1.0)), f"--out={tmp_path / 'x.html'}")
    assert one_line_error(done) == "plotly is not installed: run `pip install plotly`"


def test_words_and_settings_may_be_mixed() -> None:
    folders, config = parse_command(["a", "--out", "x.html", "b", "--tolerance=0.5", "c", "--live=False"], "")
    assert folders == [Path("a"), Path("b"), Path("c")]
    assert (config.out, config.tolerance, config.live) == ("x.html", 0.5, False)
    assert parse_command(["a", "--live"], "")[1].live


def test_evaluations_are_shown_whatever_they_measure(made: Made) -> None:
    folder = made("a", [])
    (folder / "evaluation").mkdir()
    measured = {
        "leads": {"items": 12000, "accuracy": 0.51234, "by": {"kind": 0.25}},
        "x, validation": {"bits_per_byte": 0.5, "bits_per_byte_interval": [0.4, 0.6], "left": None},
    }
    content = {f"{folder}, float32": measured, f"{folder}, int8, float32": {"leads": {"items": 5}}}
    (folder / "evaluation" / "step_00000100.json").write_text(json.dumps(content))
    leads, loss = evaluation_tables([read_run(folder)])
    assert (leads.title, leads.columns) == ("leads", ["model", "items", "accuracy", "by kind"])
    name = f"{folder}, step_00000100"
    assert leads.rows == [[f"{name}, float32", "12,000", "0.5123", "0.25"], [f"{name}, int8, float32", "5", "", ""]]  # fmt: skip
    assert loss.rows == [[f"{name}, float32", "0.5", "0.4, 0.6", "none"]]


def rendered(folders: list[Path]) -> tuple[list[TrainedRun], str]:
    read = read_runs(folders)
    return read, page.html(
        page.content(read, verdict.verdicts(read, CompareConfig()), CompareConfig(), time.time(), "")
    )


def test_nothing_of_a_run_is_html_and_nothing_is_fetched(made: Made, tmp_path: Path) -> None:
    config = replace(CONFIG, wandb_project=BREAKS_OUT)
    name = BREAKS_OUT.replace("/", "")
    _, html = rendered([made(name, [record(10, **{BREAKS_OUT: 1.0})], config), made("b", [])])
    ours = html.replace(page.plotly_source(), "")
    assert "<b>bold" not in ours
    assert ours.count("</script>") == ours.count("<script") == 4
    assert not re.search(r"""(?:src|href)\s*=|url\(|@import|https?://(?!www\.w3\.org/2000/svg)""", ours)
    policy = re.search('Content-Security-Policy" content="(.*?)"', html)
    assert policy
    assert policy[1].startswith("default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;; img-src data: blob:; script-src &#39;sha256-")  # fmt: skip


def test_the_server_answers_with_what_is_new(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.compare.api.now", lambda: 1e9)
    folder = made("a", [record(10)])
    client = TestClient(Gate(Api([folder], CompareConfig()).app(), ""), base_url="http://localhost")
    policies = [client.get(path).headers["Content-Security-Policy"] for path in ("/script.js", "/")]
    assert policies[0] == HEADERS["Content-Security-Policy"]
    assert policies[1].startswith(f"{policies[0]}; style-src 'self' 'unsafe-inline';")
    first = client.get("/api/runs").json()
    assert first["runs"][0]["steps"] == [10]
    assert client.get("/api/runs", params={"since": first["version"]}).status_code == 204
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(record(20)) + "\n")
    second = client.get("/api/runs", params={"since": first["version"]})
    assert second.json()["runs"][0]["steps"] == [10, 20]
    (folder / "evaluation").mkdir()
    (folder / "evaluation/step_00000020.json").write_text('{"m, float32": {"leads": {"accuracy": 0.5}}}')
    third = client.get("/api/runs", params={"since": second.json()["version"]})
    assert "leads" in third.json()["tables"]
    os.rename(folder, folder.with_name("moved"))
    answer = client.get("/api/runs")
    assert (answer.status_code, answer.json()["error"]["message"][:9]) == (503, "no folder")
    with pytest.raises(UserError, match="no folder"):
        Api([folder], CompareConfig())


SUMMARY = """
return [...document.querySelectorAll('.plot')].map(plot => [
    plot.dataset.key, plot.querySelectorAll('.scatterlayer .trace').length, plot._fullLayout.xaxis.type, plot._fullLayout.xaxis.title.text])
"""


def test_only_numbers_are_drawn() -> None:
    assert [page.rounded(value) for value in (1.23456789, 2, None, True, "3", [4])] == [
        1.23457,
        2.0,
        None,
        None,
        None,
        None,
    ]


def test_what_only_evaluations_record_is_not_smoothed() -> None:
    assert page.figure("mfu") == {"key": "mfu", "title": "mfu", "noisy": True}
    title = "Task leads (share of right answers)"
    assert page.figure("task_leads") == {"key": "task_leads", "title": title, "noisy": False}
    assert [page.figure(key)["noisy"] for key in ("loss", "val_loss", "learning_rate")] == [
        True,
        False,
        False,
    ]


def figures(browser: Any) -> dict[str, tuple[int, str, str]]:
    """Return of each figure how many lines it has, and of its x axis the type and the title."""
    return {key: (n, kind, title) for key, n, kind, title in browser.execute_script(SUMMARY)}


def wait_until_drawn(browser: Any) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    settled = "return shown.figures.length > 0 && stale.size === 0 && !frame"
    WebDriverWait(browser, 30).until(lambda _: browser.execute_script(settled))


def resize(browser: Any, width: int) -> None:
    size = {"width": width, "height": 4000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


@pytest.mark.long
@pytest.mark.thorough
def test_a_browser_draws_the_figures(made: Made, browser: Any, tmp_path: Path) -> None:
    """Axes, smoothing, hiding, zooming; a narrow screen; nothing is requested, and no error is logged."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    skipped = {"step": 105, "loss": None, "grad_norm": None, "skipped": True}
    long = [record(step, loss=math.sin(step) + 3, learning_rate=1e-3) for step in range(1000, 5000)]
    folders = [
        made("a" * 100, [*evaluated(1.0), skipped, *long]),
        made(BREAKS_OUT.replace("/", ""), evaluated(1.1)),
    ]
    _, html = rendered(folders)
    (tmp_path / "x.html").write_text(html, encoding="utf-8")
    resize(browser, 1280)
    browser.get((tmp_path / "x.html").as_uri())
    wait_until_drawn(browser)
    smooth = {key: n for key, (n, _, _) in figures(browser).items()}
    assert smooth == {"loss": 5, "val_loss": 2, "val_bits_per_byte": 2, "tokens_per_second": 4, "grad_norm": 4, "learning_rate": 1}  # fmt: skip
    assert {(kind, title) for _, kind, title in figures(browser).values()} == {("linear", "step")}
    count = "return document.querySelector('.plot').data[0].x.length"
    assert 300 < browser.execute_script(count) < 1000, "4,000 records are thinned out"
    browser.execute_script("zoomed('loss', {'xaxis.range[0]': 2000, 'xaxis.range[1]': 2100})")
    wait_until_drawn(browser)
    assert browser.execute_script(count) == 103, "all records of what is visible, and one beyond either end"
    browser.find_element(By.ID, "reset").click()
    for number in ("x-log", "y-log"):
        browser.find_element(By.ID, number).click()
    browser.find_element(By.CSS_SELECTOR, "#x option[value='tokens']").click()
    browser.find_element(By.CSS_SELECTOR, "#smoothing option[value='1']").click()
    wait_until_drawn(browser)
    assert figures(browser)["loss"] == (3, "log", "tokens")
    browser.find_element(By.CSS_SELECTOR, "#legend input").click()
    wait_until_drawn(browser)
    assert figures(browser)["loss"][0] == 1
    assert browser.find_elements(By.CSS_SELECTOR, "#legend label")[1].text == folders[1].as_posix()
    resize(browser, 390)
    fits = "return document.documentElement.scrollWidth <= innerWidth"
    WebDriverWait(browser, 30).until(lambda _: browser.execute_script(fits))  # once plotly has followed
    assert browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)") == []  # fmt: skip
    assert browser.get_log("browser") == []


@pytest.mark.long
@pytest.mark.thorough
def test_a_live_page_shows_new_records_and_keeps_what_was_chosen(made: Made, browser: Any) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    folders = [made("a", evaluated(1.0)[:5]), made("b", evaluated(1.1, step=50)[:5])]
    with served(Api(folders, CompareConfig()).app()) as address:
        resize(browser, 1280)
        browser.get(address)
        wait_until_drawn(browser)
        browser.execute_script("setInterval(refresh, 200)")  # every five seconds would be long
        wait_until_drawn(browser)
        browser.find_element(By.CSS_SELECTOR, "#legend input").click()
        browser.find_element(By.ID, "same").click()
        drawing = browser.find_element(By.CSS_SELECTOR, ".plot .nsewdrag")
        drag = (
            ActionChains(browser).move_to_element(drawing).click_and_hold().move_by_offset(100, 50).release()
        )
        drag.perform()
        wait_until_drawn(browser)
        zoomed = browser.execute_script("return xRange")
        assert 0 < zoomed[0] < zoomed[1] < 100
        assert "50/100" in browser.find_element(By.ID, "tables").text
        with (folders[1] / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(record(60)) + "\n")
        WebDriverWait(browser, 30).until(lambda _: "60/100" in browser.find_element(By.ID, "tables").text)
        wait_until_drawn(browser)
        assert browser.execute_script("return [shown.runs[1].steps.length, hidden.size]") == [6, 1]
        ranges = browser.execute_script(
            "return [...document.querySelectorAll('.plot')].map(one => one.layout.xaxis.range)"
        )
        assert ranges == [zoomed] * len(ranges)
        ActionChains(browser).double_click(drawing).perform()
        wait_until_drawn(browser)
        assert browser.execute_script("return xRange") is None
        assert browser.find_element(By.ID, "same").get_attribute("open")
        requested = browser.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")  # fmt: skip
        assert all(name.startswith(f"{address}/") for name in requested)
        assert browser.get_log("browser") == []
    WebDriverWait(browser, 30).until(lambda _: "the server is not reached" in browser.find_element(By.ID, "status").text)  # fmt: skip


@pytest.mark.thorough
def test_thousands_of_steps_stay_smooth(made: Made, browser: Any, tmp_path: Path) -> None:
    """Four runs of 20,000 records each. Prints the times that docs/comparing.md states."""
    chooser, folders = random.Random(1), []
    for name in "abcd":
        long = [record(step, loss=2 + 6 / step + chooser.gauss(0, 0.1), grad_norm=chooser.random()) for step in range(1, 20_001)]  # fmt: skip
        folders.append(made(name, long))
    began = time.perf_counter()
    _, html = rendered(folders)
    (tmp_path / "x.html").write_text(html, encoding="utf-8")
    written = time.perf_counter()
    resize(browser, 1280)
    browser.get((tmp_path / "x.html").as_uri())
    wait_until_drawn(browser)
    opened = time.perf_counter()
    redraw = """
    const [done, began] = [arguments[0], performance.now()];
    const wait = () => stale.size || frame ? requestAnimationFrame(wait) : done((performance.now() - began) / 1000);
    """
    times = {
        what: browser.execute_async_script(f"{change}; draw(); {redraw} wait();")
        for what, change in [
            ("smoothing", "one('smoothing').value = '500'"),
            ("zoom", "xRange = [1000, 3000]"),
            ("time on a log axis", "xRange = null; one('x').value = 'seconds'; one('x-log').checked = true"),
        ]
    }
    size = len(html.encode()) / 1e6
    print(
        f"\n{size:.1f} MB, written in {written - began:.1f} s, opened in {opened - written:.1f} s, all figures redrawn:"
    )
    print(", ".join(f"{what} {seconds:.2f} s" for what, seconds in times.items()))
    assert opened - written < 20
    assert max(times.values()) < 4
