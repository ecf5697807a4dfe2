"""`locate` against texts whose lines are plain to see, and against tomllib on generated ones."""

import tomllib
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.ops.config.toml_lines import Path, locate


def lines(text: str) -> dict[Path, int]:
    tomllib.loads(text)
    return locate(text)


def test_keys_of_the_root_and_of_tables_have_their_lines() -> None:
    found = lines("# a comment\na = 1\n\n[t]\n  b = 2 # c = 3\n")
    assert found == {("a",): 2, ("t",): 4, ("t", "b"): 5}


def test_dotted_headers_and_keys_place_every_table_on_the_way() -> None:
    found = lines("[a.b]\nc . d = 1\n[a]\nx = 2\n")
    assert found[("a", "b", "c", "d")] == 2
    assert found[("a", "b", "c")] == 2
    assert found[("a",)] == 3
    assert found[("a", "x")] == 4


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ('"gpt-4.1"', "gpt-4.1"),
        ("'sim-*'", "sim-*"),
        (r'"a\"b]"', 'a"b]'),
        (r'"\u00e9"', "é"),
        ('""', ""),
        ('"#"', "#"),
        ("1-2_b", "1-2_b"),
    ],
)
def test_quoted_names_are_found_by_what_they_mean(written: str, name: str) -> None:
    text = f"[models.{written}]\nprovider = 1\n[other.{written} . x]\n{written} = 2\n"
    found = lines(text)
    assert found[("models", name, "provider")] == 2
    assert found[("other", name, "x", name)] == 4


@pytest.mark.parametrize(
    "value",
    [
        '"""\n[x]\ny = 1\n"""',
        "'''\n[x]\n# \"\n'''",
        '"""a\\"""\n\nb"""',
        '"""two quotes at the end\n\n"""""',
        "'''two quotes at the end\n\n'''''",
        '""""a quote at the start\n\n"""',
        '"""\\\n  \n  x"""',
        "[ # one\n  1,\n  [2], ]",
    ],
)
def test_values_over_several_lines_do_not_hide_what_follows(value: str) -> None:
    found = lines(f"a = {value}\nlast = 1\n")
    assert found[("last",)] == f"a = {value}\n".count("\n") + 1
    assert not {path for path in found if path[0] not in ("a", "last")}


@pytest.mark.parametrize(
    "value",
    [
        '"]#}"',
        "'\\'",
        '"\\\\"',
        "1979-05-27 07:32:00",
        "0x1F",
        "-inf",
        "true",
        '""',
        "{}",
        "[]",
        "[[], [{}]]",
        "'''x'''",
        '""""""',
    ],
)
def test_single_values_end_where_they_end(value: str) -> None:
    found = lines(f"a = {value} # b = 1\nlast = {value}")
    assert found[("last",)] == 2
    assert ("b",) not in found


def test_keys_of_inline_tables_and_items_of_arrays_are_found() -> None:
    text = 'a = { b = { c.d = 1 }, "e}" = 2 }\nl = [\n  1, # one\n  "two", { k = 3 },\n]\n'
    found = lines(text)
    assert found[("a", "b", "c", "d")] == 1
    assert found[("a", "e}")] == 1
    assert [found[("l", n)] for n in range(3)] == [3, 4, 4]
    assert found[("l", 2, "k")] == 4


def test_arrays_of_tables_are_counted() -> None:
    found = lines("[[a]]\nx = 1\n[a.s]\ny = 2\n[[a]]\nx = 3\n[a.s.t]\nz = 4\n[[a.u]]\n")
    assert found[("a",)] == 1
    assert found[("a", 0, "s", "y")] == 4
    assert found[("a", 1, "x")] == 6
    assert found[("a", 1, "s", "t", "z")] == 8
    assert found[("a", 1, "u", 0)] == 9


def test_lines_that_end_in_carriage_return_and_newline_count_once() -> None:
    assert lines("a = 1\r\n[t]\r\nb = 2\r\n")[("t", "b")] == 3


def test_an_empty_text_has_no_keys() -> None:
    assert locate("") == {}
    assert locate("\n# only a comment") == {}


def test_a_text_that_is_not_toml_ends_in_an_error() -> None:
    with pytest.raises(ValueError, match="line 2"):
        locate("a = 1\n=\n")


_names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=4)
_scalars = st.one_of(
    st.integers(-99, 99),
    st.booleans(),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8),
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=6,
)


def _string(text: str) -> str:
    return '"' + "".join(f"\\U{ord(character):08X}" for character in text) + '"'


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, list):
        return "[" + ",\n ".join(_written(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_string(k)} = {_written(v)}" for k, v in value.items()) + "}"
    return str(value)


def _paths(value: object, path: Path = ()) -> Iterator[Path]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*path, key))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _paths(inner, (*path, index))


@given(st.dictionaries(_names, st.dictionaries(_names, _values, max_size=4), max_size=4))
def test_every_key_that_tomllib_finds_has_a_line(tree: dict[str, dict[str, object]]) -> None:
    text = "".join(
        f"[{_string(name)}]\n"
        + "".join(f"{_string(key)} = {_written(value)}\n" for key, value in table.items())
        for name, table in tree.items()
    )
    parsed = tomllib.loads(text)
    assert parsed == tree
    found = locate(text)
    assert set(found) == set(_paths(parsed))
    for path, line in found.items():
        written = text.splitlines()[line - 1] if isinstance(path[-1], str) else ""
        assert not written or _string(str(path[-1])) in written
