"""What the verbs share: their rows and words, what goes to standard output, what was meant. Imported when a verb is used."""
