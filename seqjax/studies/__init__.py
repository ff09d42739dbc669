"""Studies: questions that are answered by measuring many small networks, as pure functions that return NumPy arrays.

Nothing is imported here: the processes that measure settle their core before JAX is there.
"""
