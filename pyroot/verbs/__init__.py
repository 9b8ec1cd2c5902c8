"""What the verbs share: their rows and words, standard output, suggestions for unknown words. Imported when a verb is used."""
