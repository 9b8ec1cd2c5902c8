"""Why a root does not work, and how to fix it: `pyroot doctor`, `pyroot check`, `pyroot copy`. Imported when a verb is used."""
