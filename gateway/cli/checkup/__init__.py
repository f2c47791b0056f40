"""The checks of `doctor`, one module per thing looked at. Each yields `Check` values and raises nothing."""

__all__: list[str] = []
