"""What the demo trains, stores and merges: one table of data for each."""

from __future__ import annotations

from dataclasses import dataclass

from examples.demo.train import Settings

BASE = "minilm"
FINE_TUNES = {
    "german": Settings("german", "plain"),
    "french": Settings("french", "classifier"),
    "spanish": Settings("spanish", "adapter", learning_rate=2e-3),
}
HEAD = "french"  # the fine-tune whose classifier the merges carry
DROP_RATES = {"-p50": 0.5, "": 0.9, "-p99": 0.99}


@dataclass(frozen=True)
class Skill:
    """One skill to register: its name, the fine-tune it is made from, and the options that say how it is stored."""

    name: str
    fine_tune: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One model to materialize and measure; ``skills`` are the stored skills it is made of."""

    label: str
    group: str
    expression: str
    options: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()


def skills() -> list[Skill]:
    """Both full fine-tunes, losslessly and at every drop rate, and the adapter as it is."""
    planned = []
    for name, settings in FINE_TUNES.items():
        if settings.form == "adapter":
            planned.append(Skill(name, name, ()))
            continue
        planned.append(Skill(f"{name}-exact", name, ("--encoding", "exact")))
        planned += [Skill(f"{name}{s}", name, ("--drop-rate", str(p))) for s, p in DROP_RATES.items()]
    return planned


def merges() -> dict[str, tuple[str, str]]:
    """The merges that get a name: expression and method."""
    return {
        "bilingual": (_sum(0.6, "german", "french"), "dare_linear"),
        "polyglot": (_sum(0.5, "german", "french", "spanish"), "dare_linear"),
    }


def rows() -> list[Row]:
    """Every model of the final table, in its order."""
    return [Row("the base model", "base", BASE), *_trained(), *_sparsified(), *_merged()]


def _trained() -> list[Row]:
    stored = {n: n if s.form == "adapter" else f"{n}-exact" for n, s in FINE_TUNES.items()}
    labels = {"plain": "", "classifier": ", with classifier", "adapter": ", LoRA adapter"}
    return [
        _row(name + labels[FINE_TUNES[name].form], "fine-tunes, stored losslessly", _sum(1, skill), "task_arithmetic")
        for name, skill in stored.items()
    ]


def _sparsified() -> list[Row]:
    found = []
    for name, settings in FINE_TUNES.items():
        for suffix, rate in DROP_RATES.items():
            label = f"{name}, DARE p={rate:g}"
            if settings.form == "adapter":
                options = ("--param", f"drop_rate={rate}")
                found.append(_row(label + " while merging", "DARE", _sum(1, name), "dare_linear", *options))
            else:
                found.append(_row(label, "DARE", _sum(1, name + suffix), "dare_linear"))
    return found


def _merged() -> list[Row]:
    two, two_exact = _sum(0.6, "german", "french"), _sum(0.6, "german-exact", "french-exact")
    three, three_exact = ("german", "french", "spanish"), ("german-exact", "french-exact", "spanish")
    return [
        _row(".6 german + .6 french, plain sum", "two languages", two_exact, "task_arithmetic"),
        _row(".6 german + .6 french, dare_linear (bilingual)", "two languages", two, "dare_linear"),
        _row(".5 of each, plain sum", "three languages", _sum(0.5, *three_exact), "task_arithmetic"),
        _row(".5 of each, dare_linear (polyglot)", "three languages", _sum(0.5, *three), "dare_linear"),
        _row("ties", "three languages", _sum(1, *three_exact), "ties"),
        _row("dare_ties, λ=.5", "three languages", _sum(1, *three), "dare_ties", "--param", "lambda=0.5"),
    ]


def _row(label: str, group: str, expression: str, method: str, *options: str) -> Row:
    used = tuple(term.rpartition("*")[2] for term in expression.split(" + ")[1:])
    return Row(label, group, expression, ("--method", method, *options), used)


def _sum(weight: float, *names: str) -> str:
    factor = "" if weight == 1 else f"{weight:g}*"
    return " + ".join([BASE, *(factor + name for name in names)])
