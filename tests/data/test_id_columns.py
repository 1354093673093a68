"""Columns of ids that names alone say badly."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.exports import one_file, titles
from metarec.data.cleaning import read_clean
from metarec.data.errors import BadInput
from metarec.data.findings import Finding
from metarec.data.ingest import ingest

pytestmark = pytest.mark.filterwarnings("ignore::metarec.data.schema.DataWarning")


def whys(found: list[Finding]) -> str:
    return "; ".join(f.why for f in found)


@pytest.mark.parametrize("code", ["Const", "URL", "Lot No", "id_zine", "商品管理番号"])
def test_the_id_beside_a_title_goes_before_it(tmp_path: Path, code: str) -> None:
    ids = [f"https://x.org/{n}" if code == "URL" else f"tt{n:04}" for n in range(4)]
    rows = "".join(
        f"u{u},{ids[n]},Film {'ABCD'[n]},{1990 + n},{n + u}\n" for u in range(5) for n in range(4)
    )
    data, found = one_file(tmp_path, f"user,{code},Title,Year,number of votes\n{rows}")
    assert titles(data) == {ids[n]: f"Film {'ABCD'[n]}" for n in range(4)}
    assert f"column {code!r} of interactions.csv was read as item_id" in whys(found)


def test_numbers_of_rows_and_of_orders_are_no_items_beside_a_title(tmp_path: Path) -> None:
    rows = "".join(
        f"u{u},{n},row{4 * u + n},o{u},Film {'ABCD'[n]},s{n % 2}\n"
        for u in range(5)
        for n in range(4)
    )
    data, _ = one_file(tmp_path, f"user,rank no,line_id,order_id,Title,studio_id\n{rows}")
    assert set(data.interactions.frame["item_id"]) == {f"Film {x}" for x in "ABCD"}


def test_a_column_of_ids_that_holds_nothing_is_none(tmp_path: Path) -> None:
    rows = "".join(f"u{u},Mug {'ABC'[n]},,{900 + n}\n" for u in range(5) for n in range(3))
    data, found = one_file(tmp_path, f"Buyer,Item Name,SKU,Listing ID\n{rows}")
    assert titles(data) == {"900": "Mug A", "901": "Mug B", "902": "Mug C"}
    assert "column 'SKU' of interactions.csv holds nothing" in whys(found)


def test_the_one_id_that_users_share_is_that_of_items(tmp_path: Path) -> None:
    names = "user,row_id,ID,name,studio_id,order_id"
    rows = "".join(
        f"u{u},{4 * u + n},{70 + n},Film {'ABCD'[n]},s{n % 2},o{u}\n"
        for u in range(5)
        for n in range(4)
    )
    data, found = one_file(tmp_path, f"{names}\n{rows}")
    assert titles(data) == {str(70 + n): f"Film {'ABCD'[n]}" for n in range(4)}
    assert "column 'ID' of interactions.csv was read as item_id" in whys(found)


def test_ids_that_number_rows_or_belong_to_users_are_no_items(tmp_path: Path) -> None:
    rows = "".join(f"u{u},{4 * u + n},m{u},o{u}\n" for u in range(5) for n in range(4))
    with pytest.raises(BadInput, match="no column 'item_id'"):
        one_file(tmp_path, f"user,row_id,plan_id,order_id\n{rows}")


def test_friends_are_no_items(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},u{n % 7}\n" for n in range(35))
    with pytest.raises(BadInput, match="no column 'item_id'"):
        one_file(tmp_path, f"user_id,friend_id\n{rows}")


def test_users_by_a_number_in_another_language_go_before_their_addresses(tmp_path: Path) -> None:
    rows = "".join(f"{u};u{u}@x.org;A{n}\n" for u in range(5) for n in range(4))
    data, _ = one_file(tmp_path, f"Kundennummer;E-Mail;Artikelnummer\n{rows}")
    assert set(data.interactions.frame["user_id"]) == {str(u) for u in range(5)}


def test_such_ids_are_read_in_bounded_memory_too(tmp_path: Path) -> None:
    rows = "".join(f"u{u},{70 + n},Film {'ABCD'[n]}\n" for u in range(5) for n in range(4))
    (tmp_path / "interactions.csv").write_text(f"user,ID,name\n{rows}")
    ingest(tmp_path / "interactions.csv", tmp_path / "out", rows_at_once=10)
    events = read_clean(tmp_path / "out")[0].interactions.frame
    assert set(events["item_id"]) == {"70", "71", "72", "73"}


@pytest.mark.parametrize("within", ["episode_guid", "session_id", "row_id"])
def test_ids_of_what_is_within_go_before_the_name_of_what_holds_it(
    tmp_path: Path, within: str
) -> None:
    shows = ("The Daily", "Hard Fork")
    cells = {"episode_guid": "ep{n}", "session_id": "s{n}", "row_id": "{u}{n}"}
    rows = "".join(
        f"u{u},{cells[within].format(n=n, u=u)},{shows[n % 2]}\n"
        for u in range(5)
        for n in range(6)
    )
    data, _ = one_file(tmp_path, f"listener,{within},show\n{rows}")
    is_item = within == "episode_guid"
    wanted = {f"ep{n}" for n in range(6)} if is_item else set(shows)
    assert set(data.interactions.frame["item_id"]) == wanted


ROWS = [f"{9000 + n},u{n % 5},sku{n % 7},{n % 3 + 1}" for n in range(35)]


def test_the_lines_of_orders_are_no_items(tmp_path: Path) -> None:
    text = "item_id,customer_id,sku,qty_ordered\n" + "\n".join(ROWS)
    data, found = one_file(tmp_path, text)
    assert set(data.interactions.frame["item_id"]) == {f"sku{n}" for n in range(7)}
    assert "column 'item_id' of interactions.csv is another in each row" in whys(found)
    ingest(tmp_path / "interactions.csv", tmp_path / "kept")
    kept = read_clean(tmp_path / "kept")[0].interactions
    assert set(kept.frame["item_id"]) == {f"sku{n}" for n in range(7)}
    again = "item_id,customer_id,size_id,qty\n" + "\n".join(ROWS)
    data, _ = one_file(tmp_path, again)
    assert len(set(data.interactions.frame["item_id"])) == 35  # no other column is one of items


def test_one_product_of_many_places_is_no_item(tmp_path: Path) -> None:
    rows = "".join(f"{n},u{n % 5},st{n % 7},Diesel\n" for n in range(35))
    data, found = one_file(tmp_path, f"Beleg,Kundennummer,Tankstellen-ID,Produkt\n{rows}")
    assert set(data.interactions.frame["item_id"]) == {f"st{n}" for n in range(7)}
    assert "column 'Produkt' of interactions.csv is the same in each row" in whys(found)


@pytest.mark.parametrize(
    ("user", "item", "beside"),
    [
        ("user_id", "ad_id", "campaign_id"),
        ("user_id", "creative_id", "campaign_id"),
        ("swiper_id", "profile_id", "session"),
        ("anonymousId", "product_id", "messageId"),
        ("steamid", "appid", "n"),
        ("client_id", "style_id", "box_id"),
    ],
)
def test_who_acts_on_what_in_logs(tmp_path: Path, user: str, item: str, beside: str) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n % 3}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"{user},{item},{beside}\n{rows}")
    frame = data.interactions.frame
    assert set(frame["user_id"]) == {f"u{n}" for n in range(5)}
    assert set(frame["item_id"]) == {f"x{n}" for n in range(7)}


def test_who_is_signed_in_at_times_is_one_user(tmp_path: Path) -> None:
    rows = "".join(f"{f'u{n % 5}' if n % 3 else ''},c{n % 5},x{n % 7}\n" for n in range(35))
    data, found = one_file(tmp_path, f"user_id,user_pseudo_id,product_id\n{rows}")
    assert set(data.interactions.frame["user_id"]) == {f"u{n}" for n in range(5)}
    assert len(data.interactions) == 35
    assert [f.rows for f in found if "without 'user_id' go by 'user_pseudo_id'" in f.why] == [12]
    shared = "".join(f"{f'u{n % 5}' if n % 3 else ''},c1,x{n % 7}\n" for n in range(35))
    data, _ = one_file(tmp_path, f"user_id,device_id,product_id\n{shared}")
    assert set(data.interactions.frame["user_id"]) == {"c1", *(f"u{n}" for n in range(5))}


def test_how_long_users_stayed_is_told_to_count_for_nothing(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n},{n % 2}\n" for n in range(35))
    for name in ("watch_seconds", "play_time_ms", "ms_played", "dwell_time", "观看时长"):
        _, found = one_file(tmp_path, f"user_id,video_id,{name},wifi\n{rows}")
        assert f"{name!r} of interactions.csv says how long users stayed" in whys(found)
    _, found = one_file(tmp_path, f"user_id,video_id,ms_played,skipped\n{rows}")
    assert "how long users stayed" not in whys(found)


def test_how_far_users_came_is_told_to_count_for_nothing(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 5},x{n % 7},{n * 7 % 101},{n % 2}\n" for n in range(35))
    for name in ("percent_listened", "watch_ratio", "progress", "completionRate", "播放进度"):
        _, found = one_file(tmp_path, f"user_id,video_id,{name},wifi\n{rows}")
        assert f"{name!r} of interactions.csv says how far users came" in whys(found)
        assert f"columns = {{ value = {name!r} }}" in whys(found)
    _, found = one_file(tmp_path, f"user_id,video_id,progress,skipped\n{rows}")
    assert "how far users came" not in whys(found)


def test_another_column_that_may_name_items_is_told(tmp_path: Path) -> None:
    rows = "".join(f"d{n % 6},v{n % 5},r{n * 7 % 11},2024-03-{n % 28 + 1:02d}\n" for n in range(90))
    _, found = one_file(tmp_path, f"driver_id,vehicle_id,route_id,start\n{rows}")
    assert any(
        "'vehicle_id' of interactions.csv was read as item_id; 'route_id'" in f.why for f in found
    )
    rows = "".join(f"d{n % 6},a{n % 4},t{n * 7 % 12},2024-03-{n % 28 + 1:02d}\n" for n in range(90))
    _, found = one_file(tmp_path, f"listener_id,artist_id,track_id,start\n{rows}")
    assert not any("may name what users chose" in f.why for f in found)  # each track has its artist


def test_a_happening_goes_before_the_place_that_holds_it(tmp_path: Path) -> None:
    rows = "".join(
        f"a{n % 6}@x.org,EV{n * 7 % 11},Talk {n * 7 % 11},Hall {n * 7 % 11 % 3}\n"
        for n in range(66)
    )
    data, _ = one_file(tmp_path, f"customer_email,event_code,event_name,venue\n{rows}")
    assert titles(data) == {f"EV{n}": f"Talk {n}" for n in range(11)}
    names = ["view", "purchase", "hide"]  # what a program has logged
    rows = "".join(f"u{n % 6},{n % 3},{names[n % 3]},p{n * 7 % 11}\n" for n in range(66))
    data, _ = one_file(tmp_path, f"user_id,event_id,event_name,product\n{rows}")
    assert {*data.interactions.frame["item_id"]} == {f"p{n}" for n in range(11)}


def test_users_and_items_of_uid_and_further_names_are_known(tmp_path: Path) -> None:
    for names in ("Backer UID,Project ID", "observer_id,species_code", "id_candidato,id_vacante"):
        rows = "".join(f"u{n % 6},p{n * 7 % 11}\n" for n in range(66))
        data, _ = one_file(tmp_path, f"{names}\n{rows}")
        assert data.interactions.frame["user_id"].n_unique() == 6
