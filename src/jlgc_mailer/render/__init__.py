"""From an edition to bytes on the wire: compiled once per edition, merged once per recipient. Pure."""
