"""The team's package: data, schema, features and model. Change anything here."""
