"""`bakeoff online` on made logs: what counts, what is left out, and how the offline comparison did."""

import json

import made_log
import numpy as np
import pytest
from made_log import CHALLENGER, CHAMPION, feedback, impression, writer

from bakeoff.core.errors import BakeoffError
from bakeoff.core.files import locked
from bakeoff.core.workspace import Workspace
from bakeoff.ops.online import command
from bakeoff.ops.online.evaluate import SIDES as SIDE_NAMES
from bakeoff.ops.online.evaluate import evaluate
from bakeoff.ops.online.log import parts

PAIR = (CHAMPION, CHALLENGER)
SIDES = {"model": "softmax", "md5": "a" * 32}, {"model": "mf", "md5": "b" * 32}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / ".bakeoff/online"


def report(tmp_path, *, as_json=False, event="click", clip=0.0):
    command.run(Workspace(tmp_path), None, event, clip, "ndcg@10", 0.95, as_json=as_json)


def figures(tmp_path, capsys, **options):
    report(tmp_path, as_json=True, **options)
    return json.loads(capsys.readouterr().out)


def offline(tmp_path, first, second, mean):
    paired = {"ndcg@10": {"mean": mean, "low": mean - 0.01, "high": mean + 0.01}}
    content = {"difference": {f"{first}_vs_{second}": paired}}
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/metrics.json").write_text(json.dumps(content))


def test_a_list_is_decided_by_its_first_feedback_on_an_item_of_a_team(folder):
    log = writer(folder)
    won, lost, tied, _ = (impression(log, "u1", ("a", "b", "c"), teams=[1, 2, 0]) for _ in range(4))
    for identity, *items in ((won, "c", "b", "a"), (lost, "a", "b"), (tied, "c")):
        for after, item in enumerate(items):
            feedback(log, identity, item, after=after)
    log.close()
    pair = evaluate(folder, "click").pairs[PAIR]
    figures = pair.figures(0.95)
    assert (figures["lists"], figures["with_feedback"]) == (4, 3)
    rate = figures["win_rate"]
    assert (rate["wins"], rate["decided"], rate["people"]) == (1, 2, 1)


def test_feedback_that_can_not_count_is_left_out_and_counted(folder):
    log = writer(folder)
    identity = impression(log)
    for item in ("b", "b", "elsewhere"):
        feedback(log, identity, item)
    feedback(log, log.pseudonyms.new_impression())
    feedback(log, identity, "a", "buy", after=-1)
    log.close()
    found = evaluate(folder, "click")
    assert found.events == {"click": 4, "buy": 1}
    assert found.left_out == {
        "sent twice": 1,
        "on items that were not in the list": 1,
        "of lists that are not kept": 1,
    }
    assert found.pairs[PAIR].win_rate(0.95)["wins"] == 1
    assert evaluate(folder, "buy").pairs[PAIR].win_rate(0.95)["wins"] == 0


def test_a_log_is_read_while_a_server_writes_and_without_the_files_that_go_meanwhile(folder, monkeypatch):
    made_log.interleaved(folder, 7, 3)
    expired = folder / "impressions/00010101T000000-0.parquet"
    monkeypatch.setattr("bakeoff.ops.online.evaluate.parts", lambda *table: [expired, *parts(*table)])
    with locked(folder / "lock"):
        rate = evaluate(folder, "click").pairs[PAIR].win_rate(0.95)
    assert (rate["wins"], rate["decided"], rate["people"]) == (7, 10, 10)


def test_a_damaged_file_is_named(folder):
    path = made_log.damaged(folder)
    with pytest.raises(BakeoffError, match=f"{path} can't be read .*move it out of the log"):
        evaluate(folder, "click")


def test_feedback_on_a_list_without_an_item_is_on_something_that_was_not_in_it(folder):
    log = writer(folder)
    feedback(log, impression(log, "u1", ()), "a")
    log.close()
    found = evaluate(folder, "click")
    assert found.left_out == {"on items that were not in the list": 1}
    assert (len(found.times), found.num_users) == (1, 1)


