"""Whatever stands in a file or a variable, a rule reads it or refuses it, in words."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sluice.ops.config import ConfigurationError, load
from sluice.ops.config.mistakes import Refused
from sluice.ops.config.rules import Context, Rule
from sluice.ops.config.schema import SCHEMA, Named, Node


def rules(node: Node) -> Iterator[Rule]:
    if isinstance(node, Rule):
        yield node
    elif isinstance(node, Named):
        yield node.name
        yield from rules(node.entry)
    else:
        for inner in node.keys.values():
            yield from rules(inner)


RULES = list(rules(SCHEMA))
CONTEXT = Context(Path("/nonexistent"), {"SET": "value"})

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["env:SET", "file:\0", "file:~nobody-here/x", "unix:/\0", "http://[", "*"]),
    st.dates(),
    st.integers(10**300, 10**301),
)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(), scalars, max_size=2)


@given(values)
@example(16**5000)
@example(-(16**5000))
def test_a_rule_reads_a_value_or_refuses_it(value: object) -> None:
    for rule in RULES:
        said = "read"
        try:
            rule.read(value, CONTEXT)
        except Refused as problem:
            said = str(problem)
        assert 0 < len(said) < 400


@given(st.text(max_size=30) | st.from_regex(r"[-+_0-9.eE\[\]\",]{0,12}"))
@example("0\x1f")
def test_a_rule_decodes_any_text(text: str) -> None:
    for rule in RULES:
        rule.decode(text)


@pytest.mark.parametrize(
    "text",
    [
        "connections.limit = " + "9" * 5000,
        "connections.limit = 0x" + "F" * 5000,
        "timeouts.idle = 0x" + "F" * 5000,
        "server.workers = []",
        "server.workers = 1.0",
        'server.bind = "a\\u0000:1"',
        "[models]\na = 1",
        "[[models]]\na = 1",
        "[models.a]\ntimeouts = [1]",
        "[server]\nlimits = 4",
        "[providers.'']\nbase_url = 'http://h'",
        "[providers.'a/b']\nbase_url = 'http://h'",
    ],
)
def test_an_odd_file_is_refused_in_words(tmp_path: Path, text: str) -> None:
    file = tmp_path / "sluice.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load(str(file), {})
    assert len(str(caught.value)) < 1000


@given(st.dictionaries(st.sampled_from(sorted(SCHEMA.keys)) | st.text(max_size=3), values))
def test_any_environment_is_read_or_refused(tables: dict[str, object]) -> None:
    environment = {f"SLUICE_{name.upper()}__X": str(value) for name, value in tables.items()}
    places = set()
    try:
        load(None, environment)
    except ConfigurationError as problem:
        places = {mistake.place for mistake in problem.mistakes}
    assert places <= set(environment)
