"""Who cannot see or hear whom, and how good a call was: pure, from what clients and SFU measure."""
