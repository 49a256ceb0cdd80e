"""The servers that a load runs against: ours, and others to measure ours by."""
