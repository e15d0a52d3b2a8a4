"""Certificates: train in a subspace, code what was trained, and bound the error by the length of the code."""
