"""Congestion control: what a path carries, told by the arrivals at its far end."""
