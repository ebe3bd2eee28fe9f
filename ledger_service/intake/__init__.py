"""What comes in becomes facts: EPCIS documents and the identifiers in them. Pure: bytes in, values out."""
