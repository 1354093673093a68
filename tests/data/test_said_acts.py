"""Columns that say whether an act was done, what its state is, or how it was marked."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.exports import one_file, told
from metarec.data.cleaning import read_clean
from metarec.data.ingest import ingest
from metarec.data.opening import open_tables

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("booked", "book"),
        ("attended", "attend"),
        ("show_up", "attend"),
        ("purchased", "purchase"),
        ("has_enrolled", "enrol"),
        ("Enrolled?", "enrol"),
        ("completed", "complete"),
        ("applied", "apply"),
        ("watched", "watch"),
        ("did_visit", "visit"),
        ("read", "read"),
        ("是否报名", "报名"),
        ("已预订", "预订"),
    ],
)
def test_a_no_to_whether_an_act_was_done_is_no_act(tmp_path: Path, name: str, kind: str) -> None:
    for yes, no in (("1", "0"), ("yes", "no")):
        rows = "".join(f"u{n % 5},x{n % 7},{no if n % 3 else yes}\n" for n in range(35))
        data, found = one_file(tmp_path, f"user,item,{name}\n{rows}")
        kinds = data.interactions.frame["kind"].value_counts()
        assert dict(kinds.iter_rows()) == {kind: 12, "impression": 23}
        assert data.interactions.acts()["sign"].sum() == 12 and told(found, "kinds") == [23]


def test_an_act_withdrawn_or_dropped_says_no(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{int(n % 3 == 0)},yes\n" for n in range(35))
    for name in ("dropped", "is_withdrawn"):
        data, _ = one_file(tmp_path, f"student,course,{name},enrolled\n{rows}")
        assert sorted(data.interactions.acts()["sign"].value_counts().rows()) == [(-1, 12), (1, 23)]


def test_what_a_user_or_an_item_is_and_what_stands_beside_ratings_is_no_act(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n % 5 % 2},{n % 7 % 2}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,subscribed,visited\n{rows}")
    assert set(data.interactions.frame["kind"]) == {"event"}
    assert "subscribed" in data.users.frame.columns and "visited" in data.items.frame.columns
    rows = "".join(f"u{n % 5},x{n % 7},{n % 4},{int(n % 3 == 0)}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,rating,booked\n{rows}")
    assert data.interactions.context_columns == ["booked"]
    rows = "".join(f"u{n % 5},x{n % 7},{int(n % 3 == 0)},{n % 2}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,featured,book\n{rows}")
    assert data.interactions.context_columns == ["featured", "book"]


def test_a_status_of_applications_says_what_was_done(tmp_path: Path) -> None:
    said = ["Applied", "Rejected", "Hired", "Interview", "Withdrawn"]
    rows = "".join(f"u{n % 5},x{n % 7},{said[n % 5]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"applicant_id,job_id,status\n{rows}")
    assert (data.interactions.acts()["sign"] < 0).sum() == 14


@pytest.mark.parametrize(
    ("names", "cells", "numbers"),
    [
        ("student_id,course_code,grade", "A+ A B- D F W", [4.3, 4.0, 2.7, 1.0, 0.0, None]),
        ("student_id,course_code,Final Grade", "91 85.5 40 77 60 12", [91, 85.5, 40, 77, 60, 12]),
        ("学号,课程编号,成绩", "91 85.5 40 77 60 缺考", [91, 85.5, 40, 77, 60, None]),
        ("学号,课程编号,总评", "优秀 良 中等 及格 不及格 缓考", [4, 3, 2, 1, 0, None]),
        ("user,item,rating", "A B C D E P", [4, 3, 2, 1, 0.7, None]),
    ],
)
def test_grades_are_ratings(
    tmp_path: Path, names: str, cells: str, numbers: list[float | None]
) -> None:
    said = cells.split()
    rows = "".join(f"u{n % 5},x{n % 7},{said[n % 6]}\n" for n in range(35))
    data, found = one_file(tmp_path, f"{names}\n{rows}")
    assert len(data.interactions) == 35 and data.interactions.has_values
    got = {None if v is None else round(v, 1) for v in data.interactions.frame["value"]}
    assert got == set(numbers)
    assert any("grade" in f.why or "read as value" in f.why for f in found)


def test_the_grade_of_a_user_or_an_item_is_no_rating(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n % 5 // 2 + 3},{'ABC'[n % 7 % 3]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"pupil,book,grade,mark\n{rows}")
    assert not data.interactions.has_values
    assert "grade" in data.users.frame.columns and "mark" in data.items.frame.columns
    rows = "".join(f"u{n % 5},x{n % 7},{int(n % 3 == 0)}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,mark\n{rows}")
    assert data.interactions.context_columns == ["mark"]
    rows = "".join(f"u{n % 5},x{n % 7},{'red blue A'.split()[n % 3]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,grade\n{rows}")
    assert data.interactions.context_columns == ["grade"]


def test_a_grade_that_the_user_calls_context_is_none(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{'ABC'[n % 3]}\n" for n in range(35))
    (tmp_path / "r.csv").write_text(f"user,item,grade\n{rows}")
    source = "[[sources]]\ninteractions = 'r.csv'\ncontext = ['grade']\n"
    data, _ = one_file(tmp_path, source, "c.toml")
    assert data.interactions.context_columns == ["grade"]


@pytest.mark.parametrize(
    ("names", "marks"), [("client,produit,note", "1234"), ("student_id,course_code,grade", "ABCD")]
)
def test_ratings_by_their_cells_are_read_in_bounded_memory_too(
    tmp_path: Path, names: str, marks: str
) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{marks[n % 4]}\n" for n in range(35))
    at_once, _ = one_file(tmp_path, f"{names}\n{rows}")
    ingest(tmp_path / "interactions.csv", tmp_path / "out", rows_at_once=10)
    in_parts = read_clean(tmp_path / "out")[0].interactions
    assert in_parts.has_values
    assert in_parts.frame["value"].sum() == at_once.interactions.frame["value"].sum()


def states(*said: int) -> str:
    """A row a month of each of 12 users, in another order than that of time."""
    rows = [
        f"u{u},x{u % 4},2024-0{month}-01,{yes if u % 2 else said[0]}\n"
        for month, yes in enumerate(said, start=1)
        for u in range(12)
    ]
    return "".join(reversed(rows))


def test_reactions_say_yes_and_no(tmp_path: Path) -> None:
    said = ("❤️", "👍🏽", "😡")
    rows = "".join(f"u{n % 5},x{n % 7},{said[n % 3]}\n" for n in range(35))

    data, _ = one_file(tmp_path, f"user,post,reaction\n{rows}")

    assert data.interactions.acts()["sign"].to_list().count(-1) == 11

    data, _ = one_file(tmp_path, f"user,post,mood\n{rows}")

    assert set(data.interactions.frame["kind"]) == {"event"}
    assert "mood" in data.interactions.frame.columns


@pytest.mark.parametrize(("name", "end"), [("enrolled", "unenrol"), ("subscribed", "unsubscribe")])
def test_a_state_that_ends_says_no(tmp_path: Path, name: str, end: str) -> None:
    (tmp_path / "r.csv").write_text(f"user,item,date,{name}\n" + states(1, 1, 1, 0))
    tables = open_tables(tmp_path / "r.csv")
    ended = tables.interactions.filter(kind=end)
    assert ended.height == 6 and ended["timestamp"].n_unique() == 1
    assert any(f.rows == 6 and "is a state" in f.why for f in tables.findings)


@pytest.mark.parametrize("form", ["2024-0{}", "20240{}", "0{}/2024", "2024年{}月"])
def test_a_month_is_the_time_of_a_state(tmp_path: Path, form: str) -> None:
    rows = states(1, 1, 1, 0)
    for month in range(1, 5):
        rows = rows.replace(f"2024-0{month}-01", form.format(month))
    for name in ("month", "date"):
        (tmp_path / "r.csv").write_text(f"user,item,{name},enrolled\n{rows}")
        tables = open_tables(tmp_path / "r.csv")
        assert tables.interactions.filter(kind="unenrol").height == 6
        assert tables.interactions["timestamp"].n_unique() == 4


def test_a_yes_of_a_moment_is_no_state(tmp_path: Path) -> None:
    for name, said in (("subscribed", (0, 1, 1, 0)), ("clicked", (1, 1, 1, 0))):
        (tmp_path / "r.csv").write_text(f"user,item,date,{name}\n" + states(*said))
        tables = open_tables(tmp_path / "r.csv")
        assert not any("is a state" in f.why for f in tables.findings), name


@pytest.mark.parametrize(
    ("name", "done", "no", "nothing"),
    [
        ("Order Status", "completed processing", "cancelled refunded", "failed"),
        ("status", "active", "deleted", ""),
        ("Status", "confirmed checked_out", "cancelled_by_guest no_show", "expired"),
        ("decision", "Approved", "Declined Withdrawn", ""),
        ("Completion Status", "Completed In_progress", "", "Not_started"),
        ("attendance", "Present Late", "Absent", "Excused"),
        ("订单状态", "待发货 已完成", "已退款 已取消", ""),
        ("Bestellstatus", "abgeschlossen offen", "storniert zurückgeschickt", ""),
    ],
)
def test_a_state_beside_an_act_says_what_became_of_it(
    tmp_path: Path, name: str, done: str, no: str, nothing: str
) -> None:
    said = [*done.split(), *no.split(), *nothing.split()]
    states = [said[n // 2 % len(said)] for n in range(35)]
    rows = "".join(f"u{n % 5},x{n % 7},{state}\n" for n, state in enumerate(states))
    data, found = one_file(tmp_path, f"user,item,{name}\n{rows}")
    signs = [1 if s in done.split() else -1 if s in no.split() else 0 for s in states]
    pairs = zip(*data.interactions.frame["user_id", "item_id"], strict=True)
    read = dict(zip(pairs, data.interactions.acts()["sign"], strict=True))
    assert [read[f"u{n % 5}", f"x{n % 7}"] for n in range(35)] == signs
    assert len(data.interactions.context_columns) == 0
    assert told(found, "kinds") == [sum(sign < 1 for sign in signs)]


def test_the_state_of_a_review_of_an_item_or_of_no_act_refuses_nothing(tmp_path: Path) -> None:
    said = "approved rejected held".split()
    rows = "".join(f"u{n % 5},x{n % 7},{n % 5 + 1},{said[n % 3]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,rating,status\n{rows}")
    assert data.interactions.context_columns == ["status"]
    rows = "".join(f"u{n % 5},x{n % 7},{['live', 'cancelled'][n % 7 % 2]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,status\n{rows}")
    assert set(data.interactions.frame["kind"]) == {"event"}
    said = ["not refunded", "no refund", "refunded"]
    rows = "".join(f"u{n % 5},x{n % 7},{said[n % 3]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,status\n{rows}")
    assert data.interactions.acts()["sign"].to_list().count(-1) == 11


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        ("refund requested", "completed"),
        ("Return pending", "not returned"),
        ("Erstattung beantragt", "geliefert"),
        ("reembolso solicitado", "entregado"),
        ("退款中", "交易成功"),
        ("退货申请中", "已发货"),
        ("返品申請", "発送済み"),
    ],
)
def test_a_state_of_a_refund_that_was_asked_for_says_no(
    tmp_path: Path, asked: str, other: str
) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{asked if n % 3 == 0 else other}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user,item,status\n{rows}")
    assert data.interactions.acts()["sign"].to_list().count(-1) == 12
    assert told(found, "kinds") == [12]


@pytest.mark.parametrize(
    ("name", "buy", "sell"),
    [("b/s", "B", "S"), ("side", "BOT", "SLD"), ("type", "b", "sell"), ("买卖方向", "买", "卖")],
)
def test_a_side_of_trades_in_letters_says_who_sold(
    tmp_path: Path, name: str, buy: str, sell: str
) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{sell if n % 3 == 0 else buy}\n" for n in range(35))
    data, found = one_file(tmp_path, f"client,isin,{name}\n{rows}")
    assert sorted(data.interactions.acts()["sign"].value_counts().rows()) == [(-1, 12), (1, 23)]
    assert told(found, "kinds") == [12]
    rows = "".join(f"u{n % 5},x{n % 7},{'SML'[n % 3]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"client,sku,type\n{rows}")
    assert (data.interactions.acts()["sign"] > 0).all()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("direction", "long short"),
        ("opération", "Achat Vente Frais"),
        ("side", "Buy Sell Fee"),
    ],
)
def test_bets_and_trades_beside_others(tmp_path: Path, name: str, words: str) -> None:
    said = words.split()
    rows = "".join(f"u{n % 5},x{n % 7},{said[(n // 5) % len(said)]}\n" for n in range(35))
    signs = {1: 0, -1: 0}
    for n in range(35):
        signs[-1 if (n // 5) % len(said) == 1 else 1] += 1
    data, found = one_file(tmp_path, f"client,isin,{name}\n{rows}")
    assert dict(data.interactions.acts()["sign"].value_counts().rows()) == signs
    assert any(f.rows == signs[-1] and f"what: {said[1]!r}" in f.why for f in found)
    others = {*said} & {*data.interactions.frame["kind"]}
    assert others == {*said[2:]}  # as they are written


@pytest.mark.parametrize("words", ["long short", "a b s"])
def test_forms_of_items_are_no_bets(tmp_path: Path, words: str) -> None:
    said = words.split()
    rows = "".join(f"u{n % 5},x{n % 7},{said[(n // 5) % len(said)]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"client,video,type\n{rows}")
    assert (data.interactions.acts()["sign"] > 0).all()


@pytest.mark.parametrize(
    ("name", "yes", "no"),
    [
        ("emotion", "like haha wow", "angry"),
        ("feeling", "Me_gusta Me_encanta", "Me_enoja"),
        ("Reaktion", "Gefällt_mir Geteilt", "Wütend Gefällt_mir_nicht"),
        ("type", "cart.item_added order.placed cart.quantity_changed", "cart.item_removed"),
        ("swipe", "right up", "left unmatch"),
    ],
)
def test_reactions_in_words_say_yes_and_no(tmp_path: Path, name: str, yes: str, no: str) -> None:
    said = [word.replace("_", " ") if "." not in word else word for word in f"{yes} {no}".split()]
    cells = [said[(n // 5) % len(said)] for n in range(35)]
    rows = "".join(f"u{n % 5},x{n % 7},{cell}\n" for n, cell in enumerate(cells))
    data, _ = one_file(tmp_path, f"user,post_id,{name}\n{rows}")
    refused = sum(said.index(cell) >= len(yes.split()) for cell in cells)
    assert data.interactions.acts()["sign"].to_list().count(-1) == refused > 0


def test_how_users_felt_and_what_a_ticket_is_are_no_acts(tmp_path: Path) -> None:
    for names, said in (
        ("user,song_id,emotion", ("angry", "sad", "happy")),
        ("user,film_id,emotion_label", ("angry", "sad")),
        ("user,flight_id,type", ("return", "single", "open")),
    ):
        rows = "".join(f"u{n % 5},x{n % 7},{said[(n // 5) % len(said)]}\n" for n in range(35))
        data, _ = one_file(tmp_path, f"{names}\n{rows}")
        assert {*data.interactions.acts()["sign"]} == {1}, names


def test_a_flag_of_no_interest_says_no_beside_flags_of_yes(tmp_path: Path) -> None:
    rows = "".join(
        f"u{n % 5},x{n % 7},{'是' if n % 3 == 1 else '否'},{'是' if n % 3 == 2 else '否'}\n"
        for n in range(35)
    )
    for names in ("用户,视频,是否点赞,是否不感兴趣", "user,video,liked,not_interested"):
        data, _ = one_file(tmp_path, f"{names}\n{rows}")
        signs = data.interactions.acts()["sign"].value_counts().rows()
        assert sorted(signs) == [(-1, 11), (0, 12), (1, 12)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rating", "bad good excellent"),
        ("satisfaction", "Very_dissatisfied Okay Very_satisfied!"),
        ("评价", "差 一般 非常好"),
        ("starRating", "ONE THREE FIVE"),
        ("satisfaction", "Strongly_disagree Agree Strongly_agree"),
    ],
)
def test_ratings_in_words_are_ratings(tmp_path: Path, name: str, words: str) -> None:
    said = [word.replace("_", " ") for word in words.split()]
    rows = "".join(f"u{n % 5},x{n % 7},{said[n % 3]}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user,item,{name}\n{rows}")
    values = data.interactions.frame["value"].value_counts().sort("value")["count"].to_list()
    assert data.interactions.has_values and values == [12, 12, 11]
    assert any("such as" in f.why for f in found)


def test_of_several_ratings_the_user_s_own_is_read_and_none_where_none_is(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n % 3 + 1},{n % 7 + 2},4\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,Your Rating,IMDb Rating,Average Rating\n{rows}")
    assert set(data.interactions.frame["value"]) == {1.0, 2.0, 3.0}
    assert "IMDb Rating" in data.items.frame.columns
    rows = "".join(f"u{n % 5},x{n % 7},{n % 3 + 1},{n % 4 + 2}\n" for n in range(35))
    for names in (
        "用户,店铺,总评分,口味评分",
        "user,item,NPS score,x",
        "user.id,item.id,rating.value,x",
    ):
        data, _ = one_file(tmp_path, f"{names}\n{rows}")
        assert set(data.interactions.frame["value"]) == {1.0, 2.0, 3.0}
    data, found = one_file(tmp_path, f"user,item,food rating,room rating\n{rows}")
    assert not data.interactions.has_values
    assert any("none of them is taken" in f.why and "food rating" in f.why for f in found)


def test_a_type_of_items_in_letters_or_a_length_is_no_side_of_a_trade(tmp_path: Path) -> None:
    for cells in (("b", "s"), ("long", "short")):
        rows = "".join(f"u{n % 5},x{n % 7},{cells[n % 7 % 2]}\n" for n in range(35))
        data, _ = one_file(tmp_path, f"user,video,type\n{rows}")
        assert (data.interactions.acts()["sign"] > 0).all()
    rows = "".join(f"u{n % 5},x{n % 7},{('long', 'short')[n % 3 % 2]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,video,type\n{rows}")
    assert (data.interactions.acts()["sign"] > 0).all()


def test_states_that_are_acts_keep_what_they_say(tmp_path: Path) -> None:
    said = ["Delivered", "Opened", "Clicked", "Bounced", "Unsubscribed"]
    rows = "".join(f"u{n % 5},x{n % 7},{said[n // 2 % 5]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,Status\n{rows}")
    kinds = {data.interactions.kinds.key(kind) for kind in data.interactions.frame["kind"]}
    assert kinds == {"delivered", "open", "click", "fail", "unsubscribe"}


@pytest.mark.parametrize("name", ["is_recommended", "Recommended", "voted_up", "是否推荐"])
def test_a_no_to_whether_it_is_recommended_says_no(tmp_path: Path, name: str) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{'false' if n % 3 else 'true'}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,{name}\n{rows}")
    assert sorted(data.interactions.acts()["sign"].value_counts().rows()) == [(-1, 23), (1, 12)]


def test_a_label_of_one_and_zero_says_what_was_done_of_what_was_shown(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{int(n % 3 == 0)}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user,item,label\n{rows}")
    assert data.interactions.acts()["sign"].sum() == 12 and told(found, "kinds") == [23]
    rows = "".join(f"u{n % 5},x{n % 7},{n % 7 % 2}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,label\n{rows}")
    assert "label" in data.items.frame.columns


def test_the_state_of_an_order_holds_for_the_rows_below_its_first(tmp_path: Path) -> None:
    states = ["paid", "", "refunded", "", "paid", ""]
    rows = "".join(f"#{n // 2},u{n // 2 % 5},x{n % 7},{states[n % 6]}\n" for n in range(36))
    data, found = one_file(tmp_path, f"Order,Customer,Product,Financial Status\n{rows}")
    assert data.interactions.acts()["sign"].to_list().count(-1) == 12
    assert told(found, "blocks") == [18]


def test_the_kinds_of_business_of_a_fund_are_kinds(tmp_path: Path) -> None:
    said = ["申购", "赎回", "定投", "认购"]
    rows = "".join(f"u{n % 5},x{n % 7},{said[n % 4]}\n" for n in range(35))
    data, found = one_file(tmp_path, f"客户号,基金代码,业务类型\n{rows}")
    assert data.interactions.acts()["sign"].to_list().count(-1) == 9
    assert not any("is not known" in f.why for f in found)


@pytest.mark.parametrize(
    ("column", "no", "yes", "other"),
    [
        ("Trans Code", "SELL", "BUY", "CDIV"),
        ("acción", "Descartado", "Postulado", "Visto"),
        ("estado", "no presentado", "completada", "completada"),
        ("Statut", "Absent non excusé", "Honoré", "Confirmé"),
        ("présence", "Annulé", "Présent", "Liste d'attente"),
        ("evt", "hide", "click", "conv"),
    ],
)
def test_acts_and_their_contraries_of_brokers_job_boards_and_clinics(
    tmp_path: Path, column: str, no: str, yes: str, other: str
) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{(no, yes, other)[n % 3]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user,item,{column}\n{rows}")
    signs = data.interactions.acts()["sign"]
    assert (int((signs < 0).sum()), int((signs > 0).sum())) == (12, 23)


def test_codes_of_votes_are_read_by_their_names_and_told_without(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n % 7},{2 + (n % 3 == 0)},u{n % 5}\n" for n in range(35))
    (tmp_path / "Votes.csv").write_text(f"Id,PostId,VoteTypeId,UserId\n{rows}")
    _, report = read_clean(tmp_path)
    assert any(
        "column 'VoteTypeId' of Votes.csv holds numbers (2, 3)" in f.why for f in report.findings
    )
    (tmp_path / "VoteTypes.csv").write_text("Id,Name\n2,UpVote\n3,DownVote\n")
    data, _ = read_clean(tmp_path)
    assert int((data.interactions.acts()["sign"] < 0).sum()) == 12


def test_swipes_beside_messages_are_read(tmp_path: Path) -> None:
    said = ["like", "superlike", "pass", "unmatch", "block", "message"]
    rows = "".join(f"u{n % 5},v{n % 7},{said[n % 6]}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"swiper_id,target_id,swipe\n{rows}")
    assert sorted(data.interactions.acts()["sign"].value_counts().rows()) == [(-1, 18), (1, 17)]
