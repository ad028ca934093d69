"""Selection methods compared: data sets x encoders x budgets x methods x learners x seeds."""

from usl.evaluation.benchmark.plan import Plan, read_plan
from usl.evaluation.benchmark.run import Benchmark, benchmark

__all__ = ["Benchmark", "Plan", "benchmark", "read_plan"]