@pytest.mark.parametrize(("wins", "finding"), [(70, "better"), (30, "worse"), (50, "not decided")])
def test_the_whole_interval_decides(tmp_path, folder, capsys, wins, finding):
    made_log.interleaved(folder, wins, 100 - wins)
    rate = figures(tmp_path, capsys)["pairs"][0]["win_rate"]
    assert (rate["wins"], rate["decided"], rate["people"], rate["finding"]) == (wins, 100, 100, finding)
    assert rate["low"] < wins / 100 < rate["high"]


@pytest.mark.parametrize(
    ("wins", "offline_was", "words"),
    [
        (30, "right", "It predicted the online direction."),
        (70, "wrong", "It predicted the opposite."),
        (50, "not decided", "is open: one of the two"),
    ],
)
def test_the_offline_comparison_is_judged_by_the_online_one(tmp_path, folder, capsys, wins, offline_was, words):
    made_log.interleaved(folder, wins, 100 - wins)
    offline(tmp_path, "softmax", "mf", 0.03)  # the challenger is MF, which was worse
    pair = figures(tmp_path, capsys)["pairs"][0]
    assert pair["offline"]["was"] == offline_was
    assert pair["offline"]["difference"] == -0.03
    assert [pair["offline"][end] for end in ("low", "high")] == pytest.approx([-0.04, -0.02])
    report(tmp_path)
    said = capsys.readouterr().out
    assert f"the challenger wins {wins} of 100 decided lists, {wins}.0 %" in said
    assert "NDCG@10 −0.0300 (−0.0400 to −0.0200) for the challenger, reports/metrics.json: worse" in said
    assert words in said


def test_without_a_paired_comparison_it_says_so(tmp_path, folder, capsys):
    made_log.interleaved(folder, 50, 50)
    offline(tmp_path, "ease", "mf", 0.03)
    report(tmp_path)
    assert "no comparison of these two models: `bakeoff decide` makes one" in capsys.readouterr().out


@pytest.mark.parametrize("is_reversed", [False, True])
def test_the_decision_about_the_same_files_counts_more_in_either_order(tmp_path, folder, capsys, is_reversed):
    made_log.interleaved(folder, 50, 50)
    offline(tmp_path, "mf", "softmax", 0.03)
    champion, challenger = SIDES[::-1] if is_reversed else SIDES
    primary = {"metric": "ndcg@10", "difference": 0.05, "low": 0.01, "high": 0.09}
    content = {"outcome": "hold", "champion": champion, "challenger": challenger, "primary": primary}
    (tmp_path / "reports/decision").mkdir()
    (tmp_path / "reports/decision/decision.json").write_text(json.dumps(content))
    found = figures(tmp_path, capsys)["pairs"][0]["offline"]
    assert (found["source"], found["difference"]) == ("reports/decision", -0.05 if is_reversed else 0.05)


def test_sampled_lists_give_counterfactual_estimates_by_hand(tmp_path, folder, capsys):
    """Lists of one place: weights of the champion 2, 0, 4; of the challenger 0, 5, 0; clicks on the first two."""
    log = writer(folder)
    for own, p, clicked in ((True, 0.5, True), (False, 0.2, True), (True, 0.25, False)):
        columns = {"propensities": [p], "teams": [0], "as_champion": [own], "as_challenger": [not own], "explore": 0.5}
        identity = impression(log, None, ("a",), **columns)
        if clicked:
            feedback(log, identity)
    log.close()
    found = figures(tmp_path, capsys)["pairs"][0]["counterfactual"]
    assert found["champion"]["ips"]["value"] == pytest.approx(2 / 3)
    assert found["champion"]["snips"]["value"] == pytest.approx(2 / 6)
    assert found["champion"]["effective"] == pytest.approx(36 / 20)
    assert found["challenger"]["ips"]["value"] == pytest.approx(5 / 3)
    assert found["difference"]["ips"]["value"] == pytest.approx(1)
    error = np.sqrt(((np.array([-2, 5, 0]) - 1) ** 2).sum()) / 3
    assert found["difference"]["ips"]["high"] == pytest.approx(1 + 1.959964 * error, rel=1e-5)
    clipped = figures(tmp_path, capsys, clip=0.5)["pairs"][0]["counterfactual"]
    assert clipped["challenger"]["ips"]["value"] == pytest.approx(2 / 3)
    report(tmp_path)
    assert "IPS" in capsys.readouterr().out


