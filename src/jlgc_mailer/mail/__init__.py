"""Pure values of mail: addresses, headers, MIME, tokens, and what SMTP replies mean. No I/O."""
