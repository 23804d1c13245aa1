"""The stages a pipeline is made of; :mod:`fzdask.codecs.stages.registry` finds them."""
