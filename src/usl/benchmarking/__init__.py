"""Benchmarks of selection methods: data sets x encoders x budgets x methods x learners x seeds."""
