"""The parts of the report, one file each: ``section(facts) -> Html``, empty if nothing is known."""
