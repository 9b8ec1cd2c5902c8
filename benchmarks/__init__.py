"""What a run under pyroot costs, beside the native call and beside proot: ``python -m benchmarks``, see README.md."""
