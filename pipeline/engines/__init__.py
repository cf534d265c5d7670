"""Where work runs: `local` spreads it over processes of this computer."""
