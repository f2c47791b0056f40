"""Just enough TOML writing for test configurations."""

import json
from typing import Any

Table = dict[str, Any]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(str(value) if not isinstance(value, bool | int | float) else value)


def write_toml(tables: dict[str, Table | list[Table]]) -> str:
    """Top-level tables and arrays of tables, everything below inline."""
    lines: list[str] = []
    for name, content in tables.items():
        for table in content if isinstance(content, list) else [content]:
            lines.append(f"[[{name}]]" if isinstance(content, list) else f"[{name}]")
            lines += [f"{key} = {_value(value)}" for key, value in table.items()]
            lines.append("")
    return "\n".join(lines)
