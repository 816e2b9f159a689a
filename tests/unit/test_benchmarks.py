"""The benchmarks themselves: what they generate, how they measure, what they make of the figures."""

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

import pytest

import benchmarks.__main__ as benchmark
from benchmarks import copying, device, mergekit, ours, page, results
from benchmarks.curves import points
from benchmarks.measure import Work, interleave, plain_environment, run
from benchmarks.models import write_adapter, write_model
from benchmarks.results import Result, load, save
from benchmarks.shapes import SHAPES, factors, parameters, tensors
from benchmarks.targets import ADAPTERS, COMPARISON, COPY, DEVICE, GROWTH, MERGES, TARGETS, Target
from storage.checkpoints.safetensors_file import read_header

PYTHON = sys.executable
TINY = "361b1f7a11b63086110d01f71c31860688cbb0fd91c5bd8f4d6ada612d3a805a"


def content(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_models_are_the_same_bytes_every_time(tmp_path):
    for number, folder in enumerate(("once", "again")):
        write_model(tmp_path / folder / "base", "tiny")
        write_model(tmp_path / folder / "fine-tune", "tiny", 0)
        write_adapter(tmp_path / folder / "adapter", "tiny", 0)
        assert number == 0 or all(
            content(tmp_path / "once" / kind) == content(tmp_path / "again" / kind)
            for kind in ("base", "fine-tune", "adapter")
        )
    assert content(tmp_path / "once" / "base") != content(tmp_path / "once" / "fine-tune")
    assert content(write_model(tmp_path / "other", "tiny", 1)) != content(tmp_path / "once" / "fine-tune")


def test_the_first_values_of_a_model_are_what_they_were(tmp_path):
    """Results of different days are of the same models."""
    path = write_model(tmp_path, "tiny") / "model.safetensors"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == TINY


def test_a_model_in_files_is_the_same_model(tmp_path):
    whole, split = write_model(tmp_path / "whole", "tiny"), write_model(tmp_path / "split", "tiny", shards=5)
    assert len(list(split.glob("*.safetensors"))) == 5
    assert values(whole) == values(split)


def values(folder):
    found = {}
    for path in folder.glob("*.safetensors"):
        raw = path.read_bytes()
        length = int.from_bytes(raw[:8], "little")
        for name, entry in json.loads(raw[8 : 8 + length]).items():
            if name != "__metadata__":
                first, last = entry["data_offsets"]
                found[name] = raw[8 + length + first : 8 + length + last]
    return found


def test_sizes_are_what_they_are_called():
    sizes = {size: parameters(size) for size in SHAPES}
    assert sizes["0.5B"] == 494_005_120
    assert all(abs(sizes[size] / (float(size[:-1]) * 1e9) - 1) < 0.02 for size in ("0.05B", "0.1B", "0.5B"))
    assert 0.9 * 8e9 < sizes["8B"] < 8e9
    assert factors(SHAPES["tiny"])["base_model.model.model.layers.0.mlp.up_proj.lora_B.weight"] == (128, 16)


def test_a_generated_model_has_the_tensors_of_its_shape(tmp_path):
    path = write_model(tmp_path, "tiny") / "model.safetensors"
    entries, _ = read_header(path)
    assert {name: entry.shape for name, entry in entries.items()} == tensors(SHAPES["tiny"])


def test_the_careful_copy_copies(tmp_path, monkeypatch):
    monkeypatch.setattr(copying, "PIECE", 1000)
    source = write_model(tmp_path / "base", "tiny")
    digests = copying.copy_folder(source, tmp_path / "copy")
    assert digests == content(source) == content(tmp_path / "copy")


def test_a_command_is_measured_with_its_children():
    spend = "import time; end = time.process_time() + .3\nwhile time.process_time() < end: pass"
    hold = "import time; held = bytearray(b'x' * (64 << 20)); time.sleep(.5)"
    script = f"import subprocess, sys; [subprocess.run([sys.executable, '-c', code]) for code in ({spend!r}, {hold!r})]"
    cost = run([PYTHON, "-c", script])
    assert cost.wall > 0.8
    assert cost.cpu > 0.3
    assert cost.memory > 64
    assert cost.private > 64


def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match="out of cheese"):
        run([PYTHON, "-c", "raise SystemExit('out of cheese')"])


