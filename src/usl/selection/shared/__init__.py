"""What selection methods share: picks per cluster, the repulsion of Eq. 5, memory, seconds."""
