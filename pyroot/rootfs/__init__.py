"""Making and changing root file systems: one module per verb, imported when the verb is used."""
