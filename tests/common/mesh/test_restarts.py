import pytest

from crystalmesh_common.mesh.restarts import Exit, GiveUp, Restart, RestartHistory, RestartPolicy

POLICY = RestartPolicy(
    first_delay_seconds=1, longest_delay_seconds=10, healthy_seconds=60, at_once_seconds=5, tries=3
)


def delays(history: RestartHistory, exits: list[Exit]) -> list[float]:
    verdicts = [history.judge(ended) for ended in exits]
    return [verdict.delay_seconds for verdict in verdicts if isinstance(verdict, Restart)]


def test_pauses_double_up_to_a_limit() -> None:
    """A process that serves a while and crashes again and again is started ever more rarely, for ever."""
    crashes = [Exit(-11, served_seconds=30)] * 6
    assert delays(RestartHistory(POLICY), crashes) == [1, 2, 4, 8, 10, 10]


def test_a_healthy_while_resets_the_pause() -> None:
    """Failures before a healthy while are forgotten."""
    exits = [Exit(1, served_seconds=10), Exit(1, served_seconds=10), Exit(1, served_seconds=61)]
    assert delays(RestartHistory(POLICY), exits) == [1, 2, 1]


def test_gives_up_on_the_same_failure_at_once_in_a_row() -> None:
    """Three starts that fail at once with one exit are enough, and the reason quotes the last one."""
    history = RestartHistory(POLICY)
    assert len(delays(history, [Exit(1), Exit(1)])) == 2
    assert history.judge(Exit(1, "No module named 'torch'")) == GiveUp(
        "failed at once 3 times in a row, exit 1: No module named 'torch'"
    )


@pytest.mark.parametrize("other", [Exit(-9), Exit(1, served_seconds=6)], ids=["other exit", "served"])
def test_another_kind_of_failure_in_between_starts_the_count_again(other: Exit) -> None:
    """Only failures alike and in a row show that starting again is no use."""
    exits = [Exit(1), Exit(1), other, Exit(1), Exit(1)]
    assert len(delays(RestartHistory(POLICY), exits)) == 5


def test_bad_settings_are_never_tried_twice() -> None:
    """Exit 2 gives up at once, with what the process said."""
    assert RestartHistory(POLICY).judge(Exit(2, "port: not a number")) == GiveUp("port: not a number")


@pytest.mark.parametrize(
    ("ended", "words"),
    [(Exit(-9), "killed by SIGKILL"), (Exit(-250), "killed by signal 250"), (Exit(3, "oh"), "exit 3: oh")],
)
def test_exit_in_words(ended: Exit, words: str) -> None:
    """An exit reads as what happened."""
    assert str(ended) == words
