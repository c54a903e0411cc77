"""Scripts and statements, told apart by their text."""

import pytest
from hypothesis import given, strategies as st

from holdfast.track._sqlite.sql_text import check_statement, statements, verb

WHITE = st.sampled_from(("", " ", "\n", "-- a; comment\n", "/* one; more */", ";"))
STATEMENTS = st.sampled_from(
    (
        "SELECT 1",
        "INSERT INTO t VALUES ('a;b')",
        'SELECT ";" FROM t -- end',
        "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; SELECT ';'; END",
        "WITH a AS (SELECT 1) SELECT * FROM a",
    )
)


@given(st.lists(st.tuples(WHITE, STATEMENTS), max_size=6), st.sampled_from(("", ";", ";\n-- end")))
def test_a_script_is_divided_into_its_statements(parts, end):
    """As many as went in, each whole, in order."""
    script = "\n;".join(white + statement for white, statement in parts) + (
        "\n" + end if parts else ""
    )

    found = list(statements(script))

    assert [verb(one) for one in found] == [verb(one) for _, one in parts]
    assert all(statement in one for one, (_, statement) in zip(found, parts, strict=True))


@given(
    st.lists(WHITE.filter(lambda text: text != ""), max_size=4),
    st.sampled_from(("begin", "COMMIT", "Rollback")),
)
def test_what_ends_transactions_is_found_behind_anything(white, word):
    """Comments, semicolons and space do not hide it."""
    with pytest.raises(ValueError, match="not for a statement"):
        check_statement("".join(white) + word)