def test_rows_take_turns_after_one_run_that_does_not_count(tmp_path):
    said = tmp_path / "said"
    append = f"open({str(said)!r}, 'a').write('%s ')"

    def say(word):
        with said.open("a") as file:
            file.write(word + " ")

    works = [
        Work("a", [PYTHON, "-c", append % "a"], often=2),
        Work("b", lambda: [PYTHON, "-c", append % "b"], lambda: say("before")),
        Work("c", [PYTHON, "-c", append % "c"], warm_up=lambda: say("warm")),
    ]
    costs = interleave(works, 2, 1 << 20, lambda line: None)
    assert said.read_text() == "a before b warm a a before b c a a before b c "
    assert {name: len(each) for name, each in costs.items()} == {"a": 4, "b": 2, "c": 2}


def sample(**medians):
    """A result in which every row takes 8 s of wall and CPU time and 400 MiB, but those given by name."""
    rows = [row for method in mergekit.METHODS for row in mergekit.rows(method)]
    rows += [*MERGES, ADAPTERS, COPY, *GROWTH.values(), "register a skill, dare p=.9"]
    rows += ["mergestore --help", "mergestore list"]
    found = {row: [{"wall": 8.0, "cpu": 8.0, "memory": 400.0, "private": 100.0}] * 3 for row in rows}
    for row, figures in medians.items():
        found[row] = [{**found[row][0], **{name: value + off for name, value in figures.items()}} for off in (0, -1, 2)]
    facts = {"bits": {"dare p=.9": 0.35, "dare p=.99": 0.05, "exact": 6.5}}
    return Result("comparison", "test", {"place": "here"}, facts, found)


def verdicts(result):
    return {
        target.work: (target.shown.format(value := target.measure(result)), target.verdict(value))
        for target in COMPARISON
    }


def test_ratios_are_of_medians_and_of_the_better_mergekit():
    result = sample(
        **{
            "mergekit dare_ties": {"cpu": 90.0},
            "mergekit dare_ties, lean, int8 masks": {"cpu": 60.0},
            "mergekit dare_ties, lean": {"cpu": 70.0},
            "mergekit dare_ties, lean, all threads": {"cpu": 80.0},
            "dare_ties, 3 skills": {"cpu": 4.0},
            "task_arithmetic, 3 skills": {"cpu": 4.0, "wall": 12.0},
            "task_arithmetic, 9 skills": {"wall": 16.0},
        }
    )
    found = verdicts(result)
    assert found["dare_ties, 3 skills: CPU against mergekit"] == ("15.0x less", "met")
    assert found["task_arithmetic, 3 skills: CPU against mergekit"] == ("2.0x less", "missed by 67%")
    assert found["task_arithmetic, 3 skills: wall against the careful copy"] == ("1.50x", "met")
    assert found["each further skill: wall, share of the careful copy"] == ("11.5%", "met")
    assert found["peak memory against mergekit, worst method"] == ("1.000", "missed by 300%")
    assert found["stored bits per parameter, dare p = .99"] == ("0.0500", "missed by 19%")


def test_targets_at_the_device_are_bandwidths():
    rows = {target.work.partition(":")[0]: [{"wall": 0.010}] for target in DEVICE[:4]}
    rows |= {"resident, 3 skills, deltas on the host": [{"wall": 0.07}], "cold to device, load": [{"wall": 8.0}]}
    limits = {"device copy": 4000.0, "disk read": 3.0, "host to device": 50.0}
    result = Result("device", "test", {}, {"model bytes": 16_000_000_000, "limits": limits}, rows)
    shares = [target.measure(result) for target in DEVICE]
    assert shares == pytest.approx([0.8] * 4 + [0.010, 0.07, 2 / 3])
    assert [target.met(share) for target, share in zip(DEVICE, shares, strict=True)] == [True] * 5 + [False] * 2


def test_a_slope_below_zero_is_no_measurement():
    result = sample(**{"task_arithmetic, 1 skill": {"wall": 20.0}})
    assert verdicts(result)["each further skill: wall, share of the careful copy"][1].startswith("not measured")


def test_models_of_another_size_are_not_judged(tmp_path):
    for size, judged in (("0.5B", True), ("tiny", False)):
        path = save(dataclasses.replace(sample(), about={"place": size, "size": size}), tmp_path)
        block = page.block("targets", path)
        assert ("| met |" in block) == judged
        assert ("of another size" in block) != judged


