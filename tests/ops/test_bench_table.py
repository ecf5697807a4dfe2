"""The table that `sluice bench` prints."""

from __future__ import annotations

from sluice.ops.bench import layout, table, targets
from sluice.ops.bench.results import (
    Ask,
    ChunkCost,
    Cost,
    FamilyCost,
    FirstChunk,
    LimitKeys,
    LinkAsk,
    Machine,
    OpenStreams,
    Results,
    Scrape,
    Spread,
    StoreOperation,
)

MACHINE = Machine(2, "3.11.7", optimized=True, kernel="6.1", descriptors=20000, one_core=False)


def printed(found: Results) -> str:
    return table.render(found, targets.verdicts(found))


def full() -> Results:
    return Results(
        MACHINE,
        costs={
            "at-once": {
                "nginx": [Cost(160, 6000, 0.95)],
                "Sluice": [Cost(320, 2900, 0.97)],
            },
        },
        first_chunk={"direct": [FirstChunk(1, 2)], "Sluice": [FirstChunk(1.4, 3)]},
        open_streams={"Sluice": OpenStreams(5000, 5000, 5000, 4998, 21.5, 4.2, 1050)},
        leaving={"Sluice": [0.5, 0.25, 1.5]},
        asks=[Ask(3, 18)],
    )


def line(text: str, start: str) -> str:
    rows = [" ".join(row.split()) for row in text.splitlines()]
    (found,) = [row for row in rows if row.startswith(start)]
    return found


def test_figures_stand_under_their_contestant_and_the_ratio_beside() -> None:
    text = printed(full())
    assert (
        line(text, "at once 1")
        == "at once 160 (160 to 160) - 320 (320 to 320) 2.00 (2.00 to 2.00) -"
    )
    assert line(text, "at once 6") == "at once 6,000 (6,000 to 6,000) - 2,900 (2,900 to 2,900)"


def test_every_measurement_has_its_section() -> None:
    text = printed(full())
    assert (
        line(text, "added by Sluice") == "added by Sluice 0.40 (0.40 to 0.40) 1.00 (1.00 to 1.00)"
    )
    assert line(text, "Sluice 5,000") == "Sluice 5,000 2 21.5 4.2 s 1,050"
    assert line(text, "Sluice 0.50") == "Sluice 0.50 (0.25 to 1.50)"
    assert line(text, "ask / checkpoint") == "ask / checkpoint 6.0 (6.0 to 6.0)"


def test_several_processes_have_their_sections() -> None:
    one, many = Cost(400, 1000, 1), Cost(500, 1000, 1)
    rounds = {
        "workers = 0": [FamilyCost(one, 399, 0, 1)],
        "workers = 2": [FamilyCost(many, 50, 447.5, 2.5)],
    }
    text = printed(
        Results(
            MACHINE,
            workers={"at-once": rounds},
            spread={"one by one": [[32, 32], [48, 16], [40, 24]]},
            link_asks=[LinkAsk(23.5, 22.5, 120)],
            store=[StoreOperation(18.5, 5, 200)],
            scrapes=[Scrape(2.25, 1.5, 3)],
            scraped={"nobody scrapes": [FirstChunk(1, 2)]},
        )
    )
    ratio = "at once 400 (400 to 400) 500 (500 to 500) 1.25 (1.25 to 1.25)"
    assert line(text, "at once 400") == ratio
    parts = "at once workers = 2 50 (50 to 50) 448 (448 to 448) 2.5 (2.5 to 2.5)"
    assert line(text, "at once workers = 2") == parts
    assert line(text, "opened one by one") == "opened one by one 62 (50 to 75)"
    assert line(text, "64 waiting, of who answers").endswith("22.5 (22.5 to 22.5)")
    assert line(text, "64 waiting, of Valkey").endswith("5.0 (5.0 to 5.0)")
    assert line(text, "the worker that answers").endswith("2.25 (2.25 to 2.25)")
    assert line(text, "nobody scrapes") == "nobody scrapes 1.00 (1.00 to 1.00) 2.00 (2.00 to 2.00)"


def test_breakers_limits_and_other_formats_have_their_sections() -> None:
    off, on = Cost(500, 1000, 1), Cost(550, 1000, 1)
    own, foreign = ChunkCost(100, 500, 2), ChunkCost(120, 720, 3)
    text = printed(
        Results(
            MACHINE,
            resilience={
                "at-once": {
                    "off": [FamilyCost(off, 500, 0, 0)],
                    "on": [FamilyCost(on, 520, 0, 30)],
                }
            },
            translated={"openai": {"openai": [own], "anthropic": [foreign]}},
            limit_keys=LimitKeys(100_000, 100_000, 0.75, 2.5, 99_999, 1),
        )
    )
    ratio = "at once 500 (500 to 500) 550 (550 to 550) 1.10 (1.10 to 1.10)"
    assert line(text, "at once 500") == ratio
    assert line(text, "at once on") == "at once on 520 (520 to 520) 30 (30 to 30)"
    chunks = "openai 2.00 (2.00 to 2.00) 3.00 (3.00 to 3.00) -"
    assert line(text, "openai 2.00") == chunks
    assert line(text, "openai 1.00") == "openai 1.00 (1.00 to 1.00) 1.50 (1.50 to 1.50) -"
    assert line(text, "growth of the worker") == "growth of the worker 0.8 MB"
    assert line(text, "expired in the store") == "expired in the store 99,999"


def test_targets_are_marked_reached_missed_or_not_measured() -> None:
    text = printed(full())
    assert line(text, "reached 20 chunks at once: ").endswith("2.00 x nginx")
    assert line(text, "MISSED 5,000 open streams").endswith("5,000 asked, 2 lost, 21.5 kB each")
    assert line(text, "not measured 20 chunks, 10 ms apart: ").endswith("1.6 x Envoy")


def test_what_was_not_measured_has_no_section() -> None:
    text = printed(Results(MACHINE))
    assert "Processor time" not in text
    assert "first chunk, 32" not in text
    assert "Requests a second" not in text


def test_a_rate_that_the_load_limited_is_starred() -> None:
    found = Results(MACHINE, costs={"at-once": {"nginx": [Cost(100, 3000, 0.5)]}})
    assert "3,000 (3,000 to 3,000)*" in printed(found)


def test_a_python_that_is_slower_than_most_is_told() -> None:
    slow = Machine(2, "3.11.7", optimized=False, kernel="6.1", descriptors=9, one_core=False)
    assert "without --enable-optimizations" in printed(Results(slow))
    assert "without --enable-optimizations" not in printed(Results(MACHINE))


def test_one_core_and_what_is_missing_are_said_on_top() -> None:
    machine = Machine(1, "3.11.7", optimized=True, kernel="6.1", descriptors=20000, one_core=True)
    text = printed(Results(machine, missing=["Envoy is not installed"]))
    assert "There is one core only" in text
    assert "Left out: Envoy is not installed." in text


def test_columns_line_up_and_no_line_ends_in_blanks() -> None:
    text = layout.columns([("", "a", "bb"), ("name", "1,000", "")])
    assert text == "            a  bb\n  name  1,000"


def test_a_spread_shows_thousands_and_its_bounds() -> None:
    assert layout.shown(Spread(1234.5, 1000, 2000)) == "1,234 (1,000 to 2,000)"
