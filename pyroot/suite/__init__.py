"""Test suites in a root: the plugin for pytest."""
