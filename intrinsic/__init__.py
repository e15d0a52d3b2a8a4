"""Measure the intrinsic dimension of fine-tuning."""
