"""What a rater may answer: forms in, JSON out and back, and the sentence for what does not fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Unprocessable
from app.study.answers import (
    CHOICES,
    LONGEST_EXPLANATION,
    SKIPS,
    GuessAnswer,
    IntruderAnswer,
    PageAnswer,
    PairAnswer,
    Skip,
    check_guess,
    check_task,
    from_form,
    from_json,
    right,
    to_json,
)

scores = st.integers(1, 5)
written = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=50)
answers = st.one_of(
    st.tuples(st.just("page"), st.builds(PageAnswer, scores, st.none() | scores, st.none() | written)),
    st.tuples(st.just("pair"), st.builds(PairAnswer, scores, scores, st.sampled_from(CHOICES))),
    st.tuples(st.just("intruder"), st.builds(IntruderAnswer, scores)),
    st.tuples(st.just("guess"), st.builds(GuessAnswer, st.none() | st.just("trained"), scores)),
    st.tuples(st.sampled_from(["page", "pair", "intruder"]), st.builds(Skip, st.sampled_from(SKIPS))),
)


@given(answers)
def test_every_answer_survives_json_and_fits_its_task(drawn) -> None:
    task, answer = drawn
    check_task(task, answer)
    assert from_json(task, to_json(answer)) == answer


def test_what_was_not_asked_for_is_not_stored() -> None:
    assert to_json(PageAnswer(4)) == {"score": 4}
    assert to_json(GuessAnswer(None, 2)) == {"arm": None, "confidence": 2}


@pytest.mark.parametrize(
    ("task", "form", "answer"),
    [
        ("page", {"score": "4"}, PageAnswer(4)),
        ("page", {"score": "4", "confidence": "2", "explanation": " a\r\nb "}, PageAnswer(4, 2, "a\nb")),
        ("page", {"score": "4", "explanation": "  "}, PageAnswer(4)),
        ("pair", {"left": "1", "right": "5", "choice": "tie"}, PairAnswer(1, 5, "tie")),
        ("intruder", {"pick": "5"}, IntruderAnswer(5)),
        ("guess", {"guess": "trained", "confidence": "1"}, GuessAnswer("trained", 1)),
        ("guess", {"guess": "unknown", "confidence": "1"}, GuessAnswer(None, 1)),
        ("intruder", {"pick": "5", "skip": "upsetting"}, Skip("upsetting")),
    ],
)
def test_forms(task, form: dict[str, str], answer) -> None:
    assert from_form(task, form) == answer


@pytest.mark.parametrize(
    ("task", "form", "message"),
    [
        ("page", {"score": "6"}, "“score” is 6; it should be a whole number from 1 to 5"),
        ("page", {}, "Give “score” a rating from 1 to 5"),
        ("page", {"score": "4", "confidence": "0"}, "“confidence” is 0"),
        ("page", {"score": "4", "explanation": "x" * (LONGEST_EXPLANATION + 1)}, "has 2001 characters; shorten it"),
        ("page", {"score": "4", "explanation": "a\0b"}, "holds a NUL character"),
        ("page", {"score": "4", "explanation": "a\ud800b"}, "holds half a character"),
        ("pair", {"left": "1", "right": "5", "choice": "both"}, "Choose one of left, tie, right, neither"),
        ("intruder", {"pick": "6"}, "piece picked is 6; it should be a whole number from 1 to 5"),
        ("guess", {"confidence": "1"}, "or that you don't know"),
        ("page", {"skip": "bored"}, "The reason is 'bored'; it should be one of unreadable"),
    ],
)
def test_forms_that_do_not_fit(task, form: dict[str, str], message: str) -> None:
    with pytest.raises(Unprocessable, match=message):
        from_form(task, form)


def test_what_a_study_asks_for_must_be_there() -> None:
    check_task("page", PageAnswer(4, 1, "dates"), explanation=True, confidence=True)
    check_task("page", Skip("unclear"), explanation=True, confidence=True)
    with pytest.raises(Unprocessable, match="in a few words"):
        check_task("page", PageAnswer(4, 1), explanation=True, confidence=True)
    with pytest.raises(Unprocessable, match="how sure"):
        check_task("page", PageAnswer(4, None, "dates"), explanation=True, confidence=True)
    with pytest.raises(Unprocessable, match="This screen asks for an intruder"):
        check_task("intruder", PageAnswer(4))
    with pytest.raises(Unprocessable, match="asks for a guess"):
        check_task("guess", Skip("unclear"))
    with pytest.raises(Unprocessable, match="no such kind of page"):
        check_guess(GuessAnswer("canary", 1), ["trained", "random"])
    check_guess(GuessAnswer(None, 1), ["trained"])


def test_known_answers() -> None:
    assert right(PageAnswer(4), {"lowest": 4, "highest": 5})
    assert not right(PageAnswer(3), {"lowest": 4, "highest": 5})
    assert right(IntruderAnswer(2), {"pick": 2})
    assert not right(IntruderAnswer(1), {"pick": 2})
    assert not right(Skip("unclear"), {"lowest": 4, "highest": 5})
