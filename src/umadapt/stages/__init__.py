"""One file a stage of the paper; `losses` in each reads like its algorithm box."""
