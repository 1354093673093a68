"""How fast meta-training is, as ratios within one run: the batched inner loop beside the ways it is
usually written.
"""

from benchmarks.meta.run import Row, bench_meta, describe

__all__ = ["Row", "bench_meta", "describe"]
