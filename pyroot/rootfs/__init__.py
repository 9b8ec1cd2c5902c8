"""Making and changing root file systems: one module for each verb, imported when the verb is used."""
