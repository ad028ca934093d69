"""Constraints around any selection method: groups and quotas, distances, exclusions."""
