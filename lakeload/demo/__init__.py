"""A first look: real data, both formats, two loads. `lakeload demo` runs it."""
