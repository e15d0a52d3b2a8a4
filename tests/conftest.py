"""One thread a test process: the suite runs in as many processes as there are cores, and tiny models gain nothing."""

import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
    os.environ.setdefault(name, "false" if name.startswith("TOK") else "1")

import torch  # noqa: E402

torch.set_num_threads(1)
