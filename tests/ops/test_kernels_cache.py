import os
import subprocess
import sys


def test_kernels_are_compiled_once_and_then_taken_from_the_cache(tmp_path):
    def cached():
        subprocess.run(
            [sys.executable, "-m", "bakeoff.ops.kernels"],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
            check=True,
        )
        return {path.name: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nbc")}

    first = cached()
    assert {name.partition("-")[0] for name in first} >= {
        "kernels.look_through",
        "kernels.solve_cg",
        "kernels.solve_cholesky",
    }
    assert cached() == first
