import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bakeoff.core.large_tables import RowGroups

TABLE = pa.table({"id": [str(i) for i in range(23)], "score": pa.array(range(23), pa.float32())})


@pytest.mark.parametrize("portions", [[23], [1, 22], [4, 4, 15], [10, 0, 13], [5, 5, 13]])
def test_a_file_written_in_portions_has_the_bytes_of_the_whole(tmp_path, portions):
    pq.write_table(TABLE, tmp_path / "whole.parquet", row_group_size=5)
    start = 0
    with RowGroups(tmp_path / "portions.parquet", rows_per_group=5) as rows:
        for count in portions:
            rows.add(TABLE.slice(start, count))
            start += count
    assert (tmp_path / "portions.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_table_without_rows_keeps_its_columns(tmp_path):
    with RowGroups(tmp_path / "empty.parquet") as rows:
        rows.add(TABLE.slice(0, 0))
    pq.write_table(TABLE.slice(0, 0), tmp_path / "whole.parquet")
    assert (tmp_path / "empty.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
