from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent.emulator.http_messages import Refused
from nhagent.emulator.sends.tag_expressions import read_tag_expression

# What an expression means, in Python's own operators: the text, and a function of the tags.
Meaning = tuple[str, Callable[[set[str]], bool]]

TAGS = "abcde"


def _tag(tag: str) -> Meaning:
    return tag, lambda tags: tag in tags


def _not(inner: Meaning) -> Meaning:
    return f"!({inner[0]})", lambda tags: not inner[1](tags)


def _both(pair: tuple[Meaning, Meaning]) -> Meaning:
    left, right = pair
    return f"({left[0]}) && ({right[0]})", lambda tags: left[1](tags) and right[1](tags)


def _either(pair: tuple[Meaning, Meaning]) -> Meaning:
    left, right = pair
    return f"({left[0]}) || ({right[0]})", lambda tags: left[1](tags) or right[1](tags)


def _more(inner: st.SearchStrategy[Meaning]) -> st.SearchStrategy[Meaning]:
    return st.one_of(
        inner.map(_not), st.tuples(inner, inner).map(_both), st.tuples(inner, inner).map(_either)
    )


MEANINGS = st.recursive(st.sampled_from(TAGS).map(_tag), _more, max_leaves=6)


@given(MEANINGS, st.sets(st.sampled_from(TAGS)))
def test_an_expression_is_true_of_the_tags_that_it_says(meaning: Meaning, tags: set[str]) -> None:
    text, is_true = meaning
    expression = read_tag_expression(text)
    assert expression.holds(tags) == is_true(tags)
    again = read_tag_expression(str(expression))
    assert (str(again), again.holds(tags)) == (str(expression), is_true(tags))
    if not is_true(tags):
        failing = expression.failing(tags)
        assert not read_tag_expression(failing).holds(tags)


@given(MEANINGS, st.sets(st.sampled_from(TAGS)), st.dictionaries(st.sampled_from(TAGS), st.integers(0, 9)))
def test_whoever_is_meant_has_one_of_the_tags_that_are_needed(
    meaning: Meaning, tags: set[str], counts: dict[str, int]
) -> None:
    expression = read_tag_expression(meaning[0])
    needed = expression.needed(lambda tag: counts.get(tag, 0))
    if needed is not None and expression.holds(tags):
        assert needed & tags


def test_of_two_tags_that_are_both_needed_the_rarer_one_is_looked_up() -> None:
    expression = read_tag_expression("everybody && few && !nobody")
    assert expression.needed({"everybody": 1000, "few": 3}.__getitem__) == frozenset({"few"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a||b&&c", "a || b && c"),
        ("!a&&b", "!a && b"),
        ("!(a&&b)", "!(a && b)"),
        ("(a||b)&&c", "(a || b) && c"),
        ("((a))", "a"),
        ("!!a", "!!a"),
        ("$InstallationId:{a-1}||$UserId:{ann}", "$InstallationId:{a-1} || $UserId:{ann}"),
        ("  a.b:c#d@e_f-g  ", "a.b:c#d@e_f-g"),
        ("||".join(f"t{number}" for number in range(20)), " || ".join(f"t{number}" for number in range(20))),
    ],
)
def test_not_binds_before_and_and_and_before_or(text: str, shown: str) -> None:
    assert str(read_tag_expression(text)) == shown


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "&&", "a b", "a &&", "|| a", "!", "()", "(a", "a)", "a & b", "a | b", "a,b", "ä", "a+b"),
        *("$Other:{a}", "$InstallationId:a", "$InstallationId:{a", "a && || b", "x" * 121, "not a"),
        *("(" * 5000 + "a" + ")" * 5000, "!" * 5000 + "a", "||".join("a" * 21), "a&&b&&c&&d&&e&&f&&g"),
        "a||b||c||d||e||f||!g",
    ],
)
def test_what_is_no_expression_is_refused_in_words(text: str) -> None:
    with pytest.raises(Refused) as refused:
        read_tag_expression(text)
    assert refused.value.status == 400
    assert str(refused.value.detail).startswith("The tag expression '")
    assert len(str(refused.value.detail)) < 300


@given(st.text(alphabet="ab!&|() $:{}é,", max_size=60))
def test_no_text_is_worse_than_refused(text: str) -> None:
    try:
        read_tag_expression(text)
    except Refused as refused:
        assert refused.status == 400
