"""From a trained subspace to a certificate: codes in which every bit is paid for, and the message they make up."""
