"""Speed of meta-training as ratios within one run: the batched inner loop relative to common
implementations.
"""

from benchmarks.meta.run import Row, bench_meta, describe

__all__ = ["Row", "bench_meta", "describe"]