def test_a_bound_is_met_on_its_own_side():
    assert Target("", 2, float, "", at_least=True).met(2)
    assert not Target("", 2, float, "", at_least=True).met(1.9)
    assert Target("", 2, float, "").met(2)
    assert not Target("", 2, float, "").met(2.1)


def test_results_are_kept_as_they_are(tmp_path):
    result = sample()
    path = save(result, tmp_path)
    assert path.name == "here-test.json"
    assert load(path) == result
    assert len(path.read_text().splitlines()) < 5 * len(result.rows) + 40  # a run is one line


def test_blocks_come_from_the_file_that_they_name(tmp_path):
    save(dataclasses.replace(sample(), about={"place": "here"}), tmp_path)
    end = "<!-- figures: end -->\n"
    text = f"a\n<!-- figures: targets here-test -->\nold\n{end}b\n<!-- figures: device gone -->\n{end}"
    written = page.rewrite(text, tmp_path)
    assert "old" not in written
    assert "| registering a skill: CPU | ≤ 10.00 s | 8.00 s | met |" in written
    assert written.endswith(f"b\n<!-- figures: device gone -->\nNot measured.\n{end}")
    assert page.rewrite(written, tmp_path) == written


def test_the_page_shows_what_the_results_files_say():
    text = page.PAGE.read_text()
    assert page.rewrite(text) == text
    assert text.count("<!-- figures: ") == 2 * text.count("<!-- figures: end -->")


def test_results_files_hold_what_their_targets_need():
    found = [load(path) for path in results.FOLDER.glob("*.json")]
    for result in found:
        assert all(target.measure(result) > float("-inf") for target in TARGETS.get(result.kind, ()))
    assert {result.kind for result in found} <= {"comparison", "curves", "device", "growth", "objects", "store"}


def test_points_of_a_curve_are_told_from_those_of_another():
    rows = {name: [{"wall": 1.0}] for name in ("skills 1", "skills of dare_ties 1", "skills 64", "drop rate 0.5")}
    assert points(Result("curves", "", {}, {}, rows), "skills") == [(1.0, "skills 1"), (64.0, "skills 64")]


def test_mergekit_is_asked_for_the_same_work(tmp_path):
    models = [Path("ft0"), Path("ft1")]
    path = mergekit.write_configuration(
        tmp_path / "c.yml", mergekit.METHODS["ties"], Path("base"), models, (0.5, 0.3), {}
    )
    assert path.read_text() == (
        "merge_method: ties\nbase_model: base\ndtype: bfloat16\nout_dtype: bfloat16\nmodels:\n"
        "  - model: ft0\n    parameters:\n      weight: 0.5\n      density: 0.2\n"
        "  - model: ft1\n    parameters:\n      weight: 0.3\n      density: 0.2\n"
    )
    assert f"mergekit=={mergekit.VERSION}" in mergekit.CONSTRAINTS.read_text().splitlines()


def test_expressions_weigh_each_skill():
    assert ours.expression(["a", "b", "c"], ours.WEIGHTS) == "base + 0.5*a + 0.3*b + 0.2*c"
    assert ours.expression(["a"] * 3) == "base + 0.3333*a + 0.3333*a + 0.3333*a"


def test_settings_of_the_caller_do_not_lead_us_elsewhere(monkeypatch):
    monkeypatch.setenv("MERGESTORE_HOME", "/elsewhere")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://elsewhere")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("LANG", "de")
    assert plain_environment()["LANG"] == "de"
    assert not [name for name in plain_environment() if name.startswith(("MERGESTORE", "MLFLOW", "PYTHONDONT"))]


def test_nothing_is_said_of_a_device_that_is_not_there(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(device, "present", lambda name: False)
    monkeypatch.setattr("sys.argv", ["benchmarks", "device", "--work", str(tmp_path), "--output", str(tmp_path)])
    benchmark.main()
    assert capsys.readouterr() == ("", "no cuda device here: nothing measured\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_resident_mode_is_measured_on_what_is_there(tmp_path, monkeypatch):
    monkeypatch.setattr(device.DeviceBench, "_facts", lambda bench: {})  # the machine's limits take a while
    result = device.DeviceBench(tmp_path, "tiny", "cpu").measure(1)
    assert list(result.rows) == [
        *(f"resident, {count} skill{'s' * (count > 1)}" for count in (1, 2, 3, 4)),
        "cold to device, load",
        "cold to device, resident",
    ]
