"""Order, sides, ids, the mix of questions: pure functions of the seed, the rater and the item's random id."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.study.assignment import Offer, Past, Repeats, coin, next_flip, next_item, preference, repeats_ahead
from app.study.blinding import commitment, keyed, public_id, shuffled
from app.study.plan import COMPARED, OTHERS, demand, pairs, questions, split
from app.study.protocol import PairMix, PairTask
from tests.test_protocol import DEMO


@given(st.lists(st.tuples(st.sampled_from([COMPARED, OTHERS]), st.booleans()), max_size=60))
def test_sides_stay_balanced_within_each_group_and_over_all(asked: list[tuple[int, bool]]) -> None:
    earlier: list[tuple[int, bool]] = []
    for turns, chance in asked:
        earlier.append((turns, next_flip(earlier, turns, chance)))
        for some in (earlier, [e for e in earlier if e[0] == COMPARED], [e for e in earlier if e[0] == OTHERS]):
            assert abs(sum(1 if flip else -1 for _, flip in some)) <= 1


def test_the_coin_decides_where_nothing_is_owed() -> None:
    assert next_flip([], COMPARED, True) is True
    assert next_flip([], COMPARED, False) is False
    flips = Counter(coin(1, f"r{rater}", f"i{item}") for rater in range(40) for item in range(50))
    assert abs(flips[True] - 1000) < 5 * 22.4  # SD of a fair coin


def test_orders_differ_by_rater_and_seed_and_put_solo_pages_first() -> None:
    items = [(f"i{n}", "pair" if n % 2 else "page") for n in range(40)]

    def order(seed: int, rater: str) -> list[str]:
        return [item for item, _ in sorted(items, key=lambda i: preference(seed, rater, *i))]

    assert order(1, "ann") == order(1, "ann")
    assert len({tuple(order(seed, rater)) for seed in (1, 2) for rater in ("ann", "bob")}) == 4
    assert {item for item, task in items if task == "page"} == set(order(1, "ann")[:20])


def walk(
    seed: int, rater: str, pages: int, pairs: int, catches: int, plan: Repeats, *, taken: int = 0
) -> tuple[list[Past], list[int]]:
    """One rater to the end, and at each screen how many repeats are said to be ahead; others take the last `taken`."""
    free = [Offer(f"p{n}", "page") for n in range(pages)] + [Offer(f"q{n}", "pair") for n in range(pairs)]
    free.sort(key=lambda offer: preference(seed, rater, offer.item, offer.task))
    catch = [Offer(f"c{n}", "page") for n in range(catches)]
    past: list[Past] = []
    ahead: list[int] = []
    while (choice := next_item(seed, rater, past, free, catch, plan)) is not None:
        ahead.append(
            sum(
                repeats_ahead(seed, rater, past, task, plan, sum(offer.task == task for offer in free))
                for task in ("page", "pair")
                if any(offer.task == task for offer in free) or (past and past[-1].task == task)
            )
        )
        purpose = "catch" if choice.item.startswith("c") else "main"
        task = "pair" if choice.item.startswith("q") else "page"
        past.append(Past(choice.item, task, purpose, choice.repeat, len(past) + 1))
        free = [offer for offer in free if offer.item != choice.item][: pages + pairs - taken]
    return past, ahead


@settings(deadline=None)
@given(
    st.integers(0, 50),
    st.integers(0, 90),
    st.integers(0, 50),
    st.integers(0, 4),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.integers(5, 40),
)
def test_repeats_and_catch_items_among_the_rest(
    seed: int, pages: int, pairs: int, catches: int, share: float, distance: int
) -> None:
    past, ahead = walk(seed, "ann", pages, pairs, catches, Repeats(share, distance))
    main = [one for one in past if one.purpose == "main" and not one.repeat]
    again = [one for one in past if one.repeat]
    assert len(main) == pages + pairs == len({one.item for one in main})
    first = {one.item: one for one in main}
    assert len({one.item for one in again}) == len(again), "an item comes again once"
    assert all(one.position - first[one.item].position > distance for one in again)
    for task, items in (("page", pages), ("pair", pairs)):
        assert sum(one.task == task for one in again) <= share * items + 1
    shown = [one for one in past if one.purpose == "catch"]
    assert len(shown) == len({one.item for one in shown}) == (catches if main else 0)
    tasks = [one.task for one in past if not (one.purpose == "catch" and not pages)]
    assert tasks == sorted(tasks, key=["page", "pair"].index), "the tasks do not mix"
    if ahead and all(abs(items - distance) > catches + 1 for items in (pages, pairs)):  # else one decides over all
        assert abs(ahead[0] - len(again)) <= 2


def test_a_tenth_comes_again_spread_out_and_nobody_can_tell_when() -> None:
    plan = Repeats(0.1, 30)
    orders = [walk(3, f"r{n}", 100, 0, 4, plan)[0] for n in range(30)]
    counts = [sum(one.repeat for one in past) for past in orders]
    assert set(counts) == {10}
    for past in orders:
        places = [one.position for one in past if one.repeat]
        with_others_left = [place for place in places if place <= 100]
        assert all(later - sooner > 2 for sooner, later in pairwise(with_others_left))
    assert len({tuple(one.position for one in past if one.repeat) for past in orders}) > 25
    catches = [tuple(one.position for one in past if one.purpose == "catch") for past in orders]
    assert len(set(catches)) > 25
    quarters = Counter(min(3, (place - 1) * 4 // 112) for places in catches for place in places)
    assert min(quarters.values()) >= 15, "one in each quarter or so"


def test_what_others_take_ends_the_order_with_all_catch_items_shown() -> None:
    past, _ = walk(3, "ann", 60, 0, 3, Repeats(0.1, 30), taken=25)
    assert sum(one.purpose == "catch" for one in past) == 3
    assert sum(one.purpose == "main" and not one.repeat for one in past) == 36
    assert next_item(3, "ann", [], [], [Offer("c", "page")], Repeats(0.1, 30)) is None, "nothing to do, nothing asked"


def test_parts_of_a_key_do_not_run_into_each_other() -> None:
    assert keyed("k", "ab", "c") != keyed("k", "a", "bc")
    assert keyed("k", "1") != keyed("k", 1)
    assert public_id("s", "r", "i") != public_id("s", "ri", "")
    assert len(public_id("s", "r", "i")) == 24


@given(st.lists(st.integers(), unique=True), st.randoms())
def test_a_seeded_order_does_not_depend_on_the_order_given(values: list[int], chance) -> None:
    mixed = values.copy()
    chance.shuffle(mixed)
    assert shuffled(values, 1, "x", str) == shuffled(mixed, 1, "x", str)


def test_a_commitment_binds_every_field_and_needs_the_salt() -> None:
    rows = [["item", "a", "trained", "topk-sae", 3, {"decile": 1}]]
    made = commitment("salt", rows)
    assert made == commitment("salt", [tuple(rows[0])])
    others = [[*rows[0][:place], "other", *rows[0][place + 1 :]] for place in range(6)]
    assert len({made, commitment("pepper", rows), *(commitment("salt", [other]) for other in others)}) == 8


@given(st.integers(0, 500), st.lists(st.integers(0, 50), min_size=1, max_size=5).filter(any))
def test_a_split_adds_up_and_is_off_by_less_than_one(total: int, weights: list[int]) -> None:
    shares = [weight / sum(weights) for weight in weights]
    parts = split(total, shares)
    assert sum(parts) == total
    assert all(abs(part - total * share) < 1 for part, share in zip(parts, shares, strict=True))


@pytest.mark.parametrize(("total", "expected"), [(20, (12, 4, 4)), (10, (6, 2, 2)), (7, (4, 2, 1)), (1, (1, 0, 0))])
def test_the_mix_of_pairs(total: int, expected: tuple[int, int, int]) -> None:
    made = pairs(PairTask(pairs=total, contrasts=[("t", "r"), ("t", "d")], mix=PairMix()), ["null-pages"])
    kinds = Counter(
        "control" if "null-pages" in q.arms else "same" if q.arms[0] == q.arms[1] else "between" for q in made
    )
    assert (kinds["between"], kinds["same"], kinds["control"]) == expected
    assert {q.turns for q in made if q.arms[0] != q.arms[1] and "null-pages" not in q.arms} == {COMPARED}
    assert {q.turns for q in made if "null-pages" in q.arms or q.arms[0] == q.arms[1]} <= {OTHERS}


def test_the_demo_asks_at_least_ten_pairs_and_the_same_of_each_arm() -> None:
    from app.freeze import load_protocol

    asked = [q for q in questions(load_protocol(DEMO)) if q.purpose == "main" and q.task != "intruder"]
    solo = Counter(q.arms[0] for q in asked if q.task == "page")
    assert set(solo.values()) == {3}
    assert set(solo) == {"trained", "random", "data-points", "null-pages"}
    assert sum(q.task == "pair" for q in asked) == 20
    assert demand(asked).total() == 12 + 2 * 20
