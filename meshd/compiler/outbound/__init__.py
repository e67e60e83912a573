"""What a host's own applications reach: bound listeners, captured ones, and what is in no registry."""
