"""Load on a real server: bots that negotiate for real and send and sink RTP without codecs.

    python -m load_tests one_to_one --calls 20 --seconds 10
    python -m load_tests room --senders 1 --receivers 50 --seconds 10

Each run starts its own `python -m signaling` on loopback and prints one JSON object.
"""
