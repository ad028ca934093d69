"""Constraints around any selection method: groups, quotas, distances, exclusions."""
