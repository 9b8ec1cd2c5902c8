"""A hundred everyday programs, each in a small session in a real chroot and under pyroot: ``make programs``."""
