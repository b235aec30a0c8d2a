"""A manifest of a million studies opens, filters and splits within seconds, in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from common import Claim, benchmark_arguments, write_results

ROWS = {"smoke": 20_000, "proof": 1_000_000, "study": 5_000_000}
SEQUENCES = ("t1", "t1c", "t2", "flair")
MOST_SECONDS, MOST_GIB = 5.0, 1.0
REPEATS = 3

MEASURED = """
import json, resource, sys, time
from pathlib import Path
started = time.perf_counter()
from scanweave.studies.cohort import Cohort
from scanweave.studies.splits import make_splits, write_splits
marks = {"import": time.perf_counter()}
folder = Path(sys.argv[1])
cohort = Cohort.open(folder)
marks["open"] = time.perf_counter()
having = len(cohort.having("t1", "flair"))
marks["filter"] = time.perf_counter()
write_splits(folder, make_splits(cohort.patients, 5, seed=0))
marks["split"] = time.perf_counter()
train = len(cohort.part("train", 0))
marks["part"] = time.perf_counter()
seconds = {name: at - before for (name, at), before in zip(marks.items(), [started, *marks.values()])}
total, used = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF)
figures = {"total": total, "peak": used.ru_maxrss * 1024, "processor": used.ru_utime + used.ru_stime}
print(json.dumps({**figures, "seconds": seconds, "having": having, "train": train}))
"""


def write_manifest(folder: Path, rows: int) -> None:
    """Write a cohort of `rows` studies, two a patient, a fifth of each sequence absent."""
    columns: dict[str, list[str | None]] = {
        "study": [f"s{i:07d}" for i in range(rows)],
        "patient": [f"p{i // 2:07d}" for i in range(rows)],
    }
    for number, name in enumerate(SEQUENCES):
        files = (f"sub-{i // 2:07d}/ses-{i % 2}/anat/{name}.nii.gz" for i in range(rows))
        columns[f"scan:{name}"] = [file if (i * 7 + number) % 5 else None for i, file in enumerate(files)]
    pq.write_table(pa.table(columns), folder / "manifest.parquet", compression="zstd")
    about = {"format": 1, "root": ".", "name": "scale", "source": "benchmark", "layout": "table"}
    (folder / "cohort.json").write_text(json.dumps(about))


def measure(folder: Path) -> dict[str, float]:
    """Open, filter and split in a process of its own, so that memory is that of this work alone."""
    done = subprocess.run([sys.executable, "-c", MEASURED, str(folder)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def main() -> None:
    arguments = benchmark_arguments(__doc__ or "", tuple(ROWS))
    rows = ROWS[arguments.tier]
    with tempfile.TemporaryDirectory() as name:
        write_manifest(Path(name), rows)
        runs = [measure(Path(name)) for _ in range(REPEATS)]
    assert all(run["having"] == sum((i * 7) % 5 != 0 and (i * 7 + 3) % 5 != 0 for i in range(rows)) for run in runs)
    times, peaks = [run["total"] for run in runs], [run["peak"] / 2**30 for run in runs]
    parts = {part: sorted(run["seconds"][part] for run in runs)[REPEATS // 2] for part in runs[0]["seconds"]}
    what = f"{rows:,} rows: import, open, filter, split, take a part"
    parts["processor time"] = sorted(run["processor"] for run in runs)[REPEATS // 2]
    bars = (MOST_SECONDS, MOST_GIB) if arguments.tier == "proof" else (None, None)
    claims = [
        Claim(
            f"{what} (median of {REPEATS}, range)",
            sorted(times)[REPEATS // 2],
            min(times),
            max(times),
            "s",
            REPEATS,
            bars[0],
            "lower",
            parts,
        ),
        Claim("peak memory of that process", max(peaks), min(peaks), max(peaks), "GiB", REPEATS, bars[1], "lower"),
    ]
    write_results("manifest_scale", arguments, [0], claims)


if __name__ == "__main__":
    main()
