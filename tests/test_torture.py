import pytest

from torture import torture


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 3])
def test_killed_runs_end_in_the_bytes_of_an_unbroken_one(tmp_path, jobs):
    """A few kills; `make torture` does twenty."""
    assert torture(tmp_path, kills=4, seed=3, jobs=jobs) == []
