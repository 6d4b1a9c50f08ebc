"""Errors that an operator can act on."""

from __future__ import annotations


class HostError(Exception):
    """The store or the machine below it does not do its work; no workflow is at fault.

    The message says what happened, where, and what to do next. Work that depended on what could not be stored
    has not been released, so nothing is lost and nothing happened unrecorded.
    """


class FolderInUse(HostError):
    """Another process has the data folder open."""


class FolderNotUsable(HostError):
    """The data folder cannot be opened by this release: too new, damaged, or something else."""


class Conflict(Exception):
    """What was to be stored contradicts what is stored already; the caller must choose another name or version."""


class BackupRefused(HostError):
    """A backup cannot be made or restored as asked; nothing was changed."""


class DiskLow(HostError):
    """The disk is nearly full, so new work is not taken; what is under way goes on."""


class ErasedData(Exception):
    """What was to be read was about a data subject whose key was destroyed."""
