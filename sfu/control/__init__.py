"""What other packages may import of the SFU: its control protocol, its tap protocol, a client."""
