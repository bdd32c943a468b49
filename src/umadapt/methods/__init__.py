"""The paper's algorithms and the peers, each one file. METHODS are those of `umadapt adapt`."""

from umadapt.methods import adabn, adaptsegnet, mean_teacher, minent, self_training, um_adapt, um_adapt_b
from umadapt.methods.method import Method

_FILES = (self_training, um_adapt, um_adapt_b, adabn, minent, adaptsegnet, mean_teacher)
METHODS: dict[str, Method] = {method.name: method for file in _FILES for method in file.METHODS}
