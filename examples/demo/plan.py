"""What the demo trains, stores and merges: one table of data for each."""

from __future__ import annotations

from dataclasses import dataclass

from examples.demo.train import Settings

BASE = "minilm"
LICENCE = ("--licence", "Apache-2.0")
FINE_TUNES = {
    "german": Settings("german", "plain"),
    "french": Settings("french", "classifier"),
    "spanish": Settings("spanish", "adapter", learning_rate=2e-3),
}
HEAD = "french"  # the fine-tune whose classifier the named merges carry
DROP_RATES = {"-p50": 0.5, "": 0.9, "-p99": 0.99}


@dataclass(frozen=True)
class Skill:
    """One skill to register: its name, the fine-tune it is made from, and the options that say how it is stored."""

    name: str
    fine_tune: str
    options: tuple[str, ...]


@dataclass(frozen=True)
class Merge:
    """One merge that gets a name."""

    name: str
    expression: str
    method: str


@dataclass(frozen=True)
class Row:
    """One model to materialize and measure, made of the base and the stored ``skills``.

    ``target`` is what to materialize, an expression or the name of a merge; the latter's folder is kept.
    ``rebuilds`` names the fine-tune that the model must equal to the bit.
    """

    label: str
    group: str
    target: str
    options: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    rebuilds: str = ""


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


def merges() -> list[Merge]:
    """The two merges that get a name."""
    return [
        Merge("bilingual", _sum(0.6, "german", "french"), "dare_linear"),
        Merge("polyglot", _sum(0.5, "german", "french", "spanish"), "dare_linear"),
    ]


def rows() -> list[Row]:
    """Every model of the final table, in its order."""
    return [Row("the base model", "base", BASE), *_trained(), *_sparsified(), *_merged()]


def _trained() -> list[Row]:
    found = []
    for name, settings in FINE_TUNES.items():
        if settings.form == "adapter":
            found.append(_row(f"{name}, LoRA adapter", "as fine-tuned", (name,)))
        else:
            found.append(_row(f"{name}, exact", "as fine-tuned", (f"{name}-exact",), rebuilds=name))
    return found


def _sparsified() -> list[Row]:
    """Each skill alone after DARE: as it is stored, or for the adapter, which is stored whole, while merging."""
    found = []
    for name, settings in FINE_TUNES.items():
        for suffix, rate in DROP_RATES.items():
            if settings.form == "adapter":
                options = ("--method", "dare_linear", "--param", f"drop_rate={rate}")
                found.append(_row(f"{name}, p={rate:g} while merging", "after DARE", (name,), *options))
            else:
                found.append(_row(f"{name}, p={rate:g}", "after DARE", (name + suffix,)))
    return found


def _merged() -> list[Row]:
    bilingual, polyglot = merges()
    two, two_exact = ("german", "french"), ("german-exact", "french-exact")
    three, three_exact = (*two, "spanish"), (*two_exact, "spanish")
    pair, trio = "german + french", "german + french + spanish"
    return [
        _row("plain sum, .6 each", pair, two_exact, weight=0.6),
        _named("dare_linear, .6 each", pair, bilingual, two),
        _row("plain sum, .5 each", trio, three_exact, weight=0.5),
        _named("dare_linear, .5 each", trio, polyglot, three),
        _row("ties", trio, three_exact, "--method", "ties"),
        _row("dare_ties, λ=.5", trio, three, "--method", "dare_ties", "--param", "lambda=0.5"),
    ]


def _row(label: str, group: str, used: tuple[str, ...], *options: str, weight: float = 1, rebuilds: str = "") -> Row:
    return Row(label, group, _sum(weight, *used), options, used, rebuilds)


def _named(label: str, group: str, merge: Merge, used: tuple[str, ...]) -> Row:
    return Row(f"{label}: “{merge.name}”", group, merge.name, ("--head", HEAD), used)


def _sum(weight: float, *names: str) -> str:
    factor = "" if weight == 1 else f"{weight:g}*"
    return " + ".join([BASE, *(factor + name for name in names)])
