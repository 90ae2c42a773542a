"""GPUs as they call themselves, and what was measured on them."""

import dataclasses

from tuner.training.gpu_memory import GpuFigures

# What is there, and what is free when nobody else computes there.
GPUS = {
    "T4": (15_360, 14_930),
    "A10G": (23_028, 22_500),
    "A100": (40_960, 40_330),
    "H100": (81_559, 80_990),
}


def gpu(name: str = "H100", **more: object) -> GpuFigures:
    total_mb, free_mb = GPUS[name]
    figures = GpuFigures(name, total_mb, free_mb, 3_000, 700, 2_500, 120_000, has_mps=True)
    return dataclasses.replace(figures, **more)
