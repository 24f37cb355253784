"""A drafter of known acceptance for real vLLM, and damaged heads: what the benchmarks of the gate inject."""
