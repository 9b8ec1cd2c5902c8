"""What runs inside the guest: the freestanding loader and the return stubs (see layout.py and loader.h)."""
