"""The sections of the report: each file has ``section(facts) -> Html``, empty without data."""
