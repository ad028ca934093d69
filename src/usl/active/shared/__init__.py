"""What several query strategies use."""
