"""Table formats: one module per format, each offering `lakeload.model.protocols.Table`."""
