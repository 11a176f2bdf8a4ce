"""The test double of Intel's extension: what its modules below `lava` and `nxcore` share."""
