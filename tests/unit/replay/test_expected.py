"""The distribution of a record given the output: against rejection sampling, and against every outcome enumerated."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pytest_speedbench.acceptance import AcceptanceRecord, AcceptanceSource, VerifyStep
from pytest_speedbench.engines.replay.expected import (
    DrawnReach,
    Expected,
    ExpectedAcceptance,
    Floats,
    expected_acceptance,
    expected_al_macro,
    windows,
)
from pytest_speedbench.engines.replay.walk import record_of
from pytest_speedbench.outputs import StoredOutput
from tests.unit.replay.reference_sampler import ToySampler

CONTEXT = 10_000
probabilities = st.sampled_from([0.0, 1.0]) | st.floats(0, 1)


@st.composite
def requests(draw: st.DrawFn, most_places: int = 8, most_drafts: int = 3) -> tuple[Floats, list[int]]:
    """Acceptance probabilities of a request, and for every place how long a draft may be."""
    places, longest = draw(st.integers(0, most_places)), draw(st.integers(1, most_drafts))
    size = places * longest
    values = draw(st.lists(probabilities, min_size=size, max_size=size))
    context_tokens = draw(st.integers(0, most_places)) + 2  # one of the prompt, and one free for the bonus token
    room = [max(0, min(longest, context_tokens - place - 2)) for place in range(places)]
    return np.array(values).reshape(places, longest), room


def outcomes(acceptance: Floats, room: list[int], place: int = 0) -> Iterator[tuple[float, list[VerifyStep]]]:
    """Every sequence of steps that can follow, with its probability."""
    if place >= len(acceptance):
        yield 1.0, []
        return
    chance = 1.0
    for accepted in range(room[place] + 1):
        ends = 1 - acceptance[place, accepted] if accepted < room[place] else 1.0
        for probability, steps in outcomes(acceptance, room, place + accepted + 1):
            yield chance * ends * probability, [VerifyStep(room[place], accepted), *steps]
        chance *= acceptance[place, accepted] if accepted < room[place] else 0.0


def enumerated(acceptance: Floats, room: list[int]) -> list[tuple[float, AcceptanceRecord]]:
    places, longest = acceptance.shape
    return [
        (
            probability,
            AcceptanceRecord.from_steps(
                steps,
                draft_length=longest,
                discarded_tokens=sum(step.accepted_tokens + 1 for step in steps) - places,
                source=AcceptanceSource.REPLAY,
            ),
        )
        for probability, steps in outcomes(acceptance, room)
    ]


def moments(values: list[tuple[float, float]]) -> Expected:
    mean = sum(weight * value for weight, value in values)
    return Expected(mean, math.sqrt(max(0.0, sum(weight * (value - mean) ** 2 for weight, value in values))))


def same(ours: Expected, theirs: Expected) -> bool:
    return (ours.mean, ours.deviation) == pytest.approx((theirs.mean, theirs.deviation), abs=1e-6)


@settings(max_examples=150, deadline=None)
@given(requests())
def test_it_is_the_sum_over_every_outcome(request_and_room: tuple[Floats, list[int]]) -> None:
    acceptance, room = request_and_room
    found, records = expected_acceptance(acceptance, room), enumerated(acceptance, room)
    for place in range(acceptance.shape[1] + 1):
        assert found.histogram[place] == pytest.approx(sum(p * r.histogram[place] for p, r in records), abs=1e-9)
    for name in ("proposed_tokens", "undrafted_steps", "discarded_tokens"):
        assert getattr(found, name) == pytest.approx(sum(p * getattr(r, name) for p, r in records), abs=1e-9), name
    assert same(found.verify_steps, moments([(p, r.verify_steps) for p, r in records]))
    if found.al is None:
        assert all(record.al is None for _, record in records)
    else:
        assert same(found.al, moments([(p, r.al) for p, r in records if r.al is not None]))


@settings(max_examples=60, deadline=None)
@given(requests(4, 2), requests(4, 2))
def test_two_turns_are_pooled_as_records_are(first: tuple[Floats, list[int]], second: tuple[Floats, list[int]]) -> None:
    longest = min(first[0].shape[1], second[0].shape[1])
    turns = [(acceptance[:, :longest], [min(longest, r) for r in room]) for acceptance, room in (first, second)]
    found = expected_acceptance(*turns[0]).joined(expected_acceptance(*turns[1]))
    pairs = [(p * q, a, b) for p, a in enumerated(*turns[0]) for q, b in enumerated(*turns[1])]
    assert sum(found.histogram) == pytest.approx(sum(p * (a.verify_steps + b.verify_steps) for p, a, b in pairs))
    lengths = [
        (p, 1 + (a.accepted_tokens + b.accepted_tokens) / (a.verify_steps + b.verify_steps))
        for p, a, b in pairs
        if a.verify_steps + b.verify_steps
    ]
    assert (found.al is None) == (not lengths)
    assert found.al is None or same(found.al, moments(lengths))


@settings(max_examples=100, deadline=None)
@given(requests(40, 8))
def test_identities(request_and_room: tuple[Floats, list[int]]) -> None:
    acceptance, room = request_and_room
    found = expected_acceptance(acceptance, room)
    assert found.joint.sum() == pytest.approx(1)
    assert min(found.histogram) >= 0
    accepted = sum(tokens * steps for tokens, steps in enumerate(found.histogram))
    emitted = accepted + sum(found.histogram) + found.undrafted_steps
    assert emitted == pytest.approx(len(acceptance) + found.discarded_tokens)
    assert found.verify_steps.mean == pytest.approx(sum(found.histogram))
    assert accepted <= found.proposed_tokens + 1e-9


@settings(max_examples=100, deadline=None)
@given(st.lists(probabilities, min_size=1, max_size=40), st.integers(1, 8))
def test_longer_drafts_never_take_more_steps(values: list[float], draft_length: int) -> None:
    """Of a drafter that drafts a token alike wherever the step began."""
    places = len(values)
    steps = [
        expected_acceptance(windows(np.array(values), places, longest), [longest] * places).verify_steps.mean
        for longest in range(1, draft_length + 1)
    ]
    assert all(longer <= shorter + 1e-9 for shorter, longer in pairwise(steps))


def stored(places: int, overhang: int) -> StoredOutput:
    return StoredOutput((1,), tuple(range(places + 1)), tuple(range(overhang)), stopped=False)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), min_size=5, max_size=40), st.integers(1, 4), st.integers(0, 99))
def test_a_drafter_that_is_sure_is_the_greedy_walk(right: list[bool], draft_length: int, seed: int) -> None:
    places = len(right) - draft_length
    acceptance = windows(np.array(right, dtype=float), places, draft_length)
    found = expected_acceptance(acceptance, [draft_length] * places)
    record = record_of(stored(places, draft_length), DrawnReach.seeded(acceptance, (1,), seed), draft_length, CONTEXT)
    assert found.histogram == pytest.approx(record.histogram)
    assert (found.discarded_tokens, found.proposed_tokens) == pytest.approx(
        (record.discarded_tokens, record.proposed_tokens)
    )
    assert found.verify_steps.deviation == pytest.approx(0, abs=1e-6)
    runs = [right[place : place + draft_length] for place in range(places)]
    assert all(
        DrawnReach.seeded(acceptance, (1,), seed)(place).accepted_tokens == [*run, False].index(False)
        for place, run in enumerate(runs)
    )


def test_the_target_as_its_own_drafter_has_everything_accepted() -> None:
    found = expected_acceptance(np.ones((20, 4)), [4] * 20)
    assert list(found.histogram) == [0, 0, 0, 0, 4]
    assert (found.al, found.discarded_tokens) == (Expected(5, 0), 0)


def test_one_token_takes_no_step() -> None:
    found = expected_acceptance(np.zeros((0, 3)), [])
    assert (found.al, found.verify_steps, sum(found.histogram)) == (None, Expected(0, 0), 0)
    assert expected_al_macro([found]) is None


@pytest.mark.parametrize(
    ("values", "room"), [([[1.5]], [1]), ([[-0.1]], [1]), ([[float("nan")]], [1]), ([[0.5], [0.5]], [0, 1])]
)
def test_what_cannot_be_is_refused(values: list[list[float]], room: list[int]) -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1|no room again"):
        expected_acceptance(np.array(values), room)


def test_different_draft_lengths_are_not_joined() -> None:
    with pytest.raises(ValueError, match="different draft lengths"):
        expected_acceptance(np.ones((2, 1)), [1, 1]).joined(expected_acceptance(np.ones((2, 2)), [2, 2]))


VOCABULARY, OUTPUT_TOKENS, DRAFT_LENGTH, REQUESTS = 5, 40, 3, 400


@pytest.fixture(scope="module")
def toy() -> ToySampler:
    random = np.random.default_rng(7)
    target = random.dirichlet(np.full(VOCABULARY, 0.6), size=VOCABULARY)
    drafter = 0.6 * target + 0.4 * random.dirichlet(np.full(VOCABULARY, 0.6), size=VOCABULARY)
    return ToySampler(target, drafter, random)


@pytest.fixture(scope="module")
def sampled(toy: ToySampler) -> list[tuple[list[int], AcceptanceRecord, ExpectedAcceptance]]:
    """Outputs, what was counted as they were decoded, and what is expected given them."""
    found = []
    for number in range(REQUESTS):
        decoded = toy.decode(number % VOCABULARY, OUTPUT_TOKENS, DRAFT_LENGTH)
        acceptance = windows(toy.acceptance(decoded.tokens), OUTPUT_TOKENS - 1, DRAFT_LENGTH)
        expected = expected_acceptance(acceptance, [DRAFT_LENGTH] * (OUTPUT_TOKENS - 1))
        found.append((decoded.tokens, decoded.record(OUTPUT_TOKENS, DRAFT_LENGTH), expected))
    return found


def test_what_is_put_out_follows_the_target(
    toy: ToySampler, sampled: list[tuple[list[int], AcceptanceRecord, ExpectedAcceptance]]
) -> None:
    counts = np.zeros((VOCABULARY, VOCABULARY))
    for tokens, _, _ in sampled:
        for pair in pairwise(tokens[:OUTPUT_TOKENS]):
            counts[pair] += 1
    expected = counts.sum(axis=1, keepdims=True) * toy.target
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert stats.chi2.sf(statistic, VOCABULARY * (VOCABULARY - 1)) > 0.001


def test_what_was_counted_is_what_is_expected(
    sampled: list[tuple[list[int], AcceptanceRecord, ExpectedAcceptance]],
) -> None:
    steps = [(record.verify_steps, found.verify_steps) for _, record, found in sampled]
    lengths = [(record.al or 0.0, found.al) for _, record, found in sampled if found.al is not None]
    for pairs in (steps, lengths):
        off = [(seen - expected.mean) for seen, expected in pairs]
        spread = math.sqrt(sum(expected.deviation**2 for _, expected in pairs))
        assert abs(sum(off)) / spread < 3.5
        assert sum(value**2 for value in off) / spread**2 == pytest.approx(1, abs=0.25)
    for place in range(DRAFT_LENGTH + 1):
        off = [record.histogram[place] - found.histogram[place] for _, record, found in sampled]
        assert abs(np.mean(off)) < 3.5 * np.std(off) / math.sqrt(REQUESTS)
    off = [(record.discarded_tokens or 0) - found.discarded_tokens for _, record, found in sampled]
    assert abs(np.mean(off)) < 3.5 * np.std(off) / math.sqrt(REQUESTS)


def test_a_wrong_expectation_would_be_noticed(
    toy: ToySampler, sampled: list[tuple[list[int], AcceptanceRecord, ExpectedAcceptance]]
) -> None:
    """Taking q for the probability of acceptance, as if the target were sure of its tokens."""
    wrong = []
    for tokens, record, _ in sampled:
        drafted = np.array([toy.drafter[pair] for pair in pairwise(tokens)])
        acceptance = windows(drafted, OUTPUT_TOKENS - 1, DRAFT_LENGTH)
        found = expected_acceptance(acceptance, [DRAFT_LENGTH] * (OUTPUT_TOKENS - 1)).verify_steps
        wrong.append((record.verify_steps - found.mean, found.deviation))
    assert abs(sum(off for off, _ in wrong)) > 20 * math.sqrt(sum(deviation**2 for _, deviation in wrong))


def test_drawn_records_have_the_expected_distribution(
    sampled: list[tuple[list[int], AcceptanceRecord, ExpectedAcceptance]], toy: ToySampler
) -> None:
    tokens, _, found = sampled[0]
    acceptance = windows(toy.acceptance(tokens), OUTPUT_TOKENS - 1, DRAFT_LENGTH)
    row = stored(OUTPUT_TOKENS - 1, DRAFT_LENGTH)
    steps = [
        record_of(row, DrawnReach.seeded(acceptance, (1, 2), seed), DRAFT_LENGTH, CONTEXT).verify_steps
        for seed in range(2000)
    ]
    z = (np.mean(steps) - found.verify_steps.mean) / (found.verify_steps.deviation / math.sqrt(len(steps)))
    assert abs(z) < 3.5
    assert np.std(steps) == pytest.approx(found.verify_steps.deviation, rel=0.1)


def test_a_draw_belongs_to_its_prompt_and_seed() -> None:
    acceptance = np.full((30, 3), 0.5)

    def drawn(prompt: tuple[int, ...], seed: int) -> list[int]:
        reach = DrawnReach.seeded(acceptance, prompt, seed)
        return [reach(place).accepted_tokens for place in range(30)]

    assert drawn((1, 2), 5) == drawn((1, 2), 5)
    assert drawn((1, 2), 5) != drawn((1, 2), 6)
    assert drawn((1, 2), 5) != drawn((1, 3), 5)


def test_the_macro_length_is_the_mean_over_conversations() -> None:
    one, other = (expected_acceptance(np.full((20, 2), p), [2] * 20) for p in (0.3, 0.8))
    assert one.al is not None
    assert other.al is not None
    found = expected_al_macro([one, other])
    assert found is not None
    assert found.mean == pytest.approx((one.al.mean + other.al.mean) / 2)
    assert found.deviation == pytest.approx(math.hypot(one.al.deviation, other.al.deviation) / 2)