@pytest.mark.parametrize("side", SIDE_NAMES)
def test_a_list_on_which_one_model_had_nothing_counts_as_nothing_for_it(tmp_path, folder, capsys, side):
    log = writer(folder)
    columns = {"propensities": [0.5, 0.5], "explore": 0.5, "as_champion": [True, True], "as_challenger": [True, True]}
    feedback(log, impression(log, **columns))
    feedback(log, impression(log, **columns | {f"as_{side}": []}))
    log.close()
    found = figures(tmp_path, capsys)["pairs"][0]["counterfactual"]
    [other] = {*SIDE_NAMES} - {side}
    for of, lists in ((side, 1), (other, 2)):  # of two lists, each with gain 2, weight 4 and two places
        assert found[of]["ips"]["value"] == pytest.approx(2 * lists / 2)
        assert found[of]["snips"]["value"] == pytest.approx(2 * lists / (4 * lists) * (2 * lists / 2))
        assert found[of]["effective"] == pytest.approx(lists)


def test_one_model_alone_that_is_explored_has_one_estimate(tmp_path, folder, capsys):
    log = writer(folder)
    for _ in range(3):
        columns = {"propensities": [0.8, 0.8], "explore": 0.4, "challenger": None, "as_challenger": [True, True]}
        feedback(log, impression(log, teams=[0, 0], **columns))
    impression(log, None, (), propensities=[], teams=[], as_champion=[], as_challenger=[], explore=0.4, challenger=None)
    log.close()
    found = figures(tmp_path, capsys)["pairs"][0]["counterfactual"]
    assert found.keys() == {"champion"}
    assert found["champion"]["ips"]["value"] == pytest.approx(1.25)
    report(tmp_path)
    assert "without sampling" in capsys.readouterr().out


def test_without_sampled_lists_no_estimate_is_printed(tmp_path, folder, capsys):
    made_log.interleaved(folder, 3, 1)
    assert figures(tmp_path, capsys)["pairs"][0]["counterfactual"] == {}
    report(tmp_path)
    assert "IPS" not in capsys.readouterr().out


def test_one_model_alone_has_lists_and_no_win_rate(tmp_path, folder, capsys):
    log = writer(folder)
    feedback(log, impression(log, challenger=None, teams=[0, 0], as_challenger=[True, True]), event="buy")
    log.close()
    [pair] = figures(tmp_path, capsys)["pairs"]
    assert (pair["challenger"], pair["lists"], "offline" in pair) == (None, 1, False)
    report(tmp_path)
    said = capsys.readouterr().out
    assert f"{CHAMPION} alone" in said
    assert "Interleaving" not in said
    assert "Feedback: buy 1. None is a click: --event names another kind." in said


def test_without_a_log_it_says_how_to_keep_one(tmp_path):
    with pytest.raises(BakeoffError, match=r"holds no log: `bakeoff serve --log .*online` keeps one"):
        report(tmp_path)


def test_the_environment_names_the_log(tmp_path, capsys, monkeypatch):
    made_log.interleaved(tmp_path / "elsewhere", 1, 0)
    monkeypatch.setenv("BAKEOFF_ONLINE_LOG", str(tmp_path / "elsewhere"))
    assert figures(tmp_path, capsys)["pairs"][0]["lists"] == 1


def test_what_the_champion_may_win_is_1_without_a_log_of_these_two_models(folder):
    assert command.champion_share(folder, *SIDES, 0.95) == 1
    made_log.interleaved(folder, 70, 30)
    share = command.champion_share(folder, *SIDES, 0.95)
    assert share == pytest.approx(1 - evaluate(folder, "click").pairs[PAIR].win_rate(0.95)["low"])
    assert share < 0.5
    for champion, challenger in (SIDES[::-1], (SIDES[0], SIDES[1] | {"md5": None}), (SIDES[0], SIDES[0])):
        assert command.champion_share(folder, champion, challenger, 0.95) == 1
