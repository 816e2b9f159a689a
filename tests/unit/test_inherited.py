"""What a result inherits of what its inputs say of themselves, by the rules that are stated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry import inherited


def card(**facts):
    return {"card": facts}


def test_data_sets_and_languages_are_those_of_any():
    trainings = [
        card(datasets=["lab/b", "a"], language="en"),
        {"meta": {"dataset": "gsm8k"}, "card": {"language": ["de", "en"]}},
        {"meta": {"dataset": "our own, of last week"}},
        {},
    ]
    assert inherited.datasets(trainings) == ["a", "gsm8k", "lab/b"]
    assert inherited.languages(trainings) == ["de", "en"]


@pytest.mark.parametrize(
    ("tasks", "chosen", "found"),
    [
        ([], None, None),
        (["text-generation"], None, "text-generation"),
        (["text-generation", None, "text-generation"], None, "text-generation"),
        (["text-generation", "fill-mask"], None, None),
        (["text-generation", "fill-mask"], "fill-mask", "fill-mask"),
        (["text-generation"], "text-classification", "text-classification"),
        (["text-generation"], "Not A Task", "text-generation"),
    ],
)
def test_the_task_is_the_chosen_one_s_or_that_of_all(tasks, chosen, found):
    trainings = [card(pipeline_tag=task) if task else {} for task in tasks]
    assert inherited.task(trainings, card(pipeline_tag=chosen) if chosen else None) == found


def test_the_address_of_a_licence_is_the_one_that_is_given():
    link = "https://example.com/terms"
    assert inherited.licence_link([card(license_link=link), {}, card(license_link=link)]) == link
    assert inherited.licence_link([card(license_link=link), card(license_link=link + "2")]) is None
    for bad in ("LICENSE", "javascript:alert(1)", "https://a b", "https://a\nb", 7, [link, "https://b"]):
        assert inherited.licence_link([card(license_link=bad)]) is None


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner), max_leaves=5
)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["card", "meta", "trainer"]),
            st.dictionaries(
                st.sampled_from(["datasets", "dataset", "language", "pipeline_tag", "license_link"]), ANYTHING
            )
            | ANYTHING,
        )
    )
)
def test_whatever_is_said_what_is_taken_over_has_the_hub_s_form_and_no_order(trainings):
    found = inherited.datasets(trainings), inherited.languages(trainings), inherited.task(trainings)
    turned = trainings[::-1]
    assert found == (inherited.datasets(turned), inherited.languages(turned), inherited.task(turned))
    for text in (*found[0], *found[1], *filter(None, [found[2], inherited.licence_link(trainings)])):
        assert text.isascii()
        assert text.isprintable()
        assert " " not in text
