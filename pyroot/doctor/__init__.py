"""Why a root does not work, and what mends it: `pyroot doctor`, `pyroot check`, `pyroot copy`. Imported when a verb is used."""
