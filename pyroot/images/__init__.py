"""Images of containers: read into a root, run as they ask to be, written again.

An ordinary user does all of it: owners, devices and the like are remembered (``pyroot owners``), the disk has safe modes only.
"""
