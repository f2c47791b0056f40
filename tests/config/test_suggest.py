"""Did you mean ...?"""

import pytest

from gateway.config.suggest import did_you_mean


@pytest.mark.parametrize(
    ("word", "expected"),
    [("adress", "address"), ("ADDRESS", "address"), ("csm", "CSMS"), ("Main", "main"), ("address", "address")],
)
def test_the_most_similar_word_is_suggested_in_its_own_spelling(word: str, expected: str) -> None:
    assert did_you_mean(word, ["address", "name", "CSMS", "main"]) == expected


@pytest.mark.parametrize("word", ["", "xyz", "a", "nothing like it"])
def test_where_nothing_is_similar_nothing_is_suggested(word: str) -> None:
    assert did_you_mean(word, ["address", "name"]) == ""


def test_no_words_no_suggestion() -> None:
    assert did_you_mean("address", []) == ""
