"""What the measured processes run: each a module of its own, in the environment that is measured.

Its folder is on their ``PYTHONPATH``, and each is imported, so that a script by hand has compiled bytecode as
the library has. They know nothing of ``tests``, and of each other.

Those that register a device are given ``JOB STYLE CONNECTION TRUSTED FOLDER HANDLE``:

========== ====================================================================================
JOB        what is done
========== ====================================================================================
first      the hub is asked what it holds for the channel; the device is written; its id is kept
again      the device is written as it is, as one does at every start who does not compare
unchanged  what is kept is compared with what is declared, and nothing is sent
rotated    what is kept is read, the hub is told of another channel, and that is kept
========== ====================================================================================

STYLE is ``installation`` or ``registration``; TRUSTED a PEM file, or empty over plain http.
"""
