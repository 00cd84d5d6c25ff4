"""A small client of Countersign, written from the RFCs."""
