"""Configuration: TOML in, frozen and cross-checked values out, every problem with its line and column."""
