"""Sources over sources: what wins, and who is remembered for it."""

from evertrain.config.layer import Layer, Loc, Origin, lay, origin_of, preset_layer, put

FILE = Origin("file", "t.yaml:1:1", 1, 1)
OPTION = Origin("command line", "-o x=1")


def test_tables_merge_and_lists_replace() -> None:
    """Keys of a table are laid one over the other; a list is taken whole."""
    layer = preset_layer({"ppo": {"gamma": 0.9, "net": [1, 2, 3]}, "envs": 4}, "default")
    lay(layer, Layer({"ppo": {"net": [7]}}, {("ppo",): FILE, ("ppo", "net"): FILE}))

    assert layer.values == {"ppo": {"gamma": 0.9, "net": [7]}, "envs": 4}


def test_a_replaced_value_forgets_its_origin() -> None:
    """The items of a list that was replaced do not keep the origin of the old items."""
    layer = preset_layer({"stages": [{"steps": 1}, {"steps": 2}]}, "default")
    over = Layer({"stages": [{"steps": 9}]}, {("stages",): FILE, ("stages", 0, "steps"): FILE})
    lay(layer, over)

    assert layer.origins == {("stages",): FILE, ("stages", 0, "steps"): FILE}


def test_laying_changes_neither_source() -> None:
    """The layer below is built up from copies."""
    values = {"ppo": {"net": [1]}}
    layer = preset_layer(values, "default")
    put(layer, ("ppo", "net", "0"), 5, OPTION)

    assert layer.values == {"ppo": {"net": [5]}}
    assert values == {"ppo": {"net": [1]}}


def test_put_creates_tables_on_the_way() -> None:
    """A key inside a table that nobody set yet is set all the same."""
    layer = Layer()

    assert put(layer, ("a", "b", "c"), 1, OPTION) is None
    assert layer.values == {"a": {"b": {"c": 1}}}
    assert origin_of(layer.origins, ("a", "b", "c")) == OPTION


def test_put_into_a_list_takes_a_number_that_is_there() -> None:
    """`stages.1.steps` means the second item; `stages.2` of two is a problem."""
    layer = Layer({"stages": [{"steps": 1}, {"steps": 2}]})

    assert put(layer, ("stages", "1", "steps"), 9, OPTION) is None
    assert layer.values["stages"][1] == {"steps": 9}
    problem = put(layer, ("stages", "2", "steps"), 9, OPTION)
    assert problem == "there is no item '2' in 'stages', which has items 0 to 1"
    assert put(layer, ("stages", "last"), 9, OPTION) is not None
    assert put(Layer({"a": []}), ("a", "0"), 1, OPTION) is not None


def test_put_replaces_a_scalar_by_a_table() -> None:
    """The model then judges the table; nothing fails here."""
    layer = Layer({"a": 1}, {("a",): FILE})

    assert put(layer, ("a", "b"), 2, OPTION) is None
    assert layer.values == {"a": {"b": 2}}
    assert layer.origins[("a",)] == OPTION


def test_the_nearest_origin_counts() -> None:
    """For a key that is not there, whoever wrote the table around it is named."""
    origins: dict[Loc, Origin] = {("ppo",): FILE}

    assert origin_of(origins, ("ppo", "gamma")) == FILE
    assert origin_of(origins, ("envs",)) is None


def test_an_origin_prints_its_place() -> None:
    """A default has no place, so it prints what it is."""
    assert [str(FILE), str(Origin("default"))] == ["t.yaml:1:1", "default"]
