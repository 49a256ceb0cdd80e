"""The wire protocol ``vtelehealth.v1``: messages, codec, error and close codes."""
