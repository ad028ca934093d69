"""Selection methods compared: data sets x encoders x budgets x methods x learners x seeds."""

from usl.evaluation.benchmark.benchmark import Benchmark, benchmark
from usl.evaluation.benchmark.plan import Plan, read_plan

__all__ = ["Benchmark", "Plan", "benchmark", "read_plan"]
