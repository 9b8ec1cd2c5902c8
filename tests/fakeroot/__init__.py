"""What root does, by real root in a real chroot and by fake root: ``make fakeroot``."""
