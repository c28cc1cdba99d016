"""AccessKeys in order: what a list sorted anew each time says is the truth."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from ots_config.emulator.tablestore.sorted_keys import ABOVE, SortedKeys

parts = st.integers(0, 6)
texts = st.sampled_from(["", "a", "ab", "b", "é", "\U0001f600", "\uffff"])
keys = st.tuples(parts, texts)
bounds = st.one_of(
    keys,
    st.just(()),
    st.just((ABOVE,)),
    st.tuples(parts),
    st.builds(lambda a: (a, ABOVE), parts),
)


@settings(deadline=None)
@given(st.lists(keys), st.lists(keys), bounds, bounds)
def test_scans_agree_with_a_sorted_list(added: list, removed: list, one: tuple, other: tuple) -> None:
    """Whatever was added and removed, both scans yield exactly the keys between their bounds, in order."""
    order = SortedKeys()
    expected: set = set()
    for key in added:
        if key not in expected:
            order.add(key)
            expected.add(key)
    for key in removed:
        if key in expected:
            order.remove(key)
            expected.remove(key)
    assert list(order) == sorted(expected)
    assert len(order) == len(expected)
    low, high = min(one, other), max(one, other)
    assert list(order.forward(low, high)) == [key for key in sorted(expected) if low <= key < high]
    assert list(order.backward(high, low)) == [key for key in sorted(expected, reverse=True) if low < key <= high]


def test_many_keys_in_any_order_of_arrival() -> None:
    """Ascending, descending and scattered arrivals all end in the same order, over many chunks."""
    wanted = [(number,) for number in range(5000)]
    for arrival in (wanted, wanted[::-1], [wanted[number * 7 % 5000] for number in range(5000)]):
        order = SortedKeys()
        for key in arrival:
            order.add(key)
        assert list(order) == wanted
        assert list(order.forward((1000,), (3500,))) == wanted[1000:3500]
        assert list(order.backward((3500,), (1000,))) == wanted[3500:1000:-1]
        for key in wanted[::2]:
            order.remove(key)
        assert list(order.backward((ABOVE,), ())) == wanted[1::2][::-1]


def test_strings_sort_by_their_utf8_bytes() -> None:
    """Python's order of strings is the order of their UTF-8 bytes, also beyond the basic plane."""
    samples = ["", "a", "z", "é", "中", "\uffff", "\U0001f600", "\u0000"]
    for one, other in product(samples, samples):
        assert (one < other) == (one.encode() < other.encode())


def test_nothing_is_above_itself() -> None:
    """The end of all keys is greater than every value, and equal to itself only."""
    assert ABOVE > 5
    assert ABOVE > "z"
    assert ABOVE >= ABOVE  # noqa: PLR0124  the comparison is the fact
    assert ABOVE <= ABOVE  # noqa: PLR0124
    assert not ABOVE < ABOVE  # noqa: PLR0124
    assert not ABOVE > ABOVE  # noqa: PLR0124
    assert not ABOVE < b""
    assert repr(ABOVE) == "INF_MAX"
