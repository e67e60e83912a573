from __future__ import annotations

from meshd.memo import Memo, together


class Counted:
    """A function that tells how often it was computed; `steps` it recalls on the way."""

    def __init__(self, memo: Memo, *steps: Counted) -> None:
        self.calls = 0
        self._memo, self._steps = memo, steps

    def __call__(self, value: object) -> list[object]:
        self.calls += 1
        return [value, *(self._memo.recall(step, value) for step in self._steps)]


def test_the_same_inputs_give_the_same_object_in_the_next_pass_too():
    memo = Memo()
    double = Counted(memo)
    given = object()

    first = memo.recall(double, given)
    memo.turn()

    assert memo.recall(double, given) is first
    assert double.calls == 1


def test_what_a_pass_did_not_recall_is_forgotten():
    memo = Memo()
    double = Counted(memo)
    memo.recall(double, "a")
    memo.turn()
    memo.turn()

    memo.recall(double, "a")

    assert double.calls == 2


def test_the_steps_of_a_result_are_kept_as_long_as_the_result_though_nobody_asks_for_them():
    memo = Memo()
    inner = Counted(memo)
    middle = Counted(memo, inner)
    outer = Counted(memo, middle)
    memo.recall(outer, "a")
    for _ in range(3):
        memo.turn()
        memo.recall(outer, "a")

    memo.recall(inner, "a")

    assert (outer.calls, middle.calls, inner.calls) == (1, 1, 1)


def test_a_step_that_fails_is_no_result():
    memo = Memo()
    fails = [True]

    def shaky(value: str) -> str:
        if fails.pop():
            raise OSError
        return value

    try:
        memo.recall(shaky, "a")
    except OSError:
        fails.append(False)

    assert memo.recall(shaky, "a") == "a"


def test_what_has_a_name_is_computed_once_whoever_computes_it():
    memo = Memo()

    first = memo.recall_named(("file", "a"), lambda: ["read"])
    memo.turn()

    assert memo.recall_named(("file", "a"), lambda: ["read again"]) is first
    assert memo.recall_named(("file", "b"), lambda: ["read"]) is not first


def test_parts_together_are_one_input():
    memo = Memo()
    one, two = object(), object()

    assert memo.recall(together, one, two) is memo.recall(together, one, two)
    assert memo.recall(together, one, two) is not memo.recall(together, two, one)


def test_what_is_made_anew_but_equal_is_the_same_as_in_the_last_pass():
    memo = Memo()

    first = memo.recall(lambda: memo.same((1, "a" * 9)))
    memo.turn()
    again = memo.recall(lambda: memo.same((1, "a" * 9)))
    memo.turn()
    memo.turn()
    forgotten = memo.same((1, "a" * 9))

    assert again is first
    assert forgotten == first
