"""Both workspaces that a program can run on."""

from search.scenario.compiled.replay import COPY, OVERLAY

ISOLATIONS = (OVERLAY, COPY)
