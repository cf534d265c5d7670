"""The blind study as plain functions: protocol, sampling, plan, content, blinding, assignment. No I/O."""
