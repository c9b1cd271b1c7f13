//! pcapng blocks, one file per block type (draft-ietf-opsawg-pcapng).
