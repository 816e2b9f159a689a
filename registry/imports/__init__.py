"""Configurations of mergekit over the models of a store."""
